"""The layers of the package as its imports have them: what may import what, what does, and a picture of it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from implicit_rank.book.layout import Layout

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
BASES = ("parameters", "folders", "tree", "spectra", "chain", "nets", "train", "store", "claims", "book")
_TOP = "__init__"  # implicit_rank/__init__.py shows names of any layer, and only on use
_WIDTH, _HEIGHT, _ROW, _GAP, _PAGE = 112, 40, 92, 18, 640

_TIP = (
    '<marker id="layers-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z"></path></marker>'
)


def imported(path: Path, package: Path) -> set[str]:
    """The rooms (first names below the package) that a file imports, imports inside functions included."""
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


def wrong_imports(package: Path) -> list[str]:
    """Every import that goes up or sideways, one sentence each; empty when all is well."""
    wrong = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts == (_TOP,):
            continue
        for name in sorted(imported(path, package) - {parts[0]}):
            here, there = LEVEL.get(parts[0]), LEVEL.get(name)
            if here is None or there is None:
                wrong.append(f"{'/'.join(parts)}: {parts[0] if here is None else name} has no place in the table")
            elif there > here or (there == here and name not in BASES):
                wrong.append(f"{'/'.join(parts)} imports {name}, which is not below it")
    return wrong


def rooms(package: Path) -> dict[str, list[Path]]:
    """The files of every room of the package."""
    found: dict[str, list[Path]] = {}
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).with_suffix("").parts[0]
        if name != _TOP:
            found.setdefault(name, []).append(path)
    return found


def graph(package: Path) -> dict[str, set[str]]:
    """Room -> the rooms that it imports."""
    files = rooms(package)
    return {name: set().union(*(imported(path, package) for path in paths)) - {name} for name, paths in files.items()}


def direct(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same graph without the arrows that follow from others (its transitive reduction; it has no circle)."""

    def below(name: str) -> set[str]:
        return edges[name].union(*(below(other) for other in edges[name])) if edges[name] else set()

    return {
        name: {other for other in others if not any(other in below(third) for third in others - {other})}
        for name, others in edges.items()
    }


def about(paths: list[Path]) -> str:
    """What a room says of itself: the first sentence of its module's docstring."""
    front = next((path for path in paths if path.name == "__init__.py"), paths[0])
    return (
        (ast.get_docstring(ast.parse(front.read_text(encoding="utf-8"))) or "").partition("\n\n")[0].replace("\n", " ")
    )


def picture(package: Path) -> str:
    """The layers as SVG, the lowest at the bottom: a box a room with its lines of code, an arrow an import."""
    files, place = rooms(package), {}
    shown = [[name for name in layer if name in files] for layer in LAYERS]
    for level, names in enumerate(shown):
        left = (_PAGE - len(names) * _WIDTH - (len(names) - 1) * _GAP) / 2
        for i, name in enumerate(names):
            place[name] = (left + i * (_WIDTH + _GAP), 12 + (len(shown) - 1 - level) * _ROW)
    lines = [
        _arrow(place[name], place[other]) for name, others in direct(graph(package)).items() for other in sorted(others)
    ]
    boxes = []
    for name, (x, y) in place.items():
        count = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files[name])
        boxes.append(
            f'<g><rect x="{x:.0f}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"></rect>'
            f'<text x="{x + _WIDTH / 2:.0f}" y="{y + 17}">{escape(name)}</text>'
            f'<text x="{x + _WIDTH / 2:.0f}" y="{y + 32}" class="lines">{count:,} lines</text></g>'
        )
    words = "; ".join(
        f"{name} imports {', '.join(sorted(others))}" for name, others in direct(graph(package)).items() if others
    )
    return (
        f'<svg class="layers" viewBox="0 0 {_PAGE} {(len(shown) - 1) * _ROW + _HEIGHT + 24}" role="img" '
        f'aria-label="{escape(words)}"><defs>{_TIP}</defs>{"".join(lines)}{"".join(boxes)}</svg>'
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    if y1 == y2:  # neighbours in a layer: from side to side
        right = x2 > x1
        ends = (x1 + _WIDTH * right, y1 + _HEIGHT / 2, x2 + _WIDTH * (not right), y2 + _HEIGHT / 2)
        if abs(x2 - x1) > _WIDTH + _GAP:  # over the boxes between them
            middle = (x1 + x2 + _WIDTH) / 2
            return f'<path d="M{x1 + _WIDTH / 2:.0f} {y1}Q{middle:.0f} {y1 - 34} {x2 + _WIDTH / 2:.0f} {y2}"></path>'
    else:
        ends = (x1 + _WIDTH / 2, y1 + _HEIGHT, x2 + _WIDTH / 2, y2)
    return '<path d="M{:.0f} {:.0f}L{:.0f} {:.0f}"></path>'.format(*ends)


class Layers(SphinxDirective):
    """The picture of the layers, and a table of what each room is for."""

    def run(self):
        package = Layout(Path(self.env.srcdir)).package
        for paths in rooms(package).values():
            for path in paths:
                self.env.note_dependency(str(path))
        entries = []
        for names in reversed(LAYERS):
            for name in names:
                if paths := rooms(package).get(name):
                    term = nodes.term("", "", nodes.literal("", name))
                    definition = nodes.definition("", nodes.paragraph("", about(paths).replace("`", "")))
                    entries.append(nodes.definition_list_item("", term, definition))
        return [nodes.raw("", picture(package), format="html"), nodes.definition_list("", *entries)]
