"""A paper's table beside ours: in every cell its number, our estimate with its interval, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from implicit_rank.claims import wording
from implicit_rank.claims.judging import Judgement
from implicit_rank.claims.shown import Shown, badge
from implicit_rank.claims.verdicts import estimate


@dataclass(frozen=True)
class Cell:
    """What one cell says; empty lines are left out.

    `paper`, `ours` and `aside` are short texts (see `measured`), `verdict` one of the ledger's words.
    """

    paper: str = ""
    ours: str = ""
    verdict: str = ""
    aside: str = ""


def judged(judgement: Judgement, aside: str = "", shown: str = "") -> Cell:
    """The cell of one claim: its paper value, what we find, and the ledger's verdict.

    `shown` replaces the paper's value, where the ledger's text is too long for a cell.
    """
    return Cell(shown or wording.paper_value(judgement), "; ".join(wording.ours(judgement)), judgement.verdict, aside)


def measured(values: Iterable[float], log: bool = False) -> str:
    """Mean and 95 % interval of one number per seed as text; empty where none is finite.

    With `log` (times, ranks, distances, errors: what is positive and spreads by factors) both are taken on
    logarithms, as the ledger does. Where only some numbers are finite, " in 2 of 3" says by how many seeds it was
    reached. Raises ValueError for negative numbers on logarithms.
    """
    values = [float(value) for value in values]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    text = wording.numbers(estimate(finite, logarithmic=log))
    return text if len(finite) == len(values) else f"{text} in {len(finite)} of {len(values)}"


def in_blocks(
    blocks: Mapping[str, Sequence], rows_of: Callable[[Sequence], Mapping[str, Sequence[Cell]]]
) -> dict[str, Sequence[Cell]]:
    """The rows of several blocks of runs in one table, each block under the words that head it.

    `rows_of` makes rows by name from the runs of a block. A name that an earlier block has too gets the beginning of
    the block's head: "AE (this build)".
    """
    rows: dict[str, Sequence[Cell]] = {}
    for head, records in blocks.items():
        rows[head] = []
        mark = head.partition(",")[0]
        for name, cells in rows_of(records).items():
            rows[f"{name} ({mark[:1].lower()}{mark[1:]})" if name in rows else name] = cells
    return rows


def comparison(
    corner: str, columns: Sequence[str], rows: Mapping[str, Sequence[Cell]], *, ours: str = "ours", aside: str = ""
) -> Shown:
    """A table of cells, `rows` by name with one cell a column, that scrolls by itself on a narrow page.

    `corner` heads the names of the rows; `ours` and `aside` are the words before our estimates and before the
    second number of a cell. A row without cells is a heading across the table. Raises ValueError for a row of another
    length.
    """
    body, lines = [], []
    for name, cells in rows.items():
        if not cells:
            words = f'<div class="rowgroup">{escape(name)}</div>'  # stays in sight while the table is scrolled sideways
            body.append(f'<tr><th scope="rowgroup" colspan="{len(columns) + 1}">{words}</th></tr>')
            lines.append(name)
            continue
        if len(cells) != len(columns):
            raise ValueError(f"row {name!r} has {len(cells)} cells for {len(columns)} columns.")
        shown = "".join(f"<td>{_html(cell, ours, aside)}</td>" for cell in cells)
        body.append(f'<tr><th scope="row">{unbroken(name)}</th>{shown}</tr>')
        lines += [f"{name}, {column}: {_text(cell, ours, aside)}" for column, cell in zip(columns, cells, strict=True)]
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in (corner, *columns))
    html = (
        f'<div class="table-scroll"><table class="table comparison"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )
    return Shown(html, "\n".join(lines))


def unbroken(name: str) -> str:
    """A row's name as HTML that has no line break at "l = 8" and W_e as it stands in formulas."""
    return escape(name).replace(" = ", "\u00a0=\u00a0").replace("W_e", "<i>W<sub>e</sub></i>")


def _html(cell: Cell, ours: str, aside: str) -> str:
    lines = []
    if cell.paper:
        lines.append(f"<small>paper</small> {escape(cell.paper)}")
    if cell.ours:
        lines.append(f"<small>{escape(ours)}</small> <strong>{escape(cell.ours)}</strong>")
    if cell.verdict:
        lines.append(badge(cell.verdict))
    if cell.aside:
        lines.append(f"<small>{escape(aside)}</small> {escape(cell.aside)}")
    return "".join(f'<div style="white-space:nowrap">{line}</div>' for line in lines) or "–"


def _text(cell: Cell, ours: str, aside: str) -> str:
    named = (("paper", cell.paper), (ours, cell.ours), ("", cell.verdict), (aside, cell.aside))
    return "; ".join(f"{name} {value}".strip() for name, value in named if value) or "–"
