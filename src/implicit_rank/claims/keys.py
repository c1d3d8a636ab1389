"""The keys of one `[[claim]]` table: which there are, what each may hold, one sentence for what is wrong.

`implicit_rank.claims.grammar` explains them.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

from implicit_rank.parameters import unknown_name
from implicit_rank.store import PROFILES

KINDS = ("identity", "value", "threshold", "ordering", "equivalence", "trend")
STATISTICS = ("spearman", "slope", "loglog_slope")
QUESTIONS = ("printed", "ours")
_PAIR = {"lower", "upper", "ratio", "at_equal_error"}
_KIND_KEYS = {
    "identity": {"at_most"},
    "value": {"expected", "tolerance", "log"},
    "threshold": {"at_least", "at_most", "log"},
    "ordering": _PAIR | {"margin"},
    "equivalence": _PAIR | {"within"},
    "trend": {"along", "values", "statistic", "expected", "tolerance", "at_least", "at_most"},
}
_REQUIRED = ("id", "where", "says", "chapter", "kind", "experiment", "measure")
_NUMBERS = ("expected", "tolerance", "at_least", "at_most", "margin", "within")


class ClaimError(ValueError):
    """A claims file is not well formed; the message names the file, the claim and what is allowed."""


def check(file: str, number: int, entry: dict, names: set[str]) -> dict[str, Any]:
    """The entries of one table, the `number`-th of a file, with bounds as floats (ClaimError).

    `names` are all keys of any kind, the paper's among them.
    """
    name = repr(entry["id"]) if isinstance(entry.get("id"), str) else str(number)
    at = f"{file}, claim {name}: "
    for key in _REQUIRED:
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise ClaimError(f"{at}{key} must be given, as non-empty text.")
    _one_of(at, "kind", entry["kind"], KINDS)
    allowed = names - set().union(*_KIND_KEYS.values()) - {"paper"} | _KIND_KEYS[entry["kind"]]
    known(f"{at}in a claim of kind {entry['kind']!r}, ", "key", entry, sorted(allowed))
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry["id"]):
        raise ClaimError(f"{at}id must be of lowercase letters and digits joined by hyphens.")
    _check_common(at, entry)
    _check_kind(at, entry)
    asked = {"question": "ours"} if entry.get("corrects") else {}  # no paper prints the correction of its erratum
    return asked | {key: float(value) if key in _NUMBERS else value for key, value in entry.items()}


def _check_common(at: str, entry: dict) -> None:
    _one_of(at, "least_profile", entry.get("least_profile", "paper"), PROFILES)
    _one_of(at, "seeds", entry.get("seeds", "mean"), ("mean", "each", "none"))
    _one_of(at, "missing", entry.get("missing", "undecided"), ("undecided", "fails"))
    _one_of(at, "question", entry.get("question", "printed"), QUESTIONS)
    if entry.get("missing") == "fails" and entry.get("seeds") != "each":
        raise ClaimError(f'{at}missing = "fails" counts seeds, so it needs seeds = "each".')
    least = entry.get("least_seeds", 3)
    if not isinstance(least, int) or isinstance(least, bool) or least < 1:
        raise ClaimError(f"{at}least_seeds must be an integer of at least 1, not {least!r}.")
    for key in ("erratum", "log", "ratio", "at_equal_error"):
        if not isinstance(entry.get(key, False), bool):
            raise ClaimError(f"{at}{key} must be true or false, not {entry[key]!r}.")
    for key in ("corrects", "note"):
        if not isinstance(entry.get(key, ""), str):
            raise ClaimError(f"{at}{key} must be text, not {entry[key]!r}.")
    for key in ("post_hoc", "superseded_by"):
        if key in entry and not (isinstance(entry[key], str) and entry[key].strip()):
            raise ClaimError(f"{at}{key} must be non-empty text, not {entry[key]!r}.")
    if entry.get("superseded_by") == entry["id"]:
        raise ClaimError(f"{at}superseded_by must name another claim.")
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
    if kind in ("ordering", "equivalence") and not (entry.get("lower") and entry.get("upper")):
        raise ClaimError(f"{at}a claim of kind {kind!r} needs lower and upper, tables of spec fields.")
    if kind == "equivalence" and not entry.get("within", 0) > entry.get("ratio", False):
        least = "above 1, for the ratio lies in [1/within, within]" if entry.get("ratio") else "above 0"
        raise ClaimError(f"{at}a claim of kind 'equivalence' needs within, a number {least}.")
    if entry.get("log") and entry.get("seeds") in ("each", "none"):
        raise ClaimError(
            f'{at}log = true speaks of a mean over seeds, and with seeds = "{entry["seeds"]}" there is none.'
        )
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


def known(at: str, what: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    for name in given:
        if name not in allowed:
            raise ClaimError(at + unknown_name(what, name, allowed))
