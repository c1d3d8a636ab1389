"""The ledger's grammar: TOML files in, checked `Claim`s out.

One file per paper and word, `book/claims/<paper>_<word>.toml`: a first line `paper = "Sun 2021"`, then one
`[[claim]]` table per claim with these keys (`*` = required; anything else is refused):

=================  ===================================================================================
id*                unique name of lowercase letters, digits and hyphens
where*             the place in the paper
says*              what the paper says, in our words
chapter*           file stem of the chapter that tests it
kind*              identity, value, threshold, ordering, equivalence or trend (below)
experiment*        the experiment whose stored runs decide
measure*           a name in that experiment's MEASURES, a function of one run
question           "printed" (default): the paper says it; "ours" (default of a correction): nobody printed it
post_hoc           margin, wording, selection or seeds that were set after a look at data: what, and which look; it
                   marks the row. Pilots with other seeds, named in the file's head, do not count
superseded_by      id of the row that judges this question now; this one is shown and counted apart
select             spec fields and values that the runs must have
cases              spec fields and lists of values: one verdict per combination
least_profile      least profile at which it may be judged (default "paper")
least_seeds        fewest seeds (default 3)
seeds              "mean" (default): the mean by its 95 % interval; "each": every seed by itself; "none":
                   nothing in the run is drawn at random, so one run is all there can be
missing            "undecided" (default): a seed without a number leaves the row undecided; "fails": it counts
                   as failing (for `seeds = "each"`)
paper_value        the paper's own value, a number or words
erratum, corrects  it fails as printed; it is the corrected form of the claim with this id
note               why, or the qualifier
=================  ===================================================================================

What the kinds add, and the region that the statistic must lie in:

* identity: `at_most`; the statistic is the largest value over all selected runs.
* value: `expected` and `tolerance`; the region is expected ± tolerance. With `log = true` mean and interval are
  taken on logarithms.
* threshold: `at_least` and/or `at_most`; `log` as for value.
* ordering: `lower` and `upper` (spec fields); the statistic is measure(upper) - measure(lower) of one seed,
  to exceed `margin` (default 0); with `ratio = true` it is the ratio, to exceed `margin` (default 1), with mean and
  interval on logarithms. With `at_equal_error = true` the measure is the name of a course along the training, and
  both runs are read where they first reach the larger of the two least errors.
* equivalence: as an ordering, but the statistic must lie close to "the same": with `ratio = true` from 1/`within`
  to `within`, else from -`within` to `within`.
* trend: `along` (a spec field; optionally only its `values`) and `statistic`, "spearman", "slope" or
  "loglog_slope" of measure against field within one seed; then the keys of value or threshold.

**Scale.** What can only be positive and spreads by factors (times, steps, ranks, distances, errors, condition
numbers) is compared by ratios and averaged on logarithms: its seeds differ by factors, so a mean and interval on the
raw scale reach below zero and follow the largest seed. Accuracies, in or as percentages, are differences: they are
bounded on both sides, papers quote them in points, and a ratio of accuracies and one of classification errors would
judge the same runs differently. A measure that is zero or negative in a seed has no logarithm, and the reason says
so; an infinite one ("never") leaves the range of the seeds, see `verdicts.estimate`.

**One run.** A row needs as many seeds as `least_seeds`, and below two it has no spread: it is "one run", whatever it
shows. Two sorts of rows are not about seeds, so that one run may decide them: identities, which hold for every
instance inside a run or fail, and rows that say `seeds = "none"`.
"""

import dataclasses
import itertools
import math
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from implicit_rank.claims.keys import ClaimError, check, known
from implicit_rank.store import library

__all__ = ["Claim", "ClaimError", "load_claims", "read_claims"]


