"""Numbers, intervals, regions and counts as text, the same in the table, the pages and the verdicts file."""

import math
from collections import Counter
from collections.abc import Sequence

from implicit_rank.claims.grammar import Claim
from implicit_rank.claims.judging import Judgement, join_labels
from implicit_rank.claims.verdicts import VERDICTS, Estimate, covers

QUESTION = {"printed": "printed", "ours": "our question"}
SYMBOLS = dict(zip(VERDICTS, "✔◐✘?①○", strict=True))


def number(value: float) -> str:
    """Four significant digits; whole numbers without a point; infinity as a sign."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.4g}"


def numbers(found: Estimate, values: Sequence[float] | None = None) -> str:
    """Estimate and interval (two digits of its half-width; omitted when it is a point).

    Given the single `values`, their range instead: what counts when each seed is judged by itself.
    """
    if values:
        there = [value for value in values if not math.isnan(value)]
        absent = f" (no number in {len(values) - len(there)} of {len(values)})" if len(there) < len(values) else ""
        return _range(min(there), max(there)) + absent
    low, high = found.interval
    if math.isinf(low) or math.isinf(high) or (found.logarithmic and low == 0):
        return _range(low, high) + (f" ({covers(found)})" if found.coverage else "")
    if low == high:
        return number(low)
    if found.logarithmic:
        digits = max(2, 2 - math.floor(math.log10(math.log(high / low) / 2)))
        if digits < 7:
            shown = [_significant(value, digits) for value in (found.estimate, low, high)]
            return f"{shown[0]} [{shown[1]}, {shown[2]}]"
    decimals = 1 - math.floor(math.log10((high - low) / 2))
    if -5 <= decimals <= 4:
        shown = [f"{round(value, decimals):.{max(decimals, 0)}f}" for value in (found.estimate, low, high)]
        return f"{shown[0]} [{shown[1]}, {shown[2]}]"
    if abs(found.estimate) > 1e3 * (high - low):  # the ends would read like the estimate
        return f"{number(found.estimate)} ± {(high - low) / 2:.1g}"
    return f"{found.estimate:.3g} [{low:.3g}, {high:.3g}]"


def _range(low: float, high: float) -> str:
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def _significant(value: float, digits: int) -> str:
    """A positive number to so many digits, without an exponent where that reads better."""
    decimals = digits - 1 - math.floor(math.log10(value))
    return f"{round(value, decimals):.{max(decimals, 0)}f}" if -5 <= decimals <= 6 else f"{value:.{digits}g}"


def ours(judgement: Judgement) -> list[str]:
    """What we found: one line per result with the cases that gave it; empty when nothing was run."""
    lines: dict[str, list[str]] = {}
    for case in judgement.cases:
        if case.verdict != "not run":
            each = list(case.values.values()) if judgement.claim.seeds == "each" else None
            lines.setdefault(numbers(case.numbers, each) if case.numbers else "no number", []).append(case.label)
    return [f"{join_labels(labels)}: {found}" if labels != [""] else found for found, labels in lines.items()]


def basis(judgement: Judgement) -> str:
    """What our numbers rest on: seeds and profile; empty when nothing was run."""
    sizes = sorted({case.numbers.n for case in judgement.cases if case.numbers})
    if not sizes:
        return ""
    if judgement.claim.seeds == "none":
        return f"nothing drawn at random, {judgement.profile} profile"
    seeds = f"{sizes[0]} to {sizes[-1]} seeds" if len(sizes) > 1 else f"{sizes[0]} seed{'s' * (sizes[0] != 1)}"
    return f"{seeds}, {judgement.profile} profile"


def accepted(judgement: Judgement) -> str:
    """The accepted region, and of what: fixed before the runs."""
    claim = judgement.claim
    low, high = claim.region
    if claim.kind == "ordering":
        shown = f"> {number(low)}"
    elif claim.kind == "equivalence":
        shown = f"{number(low)} to {number(high)}"
    elif claim.expected is not None:
        shown = f"{number(claim.expected)} ± {number(claim.tolerance)}"
    elif math.isinf(high):
        shown = f"≥ {number(low)}"
    elif math.isinf(low):
        shown = f"≤ {number(high)}"
    else:
        shown = f"{number(low)} to {number(high)}"
    what = {
        "ordering": "ratio " if claim.ratio else "difference ",
        "equivalence": "ratio " if claim.ratio else "difference ",
        "identity": "largest ",
        "trend": {"spearman": "rank correlation ", "slope": "slope ", "loglog_slope": "log-log slope "}.get(
            claim.statistic, ""
        ),
    }.get(claim.kind, "geometric mean " if claim.log else "")
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


def standing(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Those that count: all but the rows that another one supersedes."""
    return [judgement for judgement in judgements if not judgement.claim.superseded_by]


def short_marks(claim: Claim) -> list[str]:
    """What a reader must know beside a verdict, in a word or two each."""
    return [QUESTION["ours"]] * (claim.question == "ours") + ["post hoc"] * bool(claim.post_hoc)


def marks(claim: Claim) -> list[str]:
    """What sets a row apart, as its table says it."""
    said = {"our question": "our question: no paper prints it", "post hoc": f"post hoc: {claim.post_hoc}"}
    sort = ["erratum: fails as printed"] if claim.erratum else ["corrected form"] if claim.corrects else []
    return sort + [said[mark] for mark in short_marks(claim)]


def count(judgements: Sequence[Judgement]) -> dict[str, int]:
    """How many claims have each verdict, in the verdicts' order, zeros included."""
    found = Counter(judgement.verdict for judgement in judgements)
    return {verdict: found[verdict] for verdict in VERDICTS}


def summary(judgements: Sequence[Judgement]) -> str:
    """One line: "12 claims: 9 reproduced, 1 partly, 2 not run"."""
    total = f"{len(judgements)} claim{'s' * (len(judgements) != 1)}"
    parts = [f"{n} {verdict}" for verdict, n in count(judgements).items() if n]
    return f"{total}: {', '.join(parts)}" if parts else total
