"""Executed notebooks for the launch buttons: a first cell installs the package where it is missing."""

from pathlib import Path

import nbformat

from implicit_rank.book.execution import executed_folder, stored
from implicit_rank.book.labels import labels_of
from implicit_rank.book.layout import BookError, Layout, chapters, read_yaml, write_if_changed
from implicit_rank.book.pairing import notebook_bytes, plain

INSTALL = """\
# Only needed where the package is not installed yet, as on Colab
try:
    import implicit_rank
except ImportError:
    %pip install --quiet "implicit-rank @ git+{url}"\
"""


def export(layout: Layout, profile: str, folder: str | Path) -> list[str]:
    """Write every executed chapter into `folder`; BookError when one was never executed."""
    config = read_yaml(layout.root / "_config.yml")
    cell = nbformat.v4.new_code_cell(INSTALL.format(url=config["repository"]["url"]), id="install")
    cell.metadata["tags"] = ["remove-cell"]
    lines, labels = [], labels_of(layout.book)
    for source in chapters(layout):
        notebook = stored(executed_folder(layout, profile, {}) / f"{source.stem}.ipynb")
        if notebook is None:
            raise BookError(f"{source.stem} was not executed with the profile {profile!r} yet: run `make book` first")
        del notebook.metadata["mystnb"]
        plain(layout, source.stem, notebook, labels).cells.insert(0, cell)
        target = Path(folder) / f"{source.stem}.ipynb"
        write_if_changed(target, notebook_bytes(notebook))
        lines.append(f"wrote {target}")
    return lines
