"""The README's score: how many claims of each paper came out how, as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from implicit_rank.claims import wording
from implicit_rank.claims.judging import Judgement
from implicit_rank.claims.keys import QUESTIONS
from implicit_rank.claims.verdicts import VERDICTS
from implicit_rank.store import write_text
from implicit_rank.store.files import read_text

START = "<!-- score: written by `python -m implicit_rank claims --write` -->"
END = "<!-- end of score -->"


def score_table(judgements: Sequence[Judgement]) -> str:
    """A Markdown table of counts: two rows a paper, what it prints and what we ask, and a column per verdict."""
    standing = wording.standing(judgements)
    used = [verdict for verdict in VERDICTS if any(j.verdict == verdict for j in standing)]
    lines = [
        "| paper | question | claims | post hoc | "
        + " | ".join(f"{wording.SYMBOLS[verdict]} {verdict}" for verdict in used)
        + " |",
        "|---|---|---:|---:|" + "---:|" * len(used),
    ]
    for paper in sorted({j.claim.paper for j in standing}):
        for question in QUESTIONS:
            own = [j for j in standing if (j.claim.paper, j.claim.question) == (paper, question)]
            verdicts = [j.verdict for j in own]
            cells = [len(own), sum(bool(j.claim.post_hoc) for j in own), *(verdicts.count(verdict) for verdict in used)]
            lines.append(f"| {paper} | {wording.QUESTION[question]} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def with_score(text: str, judgements: Sequence[Judgement]) -> str:
    """The README's text with the table between its two markers; the text as it is where it has none."""
    head, start, rest = text.partition(START)
    _, end, tail = rest.partition(END)
    if not (start and end):
        return text
    return f"{head}{START}\n\n{score_table(judgements)}\n\n{END}{tail}"


def write_score(judgements: Sequence[Judgement], readme: Path) -> None:
    """Bring the README's score up to date; nothing happens where there is no README."""
    if readme.exists():
        write_text(readme, with_score(read_text(readme), judgements))
