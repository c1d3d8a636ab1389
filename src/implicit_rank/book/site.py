"""Stage the executed chapters, build the HTML with jupyter-book, and check it."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import nbformat
import yaml

from implicit_rank.book import checks, values
from implicit_rank.book.layout import BookError, Layout, chapters, read_yaml, write_if_changed
from implicit_rank.book.pairing import notebook_bytes
from implicit_rank.store.files import read_text

TOOLS = ("jupyter-book", "Sphinx", "sphinx-book-theme", "myst-nb", "sphinx-proof", "sphinx-exercise")
JUPYTER_BOOK = "import sys; from jupyter_book.cli.main import main; sys.argv[0] = 'jupyter-book'; main()"


def toc_files(toc: dict) -> list[str]:
    """Every page that a table of contents names, the root first."""

    def walk(node):
        if isinstance(node, dict):
            found = [node[k] for k in ("root", "file") if k in node]
            return found + [f for k, v in node.items() if isinstance(v, list) for f in walk(v)]
        return [f for item in node for f in walk(item)] if isinstance(node, list) else []

    return walk(toc)


def without(toc, left_out: set[str]):
    """The table of contents less some pages, and less the parts that are empty then."""
    if isinstance(toc, list):
        kept = [without(item, left_out) for item in toc if item.get("file") not in left_out]
        return [item for item in kept if "chapters" not in item or item["chapters"]]
    return {k: without(v, left_out) if isinstance(v, list) else v for k, v in toc.items()}


def first_page(layout: Layout) -> str | None:
    """The name of the chapter that the site begins with; None where its first page is not executed."""
    root = read_yaml(layout.root / "_toc.yml").get("root", "")
    name = root.rpartition("/")[2]
    return name if name in {p.stem for p in chapters(layout)} else None


def stage(layout: Layout, executed: Path, folder: Path, preview: bool, profile: str) -> None:
    """Fill `folder` with what jupyter-book reads, touching only files that differ.

    In a preview, chapters that were never executed are left out of the table of contents; its first page, which
    no site can do without, is the book's own where these parameters have none.
    """
    notebooks = {p.stem: executed / f"{p.stem}.ipynb" for p in chapters(layout)}
    first = first_page(layout)
    if preview and first is not None and not notebooks[first].exists():
        notebooks[first] = layout.build / "executed" / profile / f"{first}.ipynb"
        if not notebooks[first].exists():
            raise BookError(f"the preview has no first page: {first} was never executed with the profile {profile!r}")
    toc = read_yaml(layout.root / "_toc.yml")
    left_out = {f"book/{name}" for name, path in notebooks.items() if not path.exists()} & {*toc_files(toc)}
    if left_out and not preview:
        raise BookError(f"no executed copy of {', '.join(sorted(left_out))}: execute these first")
    wanted = {folder / "_config.yml": (layout.root / "_config.yml").read_bytes()}
    wanted[folder / "_toc.yml"] = yaml.safe_dump(without(toc, left_out), sort_keys=False).encode()
    pairs = {layout.book / f"{name}{end}" for name in notebooks for end in (".md", ".ipynb")}
    for path in sorted(layout.book.rglob("*")):
        inside = path.relative_to(layout.book).parts
        hidden = inside[0] in ("results", "claims", "runs") or any(part.startswith(".") for part in inside)
        if path.is_file() and path not in pairs and not hidden:
            wanted[folder / "book" / Path(*inside)] = _filled(layout, path)
    for name, path in notebooks.items():
        if path.exists():
            wanted[folder / "book" / f"{name}.ipynb"] = _filled(layout, path)
    for path, content in wanted.items():
        write_if_changed(path, content)
    for path in folder.rglob("*"):
        if path.is_file() and path not in wanted and "_build" not in path.relative_to(folder).parts:
            path.unlink()


def _filled(layout: Layout, path: Path) -> bytes:
    """A file of the book as Sphinx gets it: with the numbers of today's runs and verdicts in its prose."""
    if path.suffix == ".md":
        return values.fill(read_text(path), path.stem, layout.book, links=True).encode()
    if path.suffix == ".ipynb":
        notebook = nbformat.read(path, 4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = values.fill(cell.source, path.stem, layout.book, links=True)
        return notebook_bytes(notebook)
    return path.read_bytes()


def state(layout: Layout, folder: Path) -> str:
    """Digest of everything the site is made from."""
    digest = hashlib.sha256()
    sources = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    sources += sorted(Path(__file__).parent.glob("[!.]*.py"))
    sources += sorted(p for p in layout.package.rglob("[!.]*.py") if p.parent != Path(__file__).parent)
    for path in sources:
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    digest.update(" ".join(f"{t}={version(t)}" for t in TOOLS).encode())
    return digest.hexdigest()


def _place(match) -> str:
    """myst-nb counts cell 27, line 2 of a notebook as line 270002."""
    cell, line = divmod(int(match[2]), 10_000)
    return f"{match[1]}.md, cell {cell}, line {line}:" if cell else f"{match[1]}.md, line {line}:"


def build(layout: Layout, executed: Path, profile: str, preview: bool = False, say=lambda line: None) -> Path:
    """Build and check the site; returns its first page. Raises BookError when anything is wrong."""
    folder, out = layout.build / "stage", layout.build
    if preview:
        folder, out = layout.build / "preview" / "stage", layout.build / "preview"
    site, stamp = out / "_build" / "html", out / "site.stamp"
    first = site / "index.html"
    stage(layout, executed, folder, preview, profile)
    now = state(layout, folder)
    if first.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == now:
        say("  site: up to date")
        return first
    stamp.unlink(missing_ok=True)
    say("  site: building")
    strict = [] if preview else ["-W", "-n", "--keep-going"]
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(folder), "--path-output", str(out), *strict]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"})
    log = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    write_if_changed(out / "html.log", log.encode())
    log = re.sub(r"\S+/stage/(\S+)\.ipynb:(\d+):", _place, log)
    warnings = [line for line in log.splitlines() if re.search(r"(WARNING|ERROR|CRITICAL|SEVERE):?", line)]
    if preview and not done.returncode:
        for line in warnings:
            say(f"    {line}")
    elif done.returncode or warnings:
        # a second build would not repeat the warnings of pages it finds unchanged
        shutil.rmtree(out / "_build" / ".doctrees", ignore_errors=True)
        if "No space left on device" in log:
            raise BookError(f"The disk is full: the site could not be written below {layout.short(out)}.")
        crash = log.partition("Exception occurred:\n")[2].splitlines()[:12]
        raised = [line for line in log.splitlines() if re.match(r"[\w.]+(Error|Exception): \S", line)]
        shown = warnings or crash or raised or log.splitlines()[-25:]
        raise BookError(
            "\n  ".join(["the site was not built cleanly:", *shown, f"all of it: {layout.short(out / 'html.log')}"])
        )
    problems = checks.check_site(site)
    if problems and not (preview and first.exists()):
        raise BookError("\n  ".join(["the built site has problems:", *problems]))
    for line in problems:
        say(f"    {line}")
    write_if_changed(stamp, now.encode())
    return first
