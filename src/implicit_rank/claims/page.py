"""The ledger as HTML for chapters, the scoreboard and the errata page.

Every function returns an object that a notebook shows as HTML and a terminal as text. The HTML loads nothing,
carries no ids except one per claim on the scoreboard, says every verdict in a symbol and a word, and turns rows
into cards where there is little room.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from implicit_rank.claims import wording
from implicit_rank.claims.grammar import load_claims
from implicit_rank.claims.judging import Judgement
from implicit_rank.claims.keys import QUESTIONS
from implicit_rank.claims.report import ledger, text_table
from implicit_rank.claims.shown import Shown, asset, badge
from implicit_rank.claims.tallies import tally
from implicit_rank.claims.verdicts import MEANING, VERDICTS
from implicit_rank.store import library

_COLUMNS = ("Claim", "Where", "Paper says", "We find", "Verdict and why")


_NONE = Shown("<p>No claim of the ledger is tested here.</p>", "No claim of the ledger is tested here.")


def rows_for(chapter: str, judgements: Sequence[Judgement] | None = None) -> Shown:
    """The table of a chapter's claims ("02" or the whole file stem), for its verdict section."""
    judgements = _of_chapter(chapter) if judgements is None else judgements
    if not judgements:
        return _NONE
    return Shown(_table(wording.standing(judgements)) + _superseded(judgements), text_table(judgements))


def badges(chapter: str, judgements: Sequence[Judgement] | None = None) -> Shown:
    """A chapter's claims in short, for its head: the counts, and each claim with its verdict to unfold."""
    judgements = _of_chapter(chapter) if judgements is None else judgements
    if not judgements:
        return _NONE
    standing = wording.standing(judgements)
    items = "".join(
        f"<li>{badge(j.verdict)}{_marks(j)} {escape(j.claim.says)} <small>({escape(j.claim.paper)}, "
        f"{escape(j.claim.where)})</small></li>"
        for j in standing
    )
    total = f"{len(standing)} claim{'s' * (len(standing) != 1)} tested here:"
    html = (
        f'<details><summary>{total} {tally(standing)}</summary><ul class="ledger-list">{items}</ul></details>'
        f"{_superseded(judgements)}"
    )
    return Shown(html, wording.summary(standing))


def scoreboard(judgements: Sequence[Judgement] | None = None) -> Shown:
    """All claims in one table that can be sorted and filtered, with the keyboard too."""
    judgements = ledger() if judgements is None else judgements
    standing = wording.standing(judgements)
    papers = list(dict.fromkeys(j.claim.paper for j in standing))
    fields = (
        '<label>Text <input type="search" autocomplete="off"></label>'
        f'<label>Verdict <select class="by-verdict">{_options("all verdicts", VERDICTS)}</select></label>'
        f'<label>Paper <select class="by-paper">{_options("all papers", papers)}</select></label>'
        '<label>Question <select class="by-question">'
        f"{_options('all questions', QUESTIONS, wording.QUESTION)}</select></label>"
        f'<label>Mark <select class="by-mark">{_options("all rows", ("post hoc", "not post hoc"))}</select></label>'
        '<label>Order <select class="by-order"></select></label>'
    )
    html = (
        f'<div class="ledger-board"><div class="ledger-filters" hidden>{fields}</div>'
        f'<p class="dim" role="status">{len(standing)} claims</p>{_table(standing, True)}</div>'
        f"{_superseded(judgements, True)}"
        f"<script>{asset('ledger.js')}</script>"
    )
    return Shown(html, text_table(judgements))


_ERRATA = (
    "Wrong as printed; the corrected form is reproduced",
    "Wrong as printed; the corrected form is not settled, or does not hold either",
    "Not settled that it is wrong as printed",
)


def errata(judgements: Sequence[Judgement] | None = None) -> Shown:
    """Claims marked as errata beside the claims that correct them, grouped by what the ledger finds of both."""
    judgements = wording.standing(ledger() if judgements is None else judgements)
    groups: list[list] = [[] for _ in _ERRATA]
    for printed in judgements:
        if printed.claim.erratum:
            twins = [other for other in judgements if other.claim.corrects == printed.claim.id]
            groups[_standing(printed, twins)].append((printed, twins))
    if not any(groups):
        return Shown("<p>No errata so far.</p>", "No errata so far.")
    html, text = "", []
    for title, pairs in zip(_ERRATA, groups, strict=True):
        if not pairs:
            continue
        html += f"<p><strong>{title} ({len(pairs)})</strong></p>" + "".join(
            f'<div class="ledger-pair"><div>{_side("As printed", printed)}</div><div>'
            + "".join(_side("Corrected", twin) for twin in twins)
            + "</div></div>"
            for printed, twins in pairs
        )
        text.append("\n\n".join([title, *(text_table([printed, *twins]) for printed, twins in pairs)]))
    return Shown(html, "\n\n".join(text))


def _standing(printed: Judgement, twins: Sequence[Judgement]) -> int:
    """Which group of errata a pair belongs to."""
    if printed.verdict != "not reproduced":
        return 2
    return 0 if twins and all(twin.verdict == "reproduced" for twin in twins) else 1


def meanings() -> Shown:
    """What each verdict means, one line per word."""
    items = "".join(f"<li>{badge(verdict)} {escape(meaning)}</li>" for verdict, meaning in MEANING.items())
    text = "\n".join(f"{verdict}: {meaning}" for verdict, meaning in MEANING.items())
    return Shown(f'<ul class="ledger-list">{items}</ul>', text)


