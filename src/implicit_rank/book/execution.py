"""Execute chapters through papermill, only when something their outputs depend on has changed."""

import ast
import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import nbformat

from implicit_rank.book import environment
from implicit_rank.book.layout import BUDGETS, BookError, Layout, write_if_changed
from implicit_rank.book.pairing import notebook_bytes, read_chapter
from implicit_rank.parameters import unknown_name
from implicit_rank.tree import PREFIX, absolute_folder, folder_state

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "matplotlib")
NOT_FOR_CHAPTERS = ("book", "__main__.py")  # parts of the package that no chapter's output depends on ...
FOR_CHAPTERS = ("page.py", "groups.py")  # ... but for these modules of `book`, which chapters call


@dataclass(frozen=True)
class Outcome:
    """What became of one chapter: `error` is None when its outputs are good."""

    chapter: str
    seconds: float
    cached: bool
    error: str | None = None
    notes: tuple[str, ...] = ()


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The chapter's own code cells; papermill's injected one is left out."""
    return [
        c for c in notebook.cells if c.cell_type == "code" and "injected-parameters" not in c.metadata.get("tags", [])
    ]


def parameter_defaults(notebook: nbformat.NotebookNode) -> dict:
    """The values assigned in the cell tagged `parameters`, by name and in the order written; None for no literal."""
    values = {}
    for cell in code_cells(notebook):
        if "parameters" not in cell.metadata.get("tags", []):
            continue
        for node in ast.parse(cell.source).body:
            targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
            for target in targets:
                if isinstance(target, ast.Name):
                    values[target.id] = literal(getattr(node, "value", None))
    return values


def literal(node: ast.AST | None):
    """The value of an expression without names or calls, None for another."""
    try:
        return None if node is None else ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def parameter_names(notebook: nbformat.NotebookNode) -> list[str]:
    """The names assigned in the cell tagged `parameters`, in the order written."""
    return list(parameter_defaults(notebook))


def parse_value(text: str):
    """A parameter from the command line: a JSON value or Python literal where it reads as one, else text."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two: thousands of brackets
            continue
    return text


def check_parameters(given: dict, notebooks: dict[str, nbformat.NotebookNode]) -> None:
    """Refuse a name that no selected chapter declares, naming the closest and the allowed ones."""
    allowed = list(dict.fromkeys(n for nb in notebooks.values() for n in parameter_names(nb)))
    for name in given:
        if name in allowed:
            continue
        where = ", ".join(notebooks) if len(notebooks) < 4 else "the selected chapters"
        raise BookError(f"{where}: {unknown_name('parameter', name, allowed)}")


def executed_folder(layout: Layout, profile: str, parameters: dict) -> Path:
    """Runs with parameters of one's own are kept apart, so that they never displace the book's outputs."""
    if not parameters:
        return layout.build / "executed" / profile
    mark = hashlib.sha256(json.dumps(parameters, sort_keys=True, default=str).encode()).hexdigest()[:8]
    return layout.build / "executed" / f"{profile}-{mark}"


