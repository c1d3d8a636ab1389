"""What the ledger's pages are made of: HTML with a plain-text alternative, badges and the shared assets."""

import functools
from html import escape
from pathlib import Path

from implicit_rank.claims import wording

_ASSETS = Path(__file__).resolve().parent.parent / "assets"


class Shown:
    """HTML with a plain-text alternative."""

    def __init__(self, html: str, text: str):
        self._html, self._text = html, text

    def _repr_html_(self) -> str:
        return f'<div class="ledger"><style>{asset("ledger.css")}</style>{self._html}</div>'

    def __repr__(self) -> str:
        return self._text


def badge(verdict: str, text: str | None = None) -> str:
    """A verdict as a coloured pill, said in a symbol and a word."""
    kind = verdict.replace(" ", "-")
    return f'<span class="verdict verdict-{kind}">{wording.SYMBOLS[verdict]} {escape(text or verdict)}</span>'


@functools.cache
def asset(name: str) -> str:
    """A stylesheet or script of the package."""
    return (_ASSETS / name).read_text(encoding="utf-8")
