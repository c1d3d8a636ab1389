"""Execute chapters through papermill, only when something their outputs depend on has changed."""

import hashlib
import json
import math
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import nbformat

from implicit_rank.book import environment, running
from implicit_rank.book.cells import check_parameters, code_cells, parameter_defaults, parameter_names
from implicit_rank.book.layout import BUDGETS, Layout, write_if_changed
from implicit_rank.book.pairing import notebook_bytes, read_chapter
from implicit_rank.book.running import Job
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
    outcomes: dict[str, Outcome] = {}
    jobs, wanted = {}, {}
    for source in sources:
        notebook = notebooks[source.stem]
        known = parameter_names(notebook)
        passed = {k: v for k, v in ({"profile": profile} | given).items() if k in known}
        groups = layout.book / "runs" / f"{source.stem}.toml"
        named = groups.read_text(encoding="utf-8") if groups.is_file() else ""
        seen = pictures(layout, notebook, passed)
        wanted[source.stem] = key(notebook, passed, around, named, seen)
        done = stored(folder / f"{source.stem}.ipynb")
        if done is not None and done.metadata.implicit_rank.key == wanted[source.stem] and not force:
            write_if_changed(folder / f"{source.stem}.ipynb", notebook_bytes(splice(notebook, done)))
            outcomes[source.stem] = Outcome(source.stem, done.metadata.implicit_rank.seconds, cached=True)
            say(f"  {source.stem}: outputs are up to date")
            continue
        jobs[source.stem] = Job(source.stem, passed, done.metadata.implicit_rank.seconds if done else math.inf)

    def finish(job: Job, seconds: float, done: nbformat.NotebookNode | None, error: str | None) -> None:
        if error:
            outcomes[job.chapter] = Outcome(job.chapter, seconds, cached=False, error=error)
            say(f"  {job.chapter}: FAILED after {seconds} s")
            return
        notes = complaints(done)
        if seconds > BUDGETS.get(profile, float("inf")):
            notes.append(f"took {seconds:.0f} s, over the {BUDGETS[profile]:.0f} s budget of {profile!r}")
        facts = {"key": wanted[job.chapter], "profile": profile, "parameters": job.parameters, "seconds": seconds}
        done.metadata["implicit_rank"] = facts
        target = folder / f"{job.chapter}.ipynb"
        write_if_changed(target, notebook_bytes(splice(notebooks[job.chapter], done)))
        outcomes[job.chapter] = Outcome(job.chapter, seconds, cached=False, notes=tuple(notes))
        say(f"  {job.chapter}: done in {seconds} s" + "".join(f"\n    note: {n}" for n in notes))

    def begin(job: Job) -> None:
        say(f"  {job.chapter}: executing ({profile})")

    running.run_all(layout, list(jobs.values()), notebooks, kernel, begin, finish)
    return [outcomes[source.stem] for source in sources]


def complaints(notebook: nbformat.NotebookNode) -> list[str]:
    """Whatever the cells wrote to stderr: warnings that a published page must not have."""
    found = []
    for number, cell in enumerate(code_cells(notebook), start=1):
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr" and output.text.strip():
                found.append(f"code cell {number} wrote to stderr: {output.text.strip().splitlines()[0][:200]}")
    return found
