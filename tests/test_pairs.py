"""The `.md` chapters and their `.ipynb` halves."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT, run_book

from implicit_rank.book import pairing
from implicit_rank.book.layout import Layout, chapters, front_matter

LAYOUT = Layout(ROOT)
SOURCES = chapters(LAYOUT)


@pytest.mark.parametrize("source", SOURCES, ids=[s.stem for s in SOURCES])
def test_the_committed_notebook_is_what_the_text_gives(source):
    assert source.stem not in pairing.out_of_step(LAYOUT), "run `make pair`"
    notebook = nbformat.read(source.with_suffix(".ipynb"), 4)
    nbformat.validate(notebook)
    assert all(not c.outputs and c.execution_count is None for c in notebook.cells if c.cell_type == "code")
    assert notebook.metadata.kernelspec.name == "python3"
    ids = [c.id for c in notebook.cells]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("source", SOURCES, ids=[s.stem for s in SOURCES])
def test_the_header_names_format_and_kernel(source):
    header = front_matter(source.read_text(encoding="utf-8"))
    for line in ("format_name: myst", "extension: .md", "name: python3"):
        assert line in header


def test_no_notebook_without_its_text():
    assert {p.stem for p in LAYOUT.book.glob("*.ipynb")} == {s.stem for s in SOURCES}


def test_every_page_has_one_title():
    for page in sorted(LAYOUT.book.glob("*.md")):
        text = re.sub(r"^(`{3,}|:{3,}).*?^\1 *$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        assert len(re.findall(r"^# ", text, re.M)) == 1, page.name


def test_every_page_is_in_the_table_of_contents_and_the_reverse():
    listed = set(re.findall(r"(?:file|root): *(\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8")))
    assert listed == {f"book/{p.stem}" for p in LAYOUT.book.glob("*.md")}


def test_same_text_same_bytes_and_ids_that_survive_edits_elsewhere(small_book):
    source = small_book / "book" / "01_tiny.md"
    first = pairing.notebook_bytes(pairing.read_chapter(source))
    assert pairing.notebook_bytes(pairing.read_chapter(source)) == first
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("A heading\n", "Another heading\n", 1), encoding="utf-8")
    before, after = json.loads(first)["cells"], pairing.read_chapter(source).cells
    assert sum(a["id"] != b["id"] for a, b in zip(before, after, strict=True)) == 1


def test_repeated_cells_get_different_ids(tmp_path):
    source = tmp_path / "x.md"
    source.write_text("# T\n\n" + "```{code-cell}\n1\n```\n\n" * 3, encoding="utf-8")
    ids = [c.id for c in pairing.read_chapter(source).cells]
    assert len(set(ids)) == 4


def test_check_names_what_is_out_of_step(small_book):
    run_book(small_book, "pair", "--check")
    with (small_book / "book" / "01_tiny.md").open("a", encoding="utf-8") as f:
        f.write("\nOne more sentence.\n")
    assert "01_tiny.ipynb is out of step" in run_book(small_book, "pair", "--check", code=1)
    run_book(small_book, "pair")
    run_book(small_book, "pair", "--check")


def test_a_notebook_edited_by_hand_is_kept_aside_each_time_under_a_name_of_its_own(small_book):
    run_book(small_book, "pair")
    notebook, written = small_book / "book" / "01_tiny.ipynb", []
    source = small_book / "book" / "01_tiny.md"
    for number in (1, 2):  # the second edit must not displace the copy of the first
        edited = notebook.read_text(encoding="utf-8").replace("# ", f"# EDITED {number} ", 1)
        notebook.write_text(edited, encoding="utf-8")
        # the text being newer is no reason to lose the edit
        os.utime(source, (notebook.stat().st_mtime + 10,) * 2)
        said = re.search(r"your edited copy is (\S+)", run_book(small_book, "pair"))
        written.append((small_book / said[1], edited))
        assert "EDITED" not in notebook.read_text(encoding="utf-8")
    assert len({copy for copy, _ in written}) == 2
    assert all(copy.read_text(encoding="utf-8") == edited for copy, edited in written)
    assert "your edited copy" not in run_book(small_book, "pair")


def test_jupytext_edits_the_text_alone(tmp_path):
    """JupyterLab's jupytext reads the same settings as its command line: the notebook is no half of a pair to it."""
    shutil.copy(ROOT / "book" / "jupytext.toml", tmp_path)
    shutil.copy(SOURCES[0], tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "jupytext", "--paired-paths", SOURCES[0].name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert f"{SOURCES[0].stem}.ipynb" not in done.stdout, done.stdout


def test_no_notebook_shows_a_raw_role_or_directive():
    raw = re.compile(r"\{(?:[a-z]+:)?[a-z]+\}`|^\s*(?:`{3,}|:{3,})\{|^\([a-z-]+\)=$", re.M)
    for source in SOURCES:
        cells = nbformat.read(source.with_suffix(".ipynb"), 4).cells
        found = [raw.search(cell.source) for cell in cells if cell.cell_type == "markdown"]
        assert not any(found), (source.stem, next(match for match in found if match))


def test_ruff_is_content_with_the_notebooks():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", *sorted(LAYOUT.book.glob("*.ipynb"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
