"""Numbers, intervals, regions and counts as text, the same in the table, the pages and the verdicts file."""

import math
from collections import Counter
from collections.abc import Sequence

from implicit_rank.claims.judging import Case, Judgement
from implicit_rank.claims.verdicts import VERDICTS, Estimate

SYMBOLS = {"reproduced": "✔", "partly": "◐", "not reproduced": "✘", "inconclusive": "?", "not run": "○"}


def number(value: float) -> str:
    """Four significant digits; whole numbers without a point; infinity as a sign."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.4g}"


def numbers(found: Estimate) -> str:
    """Estimate, interval (two digits of its half-width; omitted when it is a point) and number of seeds."""
    low, high = found.interval
    seeds = f"{found.n} seed{'s' * (found.n != 1)}"
    if low == high or math.isinf(high - low):
        shown = number(found.estimate) if low == high else f"{number(low)} to {number(high)}"
        return f"{shown} ({seeds})"
    decimals = 1 - math.floor(math.log10((high - low) / 2))
    if 0 <= decimals <= 4:
        estimate, low, high = (f"{value:.{decimals}f}" for value in (found.estimate, low, high))
    else:
        estimate, low, high = (f"{value:.3g}" for value in (found.estimate, low, high))
    return f"{estimate} [{low}, {high}] ({seeds})"


def case_line(case: Case) -> str:
    """A case's label and numbers, as far as there are any."""
    found = numbers(case.numbers) if case.numbers else "no number"
    return f"{case.label}: {found}" if case.label else found


def ours(judgement: Judgement) -> list[str]:
    """What we found, one line per case; empty when nothing was run."""
    return [case_line(case) for case in judgement.cases if case.verdict != "not run"]


def accepted(judgement: Judgement) -> str:
    """The accepted region, and of what: fixed before the runs."""
    claim = judgement.claim
    low, high = claim.region
    if claim.kind == "ordering":
        shown = f"> {number(low)}"
    elif claim.expected is not None:
        shown = f"{number(claim.expected)} ± {number(claim.tolerance)}"
    elif math.isinf(high):
        shown = f"≥ {number(low)}"
    elif math.isinf(low):
        shown = f"≤ {number(high)}"
    else:
        shown = f"{number(low)} to {number(high)}"
    what = {"ordering": "ratio " if claim.ratio else "difference ", "identity": "largest ",
            "trend": {"spearman": "rank correlation ", "slope": "slope ",
                      "loglog_slope": "log-log slope "}.get(claim.statistic, "")}.get(claim.kind, "")
    return f"{what}{shown}" + (" in each seed" if claim.seeds == "each" else "")


def why(judgement: Judgement) -> str:
    """Reason and note, one sentence after the other."""
    parts = [judgement.reason, judgement.claim.note, "Stored with older code (stale)." if judgement.stale else ""]
    sentences = [part[0].upper() + part[1:].rstrip() for part in parts if part]
    return " ".join(part if part[-1] in ".!?" else part + "." for part in sentences)


def paper_value(judgement: Judgement) -> str:
    """The paper's own value as text, a dash when the claim has none."""
    value = judgement.claim.paper_value
    return number(float(value)) if isinstance(value, (int, float)) else value or "–"


def count(judgements: Sequence[Judgement]) -> dict[str, int]:
    """How many claims have each verdict, in the verdicts' order, zeros included."""
    found = Counter(judgement.verdict for judgement in judgements)
    return {verdict: found[verdict] for verdict in VERDICTS}


def summary(judgements: Sequence[Judgement]) -> str:
    """One line: "12 claims: 9 reproduced, 1 partly, 2 not run"."""
    total = f"{len(judgements)} claim{'s' * (len(judgements) != 1)}"
    parts = [f"{n} {verdict}" for verdict, n in count(judgements).items() if n]
    return f"{total}: {', '.join(parts)}" if parts else total
