"""The ledger's grammar: TOML files in, checked `Claim`s out.

One file per paper and word, `book/claims/<paper>_<word>.toml`: a first line `paper = "Sun 2021"`, then one
`[[claim]]` table per claim with these keys (`*` = required; anything else is refused):

=================  ===================================================================================
id*                unique name of lowercase letters, digits and hyphens
where*             the place in the paper
says*              what the paper says, in our words
chapter*           file stem of the chapter that tests it
kind*              identity, value, threshold, ordering or trend (below)
experiment*        the experiment whose stored runs decide
measure*           a name in that experiment's MEASURES, a function of one run
select             spec fields and values that the runs must have
cases              spec fields and lists of values: one verdict per combination
least_profile      least profile at which it may be judged (default "paper")
least_seeds        fewest seeds (default 3)
seeds              "mean" (default): the mean by its 95 % interval; "each": every seed by itself
paper_value        the paper's own value, a number or words
erratum, corrects  it fails as printed; it is the corrected form of the claim with this id
note               why, or the qualifier
=================  ===================================================================================

What the kinds add, and the region that the statistic must lie in:

* identity: `at_most`; the statistic is the largest value over all selected runs.
* value: `expected` and `tolerance`; the region is expected ± tolerance.
* threshold: `at_least` and/or `at_most`.
* ordering: `lower` and `upper` (spec fields); the statistic is measure(upper) - measure(lower) of one seed,
  to exceed `margin` (default 0); with `ratio = true` it is the ratio, to exceed `margin` (default 1). With
  `at_equal_error = true` the measure is the name of a course along the training, and both runs are read where
  they first reach the larger of the two least errors.
* trend: `along` (a spec field; optionally only its `values`) and `statistic`, "spearman", "slope" or
  "loglog_slope" of measure against field within one seed; then the keys of value or threshold.
"""

import dataclasses
import itertools
import math
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from implicit_rank.parameters import unknown_name
from implicit_rank.store import PROFILES, library

KINDS = ("identity", "value", "threshold", "ordering", "trend")
STATISTICS = ("spearman", "slope", "loglog_slope")
_KIND_KEYS = {
    "identity": {"at_most"},
    "value": {"expected", "tolerance"},
    "threshold": {"at_least", "at_most"},
    "ordering": {"lower", "upper", "margin", "ratio", "at_equal_error"},
    "trend": {"along", "values", "statistic", "expected", "tolerance", "at_least", "at_most"},
}
_REQUIRED = ("id", "where", "says", "chapter", "kind", "experiment", "measure")
_NUMBERS = ("expected", "tolerance", "at_least", "at_most", "margin")


class ClaimError(ValueError):
    """A claims file is not well formed; the message names the file, the claim and what is allowed."""


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
    least_profile: str = "paper"
    least_seeds: int = 3
    seeds: str = "mean"
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
    correction of an unknown claim and for an erratum that nothing corrects.
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
    for claim in claims:
        if claim.corrects and not (claim.corrects in seen and seen[claim.corrects].erratum):
            raise ClaimError(
                f"claim {claim.id!r} corrects {claim.corrects!r}, which must be the id of a claim with erratum = true."
            )
        if claim.erratum and not any(other.corrects == claim.id for other in claims):
            raise ClaimError(f"claim {claim.id!r} is an erratum, so another claim must say corrects = {claim.id!r}.")
    return sorted(claims, key=lambda claim: (claim.paper, claim.chapter))


