"""Imports inside the package only go down, function-level imports included."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "implicit_rank"
LAYERS = (
    ("parameters", "folders", "tree", "spectra", "theory"),
    ("chain", "nets", "autoencoder", "data"),
    ("linear", "train", "evaluate"),
    ("store", "experiments"),
    ("sweep", "claims", "figures", "glue"),
    ("book", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# Within a layer too there is an order: these may be imported by their neighbours, never the other way round.
BASES = ("parameters", "folders", "tree", "spectra", "chain", "nets", "train", "store", "book")
TOP = "__init__"  # implicit_rank/__init__.py shows names of any layer, and only on use


def imported(path, package):
    """The first names below the package that a file imports: {"store", "chain", ...}."""
    inside = ("implicit_rank", *path.relative_to(package).parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(inside[: len(inside) - node.level + 1]) if node.level else ""
            start = ".".join(p for p in (base, node.module) if p)
            modules = [f"{start}.{alias.name}" for alias in node.names] if start == "implicit_rank" else [start]
        else:
            continue
        names |= {m.split(".")[1] for m in modules if m.startswith("implicit_rank.")}
    return names - {"__version__"}


def wrong_imports(package):
    wrong = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts == (TOP,):
            continue
        for name in sorted(imported(path, package) - {parts[0]}):
            here, there = LEVEL.get(parts[0]), LEVEL.get(name)
            if here is None or there is None:
                wrong.append(f"{'/'.join(parts)}: {parts[0] if here is None else name} has no place in the table")
            elif there > here or (there == here and name not in BASES):
                wrong.append(f"{'/'.join(parts)} imports {name}, which is not below it")
    return wrong


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
