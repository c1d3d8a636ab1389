"""The judge: every case of a claim at the highest profile with all its runs, combined into one verdict."""

import dataclasses
from collections.abc import Mapping

from implicit_rank.claims.evidence import Case, Evidence, label_of
from implicit_rank.claims.grammar import Claim
from implicit_rank.claims.verdicts import Estimate, combine
from implicit_rank.experiments.register import Experiment
from implicit_rank.store import PROFILES, Store


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A claim's verdict, the reason, the cases, the profile of the runs used, their hashes, staleness."""

    claim: Claim
    verdict: str
    reason: str
    cases: tuple[Case, ...]
    profile: str | None
    runs: tuple[str, ...]
    stale: bool

    @property
    def numbers(self) -> Estimate | None:
        """Estimate, spread, interval and n of the only case; None when there are several or none was run."""
        return self.cases[0].numbers if len(self.cases) == 1 else None

    @property
    def estimate(self) -> float | None:
        """The only case's estimate."""
        return self.numbers and self.numbers.estimate

    @property
    def spread(self) -> float | None:
        """The only case's standard deviation over seeds."""
        return self.numbers and self.numbers.spread

    @property
    def interval(self) -> tuple[float, float] | None:
        """The only case's interval."""
        return self.numbers and self.numbers.interval

    @property
    def n(self) -> int:
        """The only case's number of seeds, else the smallest over the cases."""
        return min((case.numbers.n if case.numbers else 0 for case in self.cases), default=0)


def judge(claim: Claim, store: Store, experiments: Mapping[str, Experiment]) -> Judgement:
    """The verdict on one claim from the stored runs; whatever is missing or damaged becomes the reason.

    The highest profile (from `least_profile` up) for which every case is complete is used; when there is none,
    the one with the most complete cases.
    """
    settings = claim.settings()
    problem = _misfit(claim, experiments)
    if problem:
        return _judgement(claim, [Case(label_of(setting), "not run", problem) for setting in settings], None)
    evidence = Evidence(claim, store, experiments[claim.experiment])
    attempts = []
    for profile in reversed(PROFILES[PROFILES.index(claim.least_profile) :]):
        cases = [evidence.case(setting, profile) for setting in settings]
        complete = sum(case.verdict != "not run" for case in cases)
        attempts.append((complete, cases, profile))
        if complete == len(cases):
            break
    complete, cases, profile = max(attempts, key=lambda attempt: attempt[0])  # the highest of the best
    return _judgement(claim, cases, profile if complete else None)


def _judgement(claim: Claim, cases: list[Case], profile: str | None) -> Judgement:
    verdict = combine(case.verdict for case in cases)
    runs = tuple(sorted({run for case in cases for run in case.runs}))
    stale = any(case.stale for case in cases)
    return Judgement(claim, verdict, _reason(cases), tuple(cases), profile, runs, stale)


def _reason(cases: list[Case]) -> str:
    reasons = {case.reason for case in cases}
    if len(cases) == 1 or (len(reasons) == 1 and len({case.verdict for case in cases}) == 1):
        return cases[0].reason
    words = {
        "reproduced": "holds for",
        "partly": "partly for",
        "not reproduced": "fails for",
        "inconclusive": "undecided for",
        "one run": "one run for",
        "not run": "not run for",
    }
    groups: dict[tuple, list[str]] = {}
    for case in cases:
        shown = case.reason if case.verdict in ("not run", "one run", "inconclusive", "partly") else ""
        groups.setdefault((list(words).index(case.verdict), shown), []).append(case.label)
    parts = []
    for (rank, reason), labels in sorted(groups.items()):
        said = f"{list(words.values())[rank]} {join_labels(labels)}"
        parts.append(f"{said} ({reason})" if reason else said)
    return "; ".join(parts)


def join_labels(labels: list[str]) -> str:
    """Labels of cases in short: depth=4, depth=8 -> depth 4, 8."""
    pairs = [label.split("=", 1) for label in labels]
    if all(len(pair) == 2 and "," not in pair[1] for pair in pairs) and len({pair[0] for pair in pairs}) == 1:
        return f"{pairs[0][0]} {', '.join(pair[1] for pair in pairs)}"
    return "; ".join(labels) if any("," in label for label in labels) else ", ".join(labels)


def _misfit(claim: Claim, experiments: Mapping[str, Experiment]) -> str:
    """Why the claim does not fit the code: an unknown experiment, measure or spec field; empty if it does."""
    if claim.experiment not in experiments:
        return f"there is no experiment {claim.experiment!r}"
    experiment = experiments[claim.experiment]
    if claim.measure not in experiment.measures:
        return f"the experiment {claim.experiment!r} has no measure {claim.measure!r}"
    used = [*claim.select, *claim.cases, *claim.lower, *claim.upper, *([claim.along] if claim.along else [])]
    for name in used:
        if name not in experiment.fields:
            return f"the experiment {claim.experiment!r} has no spec field {name!r}"
    return ""
