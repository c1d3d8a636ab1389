"""How many claims came out how: by verdict, by paper, by whose question; and what chance alone would decide.

Rows that another one supersedes are counted nowhere.
"""

from collections.abc import Sequence

from implicit_rank.claims import wording
from implicit_rank.claims.judging import Judgement
from implicit_rank.claims.keys import QUESTIONS
from implicit_rank.claims.report import ledger
from implicit_rank.claims.shown import Shown, badge
from implicit_rank.claims.verdicts import CONFIDENCE, VERDICTS

_HEADS = {"printed": "Printed in the papers", "ours": "Our questions"}


def counts(judgements: Sequence[Judgement] | None = None) -> Shown:
    """How many claims have which verdict: what papers print and what we ask apart, per paper and in all."""
    judgements = ledger() if judgements is None else judgements
    standing, columns, heads = wording.standing(judgements), [], ""
    papers = list(dict.fromkeys(j.claim.paper for j in standing))
    for question in QUESTIONS:
        part = [j for j in standing if j.claim.question == question]
        rows = [(paper, [j for j in part if j.claim.paper == paper]) for paper in papers]
        rows += [("all", part)] if len(papers) > 1 else []
        columns += [(f"{paper}, {wording.QUESTION[question]}", found) for paper, found in rows]
        heads += f'<th scope="colgroup" colspan="{len(rows)}">{_HEADS[question]}</th>'
    names = "".join(f'<th scope="col">{name.partition(",")[0]}</th>' for name, _ in columns)
    tallies = [wording.count(part) for _, part in columns]
    body = "".join(_row(badge(verdict), [tally[verdict] for tally in tallies]) for verdict in VERDICTS)
    body += _row("claims", [len(part) for _, part in columns])
    body += _row("of these post hoc", [sum(bool(j.claim.post_hoc) for j in part) for _, part in columns])
    apart = len(judgements) - len(standing)
    aside = f"{apart} superseded row{'s' * (apart != 1)} not counted." if apart else ""
    text = "\n".join([*(f"{name}: {wording.summary(part)}" for name, part in columns), *([aside] if aside else [])])
    return Shown(
        '<div class="table-scroll"><table class="ledger-counts"><thead>'
        f'<tr><th rowspan="2" scope="col">Verdict</th>{heads}</tr><tr>{names}</tr></thead><tbody>{body}</tbody></table>'
        f"</div>{f'<p><small>{aside}</small></p>' if aside else ''}",
        text,
    )


def tally(judgements: Sequence[Judgement]) -> str:
    """The verdicts of some claims as badges with their numbers, one line for each sort of question."""
    lines = []
    for question in QUESTIONS:
        part = [j for j in judgements if j.claim.question == question]
        if part:
            found = " ".join(badge(verdict, f"{n} {verdict}") for verdict, n in wording.count(part).items() if n)
            lines.append(f"{len(part)} {'printed' if question == 'printed' else 'of ours'}: {found}")
    return "; ".join(lines)


def multiplicity(judgements: Sequence[Judgement] | None = None) -> Shown:
    """What so many intervals decide wrongly by chance, as a sentence with the numbers of the present ledger."""
    standing = wording.standing(ledger() if judgements is None else judgements)
    found = [
        sum(bool(case.numbers and case.numbers.coverage == CONFIDENCE) for case in j.cases)
        for j in standing
        if j.claim.seeds == "mean"
    ]
    rows, intervals = sum(n > 0 for n in found), sum(found)
    wrong = intervals * (1 - CONFIDENCE) / 2
    text = (
        f"{rows} of the {len(standing)} rows are judged by 95 % intervals, {intervals} of them in all. If every true "
        f"value sat exactly on the edge of its region, {100 * (1 - CONFIDENCE) / 2:g} % of the intervals, "
        f"about {wrong:.0f}, would lie wholly on the wrong side and decide wrongly. Values far from an edge make this "
        "rarer, but no interval knows how many others were computed: a single surprising verdict is weak evidence, "
        "several that agree are more."
    )
    return Shown(f"<p>{text}</p>", text)


def _row(head: str, numbers: Sequence[int]) -> str:
    return f'<tr><th scope="row">{head}</th>' + "".join(f"<td>{n}</td>" for n in numbers) + "</tr>"