def surroundings(layout: Layout) -> str:
    """Digest of all that any chapter's outputs can depend on besides its own cells."""
    digest = hashlib.sha256()

    def add(folder: Path, base: Path, skip: tuple[str, ...] = ()) -> None:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            parts = path.relative_to(folder).parts
            if parts[0] in skip or "__pycache__" in parts or path.name.startswith("."):
                continue
            digest.update(f"{path.relative_to(base)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())

    add(layout.package, layout.package, NOT_FOR_CHAPTERS)
    for name in FOR_CHAPTERS:
        digest.update((layout.package / "book" / name).read_bytes())
    results = Path(os.environ.get("IMPLICIT_RANK_RESULTS") or layout.book / "results")
    add(results, results.parent)
    add(layout.book / "claims", layout.book)
    for name in LIBRARIES:
        try:
            digest.update(f"{name}={version(name)}\0".encode())
        except PackageNotFoundError:
            digest.update(f"{name}=absent\0".encode())
    digest.update(platform.python_version().encode())
    return digest.hexdigest()


def key(
    notebook: nbformat.NotebookNode, parameters: dict, around: str, groups: str = "", pictures: dict | None = None
) -> str:
    """What the outputs depend on: code, parameters, groups of runs, pictures and surroundings. Not the prose."""
    code = [c.source for c in code_cells(notebook)]
    return hashlib.sha256(
        json.dumps([code, parameters, around, groups, pictures or {}], sort_keys=True, default=str).encode()
    ).hexdigest()


def pictures(layout: Layout, notebook: nbformat.NotebookNode, parameters: dict) -> dict[str, str]:
    """The state of every folder of pictures that a parameter names, passed or written in the parameters cell.

    A relative path is the kernel's, who runs in the folder of the book.
    """
    values = [*(parameter_defaults(notebook) | parameters).values()]
    names = [name for value in values for name in (value if isinstance(value, (list, tuple)) else [value])]
    return {
        name: folder_state(absolute_folder(name, layout.book))
        for name in names
        if isinstance(name, str) and name.startswith(PREFIX)
    }


def splice(notebook: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The chapter as it is written now, with the outputs of its run."""
    for cell, run in zip(code_cells(notebook), code_cells(executed), strict=True):
        cell.outputs, cell.execution_count = run.outputs, run.execution_count
    notebook.metadata["mystnb"] = {"execution_mode": "off"}
    notebook.metadata["implicit_rank"] = executed.metadata["implicit_rank"]
    return notebook


def stored(path: Path) -> nbformat.NotebookNode | None:
    """An executed notebook of ours, or None when absent or unreadable."""
    try:
        notebook = nbformat.read(path, 4)
    except (OSError, ValueError, AttributeError, nbformat.reader.NotJSONError):
        return None
    return notebook if "implicit_rank" in notebook.metadata else None


def execute(
    layout: Layout,
    sources: list[Path],
    profile: str,
    parameters: dict | None = None,
    force: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> list[Outcome]:
    """Bring the executed copy of every chapter up to date; a failing one does not stop the others."""
    given = parameters or {}
    notebooks = {source.stem: read_chapter(source) for source in sources}
    check_parameters(given, notebooks)
    around = surroundings(layout)
    folder = executed_folder(layout, profile, given)
    kernel = environment.prepare(layout)
    outcomes = []
    for source in sources:
        notebook = notebooks[source.stem]
        known = parameter_names(notebook)
        passed = {k: v for k, v in ({"profile": profile} | given).items() if k in known}
        groups = layout.book / "runs" / f"{source.stem}.toml"
        named = groups.read_text(encoding="utf-8") if groups.is_file() else ""
        seen = pictures(layout, notebook, passed)
        target, wanted = folder / f"{source.stem}.ipynb", key(notebook, passed, around, named, seen)
        done = None if force else stored(target)
        if done is not None and done.metadata.implicit_rank.key == wanted:
            write_if_changed(target, notebook_bytes(splice(notebook, done)))
            outcomes.append(Outcome(source.stem, done.metadata.implicit_rank.seconds, cached=True))
            say(f"  {source.stem}: outputs are up to date")
            continue
        say(f"  {source.stem}: executing ({profile})")
        begun = time.monotonic()
        done, error = _run(layout, source, notebook, passed, kernel)
        seconds = round(time.monotonic() - begun, 1)
        if error:
            outcomes.append(Outcome(source.stem, seconds, cached=False, error=error))
            say(f"  {source.stem}: FAILED after {seconds} s")
            continue
        notes = complaints(done)
        if seconds > BUDGETS.get(profile, float("inf")):
            notes.append(f"took {seconds:.0f} s, over the {BUDGETS[profile]:.0f} s budget of {profile!r}")
        done.metadata["implicit_rank"] = {"key": wanted, "profile": profile, "parameters": passed, "seconds": seconds}
        write_if_changed(target, notebook_bytes(splice(notebook, done)))
        outcomes.append(Outcome(source.stem, seconds, cached=False, notes=tuple(notes)))
        say(f"  {source.stem}: done in {seconds} s" + "".join(f"\n    note: {n}" for n in notes))
    return outcomes


def complaints(notebook: nbformat.NotebookNode) -> list[str]:
    """Whatever the cells wrote to stderr: warnings that a published page must not have."""
    found = []
    for number, cell in enumerate(code_cells(notebook), start=1):
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr" and output.text.strip():
                found.append(f"code cell {number} wrote to stderr: {output.text.strip().splitlines()[0][:200]}")
    return found


def _run(layout, source, notebook, parameters, kernel):
    """Run one chapter into build/failed and take it from there when good; returns (notebook, error)."""
    import papermill  # slow to import, and not needed when every output is up to date
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it logs as errors, we say in our own words
    partial = layout.failed / f"{source.stem}.ipynb"
    fresh = layout.build / "running" / f"{source.stem}.ipynb"
    write_if_changed(fresh, notebook_bytes(notebook))
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            str(fresh),
            str(partial),
            parameters=parameters,
            cwd=str(layout.book),
            kernel_name=kernel,
            progress_bar=False,
        )
    except PapermillExecutionError as e:
        if e.ename == "KeyboardInterrupt":
            raise KeyboardInterrupt from None
        return None, _explain(layout, source, partial, e.ename, e.evalue)
    except DeadKernelError:
        return None, _explain(layout, source, partial, "DeadKernelError", "the kernel died (out of memory?)")
    except CellTimeoutError as e:
        return None, _explain(layout, source, partial, "CellTimeoutError", str(e).splitlines()[0])
    done = nbformat.read(partial, 4)
    partial.unlink()
    fresh.unlink()
    return done, None


def _explain(layout, source, partial, name, value):
    """Chapter, cell, first line of its source, error, and where the partial notebook lies."""
    cells = code_cells(nbformat.read(partial, 4))
    raised = [i for i, c in enumerate(cells) if any(o.output_type == "error" for o in c.outputs)]
    begun = [i for i, c in enumerate(cells) if c.metadata.get("papermill", {}).get("start_time")]
    number = raised[0] if raised else (begun or [0])[-1]  # a kernel that dies raises nothing
    lines = [line for line in cells[number].source.splitlines() if line.strip()] or ["(empty)"]
    first_line = next((line for line in str(value).splitlines() if line.strip()), "")
    return (
        f"{source.stem}: code cell {number + 1} of {len(cells)} ({lines[0].strip()[:80]}) failed: "
        f"{name}: {first_line}; the notebook so far is {layout.short(partial)}"
    )