def read_claims(path: Path) -> list[Claim]:
    """The claims of one file (ClaimError)."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ClaimError(f"{path.name} is not valid TOML: {error}.") from error
    _known(f"{path.name}: ", "key", content, ("paper", "claim"))
    paper, entries = content.get("paper"), content.get("claim", [])
    if not isinstance(paper, str) or not paper.strip():
        raise ClaimError(f'{path.name} must begin with the paper\'s name, such as paper = "Sun 2021".')
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ClaimError(f"{path.name}: claims must be written as [[claim]] tables.")
    return [_claim(path.name, number, paper, entry) for number, entry in enumerate(entries, 1)]


def _claim(file: str, number: int, paper: str, entry: dict) -> Claim:
    name = repr(entry["id"]) if isinstance(entry.get("id"), str) else str(number)
    at = f"{file}, claim {name}: "
    for key in _REQUIRED:
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise ClaimError(f"{at}{key} must be given, as non-empty text.")
    _one_of(at, "kind", entry["kind"], KINDS)
    common = {field.name for field in dataclasses.fields(Claim)} - set().union(*_KIND_KEYS.values())
    allowed = common - {"paper"} | _KIND_KEYS[entry["kind"]]
    _known(f"{at}in a claim of kind {entry['kind']!r}, ", "key", entry, sorted(allowed))
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry["id"]):
        raise ClaimError(f"{at}id must be of lowercase letters and digits joined by hyphens.")
    _check_common(at, entry)
    _check_kind(at, entry)
    entry = {key: float(value) if key in _NUMBERS else value for key, value in entry.items()}
    return Claim(paper=paper, **entry)


def _check_common(at: str, entry: dict) -> None:
    _one_of(at, "least_profile", entry.get("least_profile", "paper"), PROFILES)
    _one_of(at, "seeds", entry.get("seeds", "mean"), ("mean", "each"))
    least = entry.get("least_seeds", 3)
    if not isinstance(least, int) or isinstance(least, bool) or least < 1:
        raise ClaimError(f"{at}least_seeds must be an integer of at least 1, not {least!r}.")
    for key in ("erratum", "ratio", "at_equal_error"):
        if not isinstance(entry.get(key, False), bool):
            raise ClaimError(f"{at}{key} must be true or false, not {entry[key]!r}.")
    for key in ("corrects", "note"):
        if not isinstance(entry.get(key, ""), str):
            raise ClaimError(f"{at}{key} must be text, not {entry[key]!r}.")
    value = entry.get("paper_value", "")
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise ClaimError(f"{at}paper_value must be a number or text, not {value!r}.")
    for key in ("select", "cases", "lower", "upper"):
        if not isinstance(entry.get(key, {}), dict):
            raise ClaimError(f"{at}{key} must be a table such as {{depth = 16}}, not {entry[key]!r}.")
        if "profile" in entry.get(key, {}):
            raise ClaimError(f"{at}{key} must not name the profile; use least_profile.")
    for field, values in entry.get("cases", {}).items():
        if not isinstance(values, list) or not values:
            raise ClaimError(f"{at}cases.{field} must be a non-empty list of values, not {values!r}.")
        if field in entry.get("select", {}):
            raise ClaimError(f"{at}{field} must be in select or in cases, not in both.")


def _check_kind(at: str, entry: dict) -> None:
    kind = entry["kind"]
    for key in _NUMBERS:
        value = entry.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ClaimError(f"{at}{key} must be a finite number, not {value!r}.")
    for key in ("tolerance", "margin"):
        if entry.get(key, 0) < 0:
            raise ClaimError(f"{at}{key} must not be negative, not {entry[key]!r}.")
    if kind == "identity" and "at_most" not in entry:
        raise ClaimError(f"{at}a claim of kind 'identity' needs at_most.")
    if kind == "ordering" and not (entry.get("lower") and entry.get("upper")):
        raise ClaimError(f"{at}a claim of kind 'ordering' needs lower and upper, tables of spec fields.")
    if kind in ("value", "threshold", "trend"):
        ends = "at_least" in entry or "at_most" in entry
        whole = "expected" in entry and "tolerance" in entry
        if ("expected" in entry) != ("tolerance" in entry) or ends == whole:
            needs = {
                "value": "expected and tolerance",
                "threshold": "at_least or at_most (or both)",
                "trend": "either expected and tolerance, or at_least or at_most",
            }[kind]
            raise ClaimError(f"{at}a claim of kind {kind!r} needs {needs}.")
        if entry.get("at_least", -math.inf) > entry.get("at_most", math.inf):
            raise ClaimError(f"{at}at_least must not exceed at_most.")
    if kind == "trend":
        if not isinstance(entry.get("along"), str) or not entry["along"]:
            raise ClaimError(f"{at}a claim of kind 'trend' needs along, the name of a spec field.")
        _one_of(at, "statistic", entry.get("statistic"), STATISTICS)
        values = entry.get("values", [0, 1, 2])
        if not isinstance(values, list) or len(set(map(str, values))) < 3:
            raise ClaimError(f"{at}values must be a list of at least 3 different values of {entry['along']}.")


def _one_of(at: str, key: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ClaimError(f"{at}{key} must be one of {', '.join(map(repr, allowed))}, not {value!r}.")


def _known(at: str, what: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    for name in given:
        if name not in allowed:
            raise ClaimError(at + unknown_name(what, name, allowed))
