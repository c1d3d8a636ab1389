"""Tables in a page's own style, which scroll by themselves where the page is narrow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from implicit_rank.figures.kit.slider import Html

EMPTY = "<p>No stored run is there.</p>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]] | Mapping[str, Sequence[Sequence[str]]]) -> Html:
    """An HTML table that scrolls by itself on a narrow page, or a sentence where there is no row.

    `rows` may come in blocks, under the words that head them; a block without a row is left out.
    """
    blocks = {words: block for words, block in (rows.items() if isinstance(rows, Mapping) else [("", rows)]) if block}
    if not blocks:
        return Html(EMPTY)
    head = "".join(f"<th scope='col'>{typeset(cell)}</th>" for cell in header)
    body = []
    for words, block in blocks.items():
        if words:
            body.append(head_of_block(words, len(header)))
        body += ["<tr>" + "".join(f"<td>{typeset(str(cell))}</td>" for cell in row) + "</tr>" for row in block]
    return scrolling(f"<tr>{head}</tr>", "".join(body))


def head_of_block(words: str, columns: int) -> str:
    """The HTML of a row across all columns with the words that head the rows below it."""
    return f"<tr><th scope='rowgroup' colspan='{columns}'><span>{escape(words)}</span></th></tr>"


def typeset(text: str) -> str:
    """Text as HTML, with W_e and W^T as they stand in formulas, and no line broken at "N = 8"."""
    text = escape(text).replace(" = ", "\u00a0=\u00a0")
    return text.replace("W_e", "<i>W<sub>e</sub></i>").replace("W^T", "<i>W</i><sup>T</sup>")


def scrolling(head: str, body: str) -> Html:
    """A table from the HTML of the rows of its head and of its body."""
    inner = f"<thead>{head}</thead><tbody>{body}</tbody>"
    return Html(f"<div class='table-scroll'><table class='table'>{inner}</table></div>")


def ends(values: Iterable[float], form: str = "{:.0f}") -> str:
    """The range of finite numbers in words, "3 to 5", or one number where both ends print alike.

    What is not finite has not been reached: "3 to 5 (in 2 of 3)" then says by how many it was, and "never" that none
    did.
    """
    values = list(values)
    kept = [value for value in values if math.isfinite(value)]
    if not kept:
        return "never" if values else "(not run)"
    low, high = (form.format(end).replace("-", "−") for end in (min(kept), max(kept)))
    text = low if low == high else f"{low} to {high}"
    return text if len(kept) == len(values) else f"{text} (in {len(kept)} of {len(values)})"


def spread(values: Iterable[float], form: str = ".3f") -> str:
    """One number a seed as mean and range, "0.91 (0.90–0.92)", or one number where all print alike.

    What is not finite has not been reached: "in 2 of 3" then says by how many it was, and a dash that none did.
    """
    values = [float(value) for value in values]
    kept = [value for value in values if math.isfinite(value)]
    if not kept:
        return "–"
    ends = ".0f" if all(value.is_integer() for value in kept) else form  # counts
    mean, low, high = format(np.mean(kept), form), format(min(kept), ends), format(max(kept), ends)
    mean = low if min(kept) == max(kept) else mean
    text = mean
    if low != high:
        text += f" ({low}\u00a0to\u00a0{high})" if "-" in low else f" ({low}\u2060–\u2060{high})"  # neither breaks
    return text if len(kept) == len(values) else f"{text} in\u00a0{len(kept)}\u00a0of\u00a0{len(values)}"
