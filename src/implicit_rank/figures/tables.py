"""Tables in a page's own style, which scroll by themselves where the page is narrow."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from implicit_rank.figures.slider import Html

EMPTY = "<p>No stored run is there.</p>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """Return an HTML table that scrolls by itself on a narrow page, or a sentence where there is no row."""
    if not rows:
        return Html(EMPTY)
    head = "".join(f"<th scope='col'>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return scrolling(f"<tr>{head}</tr>", body)


def scrolling(head: str, body: str) -> Html:
    """Return a table from the HTML of the rows of its head and of its body."""
    inner = f"<thead>{head}</thead><tbody>{body}</tbody>"
    return Html(f"<div class='table-scroll'><table class='table'>{inner}</table></div>")
