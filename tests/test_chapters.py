"""Every chapter runs at the smoke profile, without a word on stderr, and the whole book builds from these runs."""

import ast
import re

import nbformat
import pytest
from conftest import ROOT

from implicit_rank.book import checks
from implicit_rank.book.cells import code_cells, parameter_names
from implicit_rank.book.execution import complaints
from implicit_rank.book.layout import BUDGETS, Layout, chapters
from implicit_rank.book.pairing import read_chapter
from implicit_rank.parameters import ParameterError, field_names

SOURCES = chapters(Layout(ROOT))
NUMBERED = [s for s in SOURCES if s.stem[0].isdigit()]
CHAPTER = re.compile(r'chapter\(\s*"(\w+)",\s*([\w.]+),\s*globals\(\)')
names = {"ids": lambda source: source.stem}


@pytest.mark.chapters
@pytest.mark.parametrize("source", SOURCES, **names)
def test_it_runs(source, executed_book, capsys):
    path = executed_book / "build" / "executed" / "smoke" / f"{source.stem}.ipynb"
    assert path.exists(), (executed_book / "execution.log").read_text(encoding="utf-8")
    notebook = nbformat.read(path, 4)
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
    assert CHAPTER.search(cells[tagged[0] + 1].source), "the next cell validates"


@pytest.mark.parametrize("source", NUMBERED, **names)
def test_papermill_knows_every_parameter(source):
    """Its own reading of the cell line by line, which an equals sign in a comment throws off."""
    import papermill

    listed = papermill.inspect_notebook(str(source.with_suffix(".ipynb")))
    lines = next(c.source for c in code_cells(read_chapter(source)) if "parameters" in c.metadata.get("tags", []))
    wanted = {found[1]: found[2] for found in re.finditer(r"^(\w+): (\w+) = ", lines, re.M)}
    assert {name: entry["inferred_type_name"] for name, entry in listed.items()} == wanted
    assert list(wanted) == parameter_names(read_chapter(source))


def first_cells(source):
    """A chapter up to the cell that validates its parameters."""
    notebook = read_chapter(source)
    stop = next(i for i, c in enumerate(notebook.cells) if c.cell_type == "code" and CHAPTER.search(c.source))
    notebook.cells = notebook.cells[: stop + 1]
    return notebook


@pytest.mark.parametrize("source", NUMBERED, **names)
def test_it_refuses_a_wrong_profile_in_one_sentence(source):
    """The class of the parameters that the chapter hands to its page, as the cell itself imports it."""
    call = CHAPTER.search(code_cells(first_cells(source))[-1].source)
    assert call[1] == source.stem
    tree = ast.parse(code_cells(first_cells(source))[-1].source)
    imports = ast.Module([n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))], [])
    found = {}
    exec(compile(imports, source.stem, "exec"), found)
    parameters = eval(call[2], found)
    assert set(field_names(parameters)) == set(parameter_names(read_chapter(source)))
    with pytest.raises(ParameterError, match="smoke") as refused:
        parameters.from_dict({"profile": "medium"})
    assert len(str(refused.value).strip().splitlines()) == 1


@pytest.mark.chapters
def test_papermill_meets_the_refusal_in_the_first_cell(tmp_path):
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from implicit_rank.book import environment

    path = tmp_path / "first.ipynb"
    nbformat.write(first_cells(next(s for s in NUMBERED if s.stem.startswith("02"))), path)
    kernel = environment.prepare(Layout(tmp_path))
    with pytest.raises(PapermillExecutionError) as refused:
        papermill.execute_notebook(str(path), str(path), {"profile": "medium"}, kernel_name=kernel, progress_bar=False)
    assert refused.value.ename == "ParameterError"
    assert len(refused.value.evalue.strip().splitlines()) == 1
    assert "smoke" in refused.value.evalue


def test_chapters_show_their_code():
    """At most 35 % of the lines are hidden, and no cell is a wall."""
    hidden, lines = 0, 0
    for source in SOURCES:
        for cell in code_cells(read_chapter(source)):
            count = sum(bool(line.strip()) for line in cell.source.splitlines())
            lines += count
            hidden += count * bool(
                {"hide-input", "remove-input", "hide-cell", "remove-cell"} & {*cell.metadata.get("tags", [])}
            )
            assert count <= 20, (source.stem, cell.source)
            assert "glue(" not in cell.source, (source.stem, cell.source)
    assert hidden <= 0.35 * lines, f"{hidden} of {lines} lines are hidden"