def _of_chapter(chapter: str) -> list[Judgement]:
    """A chapter's judgements; none for a chapter without claims, so that it can be built before it has any."""
    claims = load_claims()
    return ledger(chapter=chapter) if any(claim.chapter.startswith(chapter) for claim in claims) else []


def _table(judgements: Sequence[Judgement], whole: bool = False) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    several = len({judgement.claim.paper for judgement in judgements}) > 1
    body = "".join(_row(number, judgement, whole, several) for number, judgement in enumerate(judgements))
    return f'<table class="ledger-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _row(number: int, judgement: Judgement, whole: bool, several: bool) -> str:
    claim = judgement.claim
    found = "".join(f"<div>{escape(line)}</div>" for line in wording.ours(judgement))
    basis = f"<div><small>{wording.basis(judgement)}</small></div>" if found else ""
    tags = "".join(f"<div><small>{escape(mark)}</small></div>" for mark in wording.marks(claim))
    if claim.superseded_by:
        page = "" if whole else "scoreboard.html"
        link = f'<a href="{page}#claim-{claim.superseded_by}">{escape(claim.superseded_by)}</a>'
        tags += f"<div><small>superseded by {link}</small></div>"
    place = f"{escape(claim.paper)}, {escape(claim.where)}" if whole or several else escape(claim.where)
    link = f"<div>{_chapter_link(claim.chapter)}</div>" if whole else ""
    reason = escape(wording.why(judgement))
    cells = {
        "Claim": (f"<div>{escape(claim.says)}</div>{tags}", f"{number:04d}"),
        "Where": (f"<div>{place}</div>{link}", None),
        "Paper says": (
            f"<div>{escape(wording.paper_value(judgement))}</div>"
            f"<div><small>accepted: {escape(wording.accepted(judgement))}</small></div>",
            None,
        ),
        "We find": (f"{found}{basis}" or "<div>–</div>", _first_number(judgement)),
        "Verdict and why": (
            f"<div>{badge(judgement.verdict)}</div>" + (f"<div>{reason}</div>" if reason else ""),
            str(VERDICTS.index(judgement.verdict)),
        ),
    }
    rendered = "".join(
        f'<td data-label="{name.removesuffix(" and why")}"'
        + (f' data-sort="{key}"' if key is not None else "")
        + f">{content}</td>"
        for name, (content, key) in cells.items()
    )
    anchor = f' id="claim-{claim.id}"' if whole else ""
    # what one may look for without its standing in the row: the experiment and the settings of its runs
    more = " ".join(map(str, [claim.id, claim.experiment, claim.measure, *claim.select.values()]))
    marks = f'data-verdict="{judgement.verdict}" data-paper="{escape(claim.paper)}" '
    marks += f'data-question="{claim.question}" data-mark="{"post hoc" if claim.post_hoc else "not post hoc"}" '
    marks += f'data-more="{escape(more)}"'
    return f"<tr{anchor} {marks}>{rendered}</tr>"


def _first_number(judgement: Judgement) -> str:
    """The estimate that the column is sorted by; empty where there is none."""
    found = [case.numbers.estimate for case in judgement.cases if case.numbers]
    if not found:
        return ""
    return f"{found[0]:.6g}".replace("inf", "Infinity")


def _side(title: str, judgement: Judgement) -> str:
    found = "; ".join(wording.ours(judgement))
    measured = (
        f"<p><small>accepted: {escape(wording.accepted(judgement))}; we find {escape(found)} "
        f"({wording.basis(judgement)})</small></p>"
    )
    reason = escape(wording.why(judgement))
    return (
        f"<p><strong>{title}</strong> {badge(judgement.verdict)}{_marks(judgement)}</p>"
        f"<p>{escape(judgement.claim.says)} <small>"
        f"({escape(judgement.claim.paper)}, {escape(judgement.claim.where)}; "
        f"{_chapter_link(judgement.claim.chapter)})</small></p>{measured if found else ''}"
        + (f"<p><small>{reason}</small></p>" if reason else "")
    )


def _chapter_link(chapter: str) -> str:
    name = chapter.partition("_")[0]
    shown = f"chapter {int(name)}" if name.isdigit() else chapter.replace("_", " ")
    known = chapter in _pages()  # a link must lead somewhere
    return f'<a href="{escape(chapter)}.html">{escape(shown)}</a>' if known else escape(shown)


def _marks(judgement: Judgement) -> str:
    """ "our question" and "post hoc" beside a verdict."""
    return "".join(f' <small class="mark">{mark}</small>' for mark in wording.short_marks(judgement.claim))


def _superseded(judgements: Sequence[Judgement], whole: bool = False) -> str:
    """The rows that another one supersedes, folded away; empty when there are none."""
    apart = [j for j in judgements if j.claim.superseded_by]
    if not apart:
        return ""
    head = f"{len(apart)} superseded row{'s' * (len(apart) != 1)}, not counted; each names its successor"
    return f"<details><summary>{head}</summary>{_table(apart, whole)}</details>"


def _options(everything: str, values: Sequence[str], names: Mapping[str, str] | None = None) -> str:
    return f'<option value="">{everything}</option>' + "".join(
        f'<option value="{escape(value)}">{escape((names or {}).get(value, value))}</option>' for value in values
    )


@functools.cache
def _pages() -> set[str]:
    """The pages in the book's table of contents."""
    toc = (library() or Path()) / "_toc.yml"
    return set(re.findall(r"file:\s*book/(\S+)", toc.read_text(encoding="utf-8"))) if toc.is_file() else set()
