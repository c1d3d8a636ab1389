"""Write each chapter's `.ipynb` from its `.md`: same text in, same bytes out, no outputs."""

import hashlib
from pathlib import Path

import jupytext
import nbformat

from implicit_rank.book.layout import Layout, chapters, write_if_changed

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


def read_chapter(source: Path) -> nbformat.NotebookNode:
    """The notebook that a MyST Markdown chapter stands for, with cell ids made from the cells' content."""
    notebook = jupytext.read(source, fmt="md:myst")
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


def pair(layout: Layout) -> list[str]:
    """Bring every `.ipynb` in line with its `.md`; returns one line per file written.

    A notebook that was edited by hand after its `.md` is copied to build/replaced before it is overwritten.
    """
    said = []
    for source in chapters(layout):
        notebook, target = read_chapter(source), source.with_suffix(".ipynb")
        content = notebook_bytes(notebook)
        kept = _keep_edits(layout, source, target, notebook)
        if write_if_changed(target, content):
            said.append(f"wrote {layout.short(target)}" + (f"; your edited copy is {kept}" if kept else ""))
    return said


def _keep_edits(layout, source, target, notebook) -> str | None:
    if not target.exists() or target.stat().st_mtime <= source.stat().st_mtime:
        return None
    try:
        edited = texts(nbformat.read(target, 4)) != texts(notebook)
    except (ValueError, AttributeError, nbformat.reader.NotJSONError, nbformat.ValidationError):
        edited = True
    if not edited:
        return None
    copy = layout.build / "replaced" / target.name
    write_if_changed(copy, target.read_bytes())
    return layout.short(copy)


def out_of_step(layout: Layout) -> list[str]:
    """The chapters whose committed `.ipynb` is not, byte for byte, what the `.md` gives."""
    return [
        source.stem
        for source in chapters(layout)
        if not source.with_suffix(".ipynb").exists()
        or source.with_suffix(".ipynb").read_bytes() != notebook_bytes(read_chapter(source))
    ]
