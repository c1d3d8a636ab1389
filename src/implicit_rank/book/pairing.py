"""Write each chapter's `.ipynb` from its `.md`: same text and runs in, same bytes out, no outputs.

The `.md` is the source. Its notebook is for reading and running: `book.reading` puts numbers for roles and plain
Markdown for the rest. What a person changed in it by hand is kept aside before it is written anew.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat

from implicit_rank.book.labels import Labels, labels_of
from implicit_rank.book.layout import Layout, chapters, write_if_changed
from implicit_rank.book.reading import reader
from implicit_rank.store.files import read_text

MARK = "implicit_rank"
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


def read_chapter(source: Path) -> nbformat.NotebookNode:
    """The notebook that a MyST Markdown chapter stands for, with cell ids made from the cells' content."""
    notebook = jupytext.reads(read_text(source), fmt="md:myst")
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        base = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[base] = seen.get(base, -1) + 1
        cell["id"] = base if not seen[base] else f"{base}-{seen[base]}"
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def notebook_bytes(notebook: nbformat.NotebookNode) -> bytes:
    return (nbformat.writes(notebook) + "\n").encode()


def texts(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """What a person wrote: type and source of every cell."""
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def plain(layout: Layout, name: str, notebook: nbformat.NotebookNode, labels: Labels) -> nbformat.NotebookNode:
    """A chapter's notebook with its Markdown cells as plain text, marked with a digest of what was written."""
    read = reader(layout.book, name, labels)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = read(cell.source)
    notebook.metadata[MARK] = {"written": _digest(notebook)} | dict(notebook.metadata.get(MARK, {}))
    return notebook


def pair(layout: Layout) -> list[str]:
    """Bring every `.ipynb` in line with its `.md`; returns one line per file written.

    A notebook that holds anything but what was written there before is copied to build/replaced first, under a
    name of its own.
    """
    said = []
    for source, content in _notebooks(layout):
        target = source.with_suffix(".ipynb")
        kept = _keep_edits(layout, target) if target.exists() and target.read_bytes() != content else None
        if write_if_changed(target, content):
            said.append(f"wrote {layout.short(target)}" + (f"; your edited copy is {kept}" if kept else ""))
    return said


def out_of_step(layout: Layout) -> list[str]:
    """The chapters whose committed `.ipynb` is not, byte for byte, what the `.md` and the stored runs give."""
    return [
        source.stem
        for source, content in _notebooks(layout)
        if not source.with_suffix(".ipynb").exists() or source.with_suffix(".ipynb").read_bytes() != content
    ]


def _notebooks(layout: Layout) -> Iterator[tuple[Path, bytes]]:
    labels = labels_of(layout.book)
    for source in chapters(layout):
        yield source, notebook_bytes(plain(layout, source.stem, read_chapter(source), labels))


def _keep_edits(layout: Layout, target: Path) -> str | None:
    content = target.read_bytes()
    try:
        notebook = nbformat.read(target, 4)
        if notebook.metadata.get(MARK, {}).get("written") == _digest(notebook):
            return None
    except (ValueError, AttributeError, nbformat.reader.NotJSONError, nbformat.ValidationError):
        pass  # nothing that we wrote
    copy = layout.build / "replaced" / f"{target.stem}-{hashlib.sha256(content).hexdigest()[:8]}.ipynb"
    write_if_changed(copy, content)
    return layout.short(copy)


def _digest(notebook: nbformat.NotebookNode) -> str:
    return hashlib.sha256(repr(texts(notebook)).encode()).hexdigest()[:16]