@dataclasses.dataclass(frozen=True)
class Claim:
    """One testable statement of a paper; the module's docstring explains the fields."""

    paper: str
    id: str
    where: str
    says: str
    chapter: str
    kind: str
    experiment: str
    measure: str
    select: dict[str, Any] = dataclasses.field(default_factory=dict)
    cases: dict[str, list] = dataclasses.field(default_factory=dict)
    question: str = "printed"
    post_hoc: str = ""
    superseded_by: str = ""
    least_profile: str = "paper"
    least_seeds: int = 3
    seeds: str = "mean"
    missing: str = "undecided"
    paper_value: str | float = ""
    erratum: bool = False
    corrects: str = ""
    note: str = ""
    expected: float | None = None
    tolerance: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    lower: dict[str, Any] = dataclasses.field(default_factory=dict)
    upper: dict[str, Any] = dataclasses.field(default_factory=dict)
    margin: float | None = None
    within: float | None = None
    log: bool = False
    ratio: bool = False
    at_equal_error: bool = False
    along: str = ""
    values: list = dataclasses.field(default_factory=list)
    statistic: str = ""

    @property
    def region(self) -> tuple[float, float]:
        """The closed interval in which the statistic must lie (open at the lower end for an ordering)."""
        if self.kind == "ordering":
            return (self.margin if self.margin is not None else float(self.ratio)), math.inf
        if self.kind == "equivalence":
            return (1 / self.within if self.ratio else -self.within), self.within
        if self.expected is not None:
            return self.expected - self.tolerance, self.expected + self.tolerance
        return (
            -math.inf if self.at_least is None else self.at_least,
            math.inf if self.at_most is None else self.at_most,
        )

    def settings(self) -> list[dict[str, Any]]:
        """One dict of spec fields per case, in the order of the file; a single empty one without cases."""
        combinations = itertools.product(*self.cases.values())
        return [dict(zip(self.cases, values, strict=True)) for values in combinations]


def load_claims(folder: str | Path | None = None) -> list[Claim]:
    """All claims of a folder (default: `store.library`'s book/claims), by paper, by chapter, then in file order.

    Raises ClaimError, one sentence, for anything that is not in the grammar, for an id used twice, for a
    correction of an unknown claim, for an erratum that nothing corrects and for a successor that is none.
    """
    if folder is None:
        top = library()
        if top is None:
            raise ClaimError(
                "the claims lie in book/claims of the repository, which this copy of the package was installed "
                "without; run this inside a checkout, or install the package from one."
            )
        folder = top / "book" / "claims"
    claims = [claim for path in sorted(Path(folder).glob("[!.]*.toml")) for claim in read_claims(path)]
    seen: dict[str, Claim] = {}
    for claim in claims:
        if claim.id in seen:
            raise ClaimError(
                f"claim {claim.id!r} of {claim.paper} is also the id of a claim of "
                f"{seen[claim.id].paper}; ids must be unique."
            )
        seen[claim.id] = claim
    _check_references(claims, seen)
    return sorted(claims, key=lambda claim: (claim.paper, claim.chapter))


def read_claims(path: Path) -> list[Claim]:
    """The claims of one file (ClaimError)."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ClaimError(f"{path.name} is not valid TOML: {error}.") from error
    known(f"{path.name}: ", "key", content, ("paper", "claim"))
    paper, entries = content.get("paper"), content.get("claim", [])
    if not isinstance(paper, str) or not paper.strip():
        raise ClaimError(f'{path.name} must begin with the paper\'s name, such as paper = "Sun 2021".')
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ClaimError(f"{path.name}: claims must be written as [[claim]] tables.")
    return [_claim(path.name, number, paper, entry) for number, entry in enumerate(entries, 1)]


def _check_references(claims: Sequence[Claim], by_id: dict[str, Claim]) -> None:
    for claim in claims:
        if claim.corrects and not (claim.corrects in by_id and by_id[claim.corrects].erratum):
            raise ClaimError(
                f"claim {claim.id!r} corrects {claim.corrects!r}, which must be the id of a claim with erratum = true."
            )
        if claim.erratum and not any(other.corrects == claim.id for other in claims):
            raise ClaimError(f"claim {claim.id!r} is an erratum, so another claim must say corrects = {claim.id!r}.")
        successor = by_id.get(claim.superseded_by)
        if claim.superseded_by and (successor is None or successor.superseded_by):
            raise ClaimError(
                f"claim {claim.id!r} is superseded by {claim.superseded_by!r}, which must be the id of a claim that "
                "is not superseded itself."
            )


def _claim(file: str, number: int, paper: str, entry: dict) -> Claim:
    return Claim(paper=paper, **check(file, number, entry, {field.name for field in dataclasses.fields(Claim)}))
