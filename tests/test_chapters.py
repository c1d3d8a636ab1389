"""Every chapter runs at the smoke profile, without a word on stderr, and the whole book builds from these runs."""

import re

import nbformat
import pytest
from conftest import ROOT, run_book

from implicit_rank.book import checks
from implicit_rank.book.cells import code_cells, parameter_names
from implicit_rank.book.execution import complaints
from implicit_rank.book.layout import BUDGETS, Layout, chapters
from implicit_rank.book.pairing import read_chapter

SOURCES = chapters(Layout(ROOT))
NUMBERED = [s for s in SOURCES if s.stem[0].isdigit()]
names = {"ids": lambda source: source.stem}


@pytest.mark.chapters
@pytest.mark.parametrize("source", SOURCES, **names)
def test_it_runs(source, book_copy, capsys):
    run_book(book_copy, "book", "--profile", "smoke", "--only", source.stem, "--execute-only")
    notebook = nbformat.read(book_copy / "build" / "executed" / "smoke" / f"{source.stem}.ipynb", 4)
    assert complaints(notebook) == []
    seconds = notebook.metadata.implicit_rank.seconds
    if seconds > BUDGETS["smoke"]:
        with capsys.disabled():
            print(f"\n{source.stem} took {seconds} s at the smoke profile; its budget is {BUDGETS['smoke']:.0f} s")


@pytest.mark.chapters
def test_the_book_builds_without_a_warning(built_book):
    assert checks.check_site(built_book) == []
    pages = {p.stem for p in (built_book / "book").glob("*.html")}
    assert pages >= {p.stem for p in (ROOT / "book").glob("*.md")}


@pytest.mark.parametrize("source", NUMBERED, **names)
def test_it_has_typed_commented_parameters_checked_at_once(source):
    cells = code_cells(read_chapter(source))
    tagged = [i for i, c in enumerate(cells) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1, "exactly one cell is tagged `parameters`"
    assert "profile" in parameter_names(read_chapter(source))
    for line in cells[tagged[0]].source.splitlines():
        assert not line.strip() or re.match(r"^(\w+: .+= .+#.+|#.*|[\s\])}].*|\w+: .+= [\[({])$", line), line
    assert "from_namespace" in cells[tagged[0] + 1].source, "the next cell validates"


@pytest.mark.parametrize("source", NUMBERED, **names)
def test_papermill_knows_every_parameter(source):
    """Its own reading of the cell line by line, which an equals sign in a comment throws off."""
    import papermill

    listed = papermill.inspect_notebook(str(source.with_suffix(".ipynb")))
    lines = next(c.source for c in code_cells(read_chapter(source)) if "parameters" in c.metadata.get("tags", []))
    wanted = {found[1]: found[2] for found in re.finditer(r"^(\w+): (\w+) = ", lines, re.M)}
    assert {name: entry["inferred_type_name"] for name, entry in listed.items()} == wanted
    assert list(wanted) == parameter_names(read_chapter(source))


@pytest.mark.chapters
@pytest.mark.parametrize("source", NUMBERED, **names)
def test_it_refuses_a_wrong_profile_in_one_sentence(source, book_copy):
    """Papermill alone does not check values; the chapter's second cell does."""
    from papermill.exceptions import PapermillExecutionError

    with pytest.raises(PapermillExecutionError) as refused:
        run_first_cells(source, book_copy, {"profile": "medium"})
    assert refused.value.ename == "ParameterError"
    assert len(refused.value.evalue.strip().splitlines()) == 1
    assert "smoke" in refused.value.evalue


def run_first_cells(source, book_copy, parameters):
    """Execute a chapter up to the cell that validates its parameters."""
    import papermill

    from implicit_rank.book import environment

    notebook = read_chapter(source)
    stop = next(i for i, c in enumerate(notebook.cells) if "from_namespace" in c.source and c.cell_type == "code")
    notebook.cells = notebook.cells[: stop + 1]
    path = book_copy / "build" / "first" / f"{source.stem}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    papermill.execute_notebook(
        str(path), str(path), parameters, kernel_name=environment.prepare(Layout(book_copy)), progress_bar=False
    )
