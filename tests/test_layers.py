"""Imports inside the package only go down, function-level imports included."""

from pathlib import Path

import pytest

from implicit_rank.book.layers import LAYERS, about, direct, graph, picture, rooms, wrong_imports

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "implicit_rank"


def test_imports_only_go_down():
    assert wrong_imports(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("spectra.py", "from implicit_rank.chain import LinearChain", "spectra imports chain"),
        ("theory/effective.py", "def f():\n    from implicit_rank import store", "theory/effective imports store"),
        ("theory/effective.py", "from ..figures import style", "theory/effective imports figures"),
        ("chain.py", "import implicit_rank.data", "chain imports data"),
        ("odd.py", "import implicit_rank.data", "odd: odd has no place"),
    ],
)
def test_an_upward_import_is_found(tmp_path, file, line, complaint):
    (tmp_path / "theory").mkdir()
    (tmp_path / file).write_text(line)
    assert [w for w in wrong_imports(tmp_path) if complaint in w]


def test_a_downward_import_is_fine(tmp_path):
    (tmp_path / "claims.py").write_text("from implicit_rank import __version__, store\nfrom . import spectra\n")
    assert wrong_imports(tmp_path) == []


def test_every_room_has_its_place_and_says_what_it_is_for():
    found = rooms(PACKAGE)
    assert set(found) == {name for names in LAYERS for name in names}
    for name, paths in found.items():
        assert about(paths).rstrip().endswith((".", ":")), name


def test_the_picture_shows_every_room_and_what_it_imports():
    drawn, edges = picture(PACKAGE), graph(PACKAGE)
    assert all(f">{name}</text>" in drawn for name in edges)
    assert drawn.count("<path d=") - 1 == sum(map(len, direct(edges).values()))  # one is the tip of the arrows
    assert "train" in edges["experiments"]


def test_an_arrow_that_follows_from_others_is_left_out():
    assert direct({"c": {"a", "b"}, "b": {"a"}, "a": set()}) == {"c": {"b"}, "b": {"a"}, "a": set()}
