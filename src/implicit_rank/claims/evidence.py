"""The evidence for a claim: which stored runs its cases rest on, and what the measure reads off them.

Which runs count is fixed beforehand: where an experiment's `presets(profile)` names runs that match a
claim, exactly these decide, and all of them must be stored. So nobody can choose seeds after the fact, a
reader's extra runs change no verdict, and deleting one planned run turns its rows to "not run".
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

from implicit_rank.claims.grammar import Claim
from implicit_rank.claims.verdicts import Estimate, estimate, judge_each, judge_estimate, judge_interval, trend
from implicit_rank.experiments.kit.run_ranks import at_common_error
from implicit_rank.experiments.register import Experiment
from implicit_rank.store import PROFILES, Record, Store, spec_hash


@dataclasses.dataclass(frozen=True)
class Case:
    """The verdict of one case: its label ("depth=16", empty for the only case), numbers and reason."""

    label: str
    verdict: str
    reason: str = ""
    numbers: Estimate | None = None
    values: dict[int, float] = dataclasses.field(default_factory=dict)
    runs: tuple[str, ...] = ()
    stale: bool = False


class _NotRunError(Exception):
    """Runs are missing; the message is the reason."""


def label_of(setting: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in setting.items()
    )


def _seeds(seeds: list[int]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


@functools.cache
def _plan(experiment: Experiment, profile: str) -> dict[str, dict[str, Any]]:
    """The runs fixed beforehand at a profile: hash -> spec fields."""
    return {spec_hash(spec): spec.to_dict() for spec in experiment.presets(profile)}


class Evidence:
    """The runs of one claim's experiment: which ones a case rests on, and what they measure."""

    def __init__(self, claim: Claim, store: Store, experiment: Experiment):
        self.claim, self.experiment = claim, experiment
        self.records, self.damaged = store.scan(claim.experiment)

    def case(self, setting: dict[str, Any], profile: str) -> Case:
        """The verdict of one case at one profile."""
        label = label_of(setting)
        try:
            groups = self._groups(setting, profile)
            values = self._statistics(groups, profile)
        except _NotRunError as missing:
            return Case(label, "not run", str(missing))
        records = [record for group in groups for record in group]
        used = {
            "runs": tuple(sorted({record.hash for record in records})),
            "stale": any(record.stale for record in records),
            "values": values,
        }
        problem = self._unfit(values)
        if problem:
            return Case(label, "inconclusive", f"{problem} ({profile} profile)", **used)
        verdict, reason, numbers = self._judge(values)
        return Case(label, verdict, reason, numbers, **used)

    def _unfit(self, values: dict[int, float]) -> str:
        """Why these numbers cannot be judged; empty if they can."""
        claim = self.claim
        lacking = [seed for seed, value in values.items() if math.isnan(value)]
        if lacking and claim.missing != "fails":
            what = f"the ratio of {claim.measure}" if claim.ratio else claim.measure
            return f"{what} has no value in {_seeds(lacking)}"
        powerless = [seed for seed, value in values.items() if claim.log and value <= 0]
        if powerless:
            return f"{claim.measure} is not positive in {_seeds(powerless)}, so it has no logarithm"
        if claim.seeds == "none" and len(set(values.values())) > 1:
            return f"{claim.measure} is said to draw nothing at random, but differs between {_seeds(list(values))}"
        return ""

    def _judge(self, values: dict[int, float]) -> tuple[str, str, Estimate | None]:
        """(verdict, reason, numbers) of one number per seed."""
        claim, open_below = self.claim, self.claim.kind == "ordering"
        if claim.kind == "identity":
            worst = max(values.values())
            numbers = Estimate(worst, None, (worst, worst), len(values))
            return *judge_interval(numbers.interval, claim.region), numbers
        there = [value for value in values.values() if not math.isnan(value)]
        limits = (-1.0, 1.0) if claim.statistic == "spearman" else (-math.inf, math.inf)
        numbers = estimate(there, claim.ratio or claim.log, limits) if there else None
        if claim.seeds == "each":
            return *judge_each(values, claim.region, open_below), numbers
        if claim.seeds == "none":
            return *judge_interval(numbers.interval, claim.region, open_below), numbers
        return *judge_estimate(numbers, claim.region, open_below), numbers

    def _groups(self, setting: dict[str, Any], profile: str) -> list[list[Record]]:
        """The runs of a case: one group, or lower and upper of a comparison."""
        sides = [self.claim.lower, self.claim.upper] if self.claim.lower else [{}]
        return [self._runs({**self.claim.select, **side}, setting, profile) for side in sides]

    def _runs(self, shared: dict[str, Any], setting: dict[str, Any], profile: str) -> list[Record]:
        fields = {**shared, **setting}

        def matches(spec):
            kept = not self.claim.values or spec[self.claim.along] in self.claim.values
            return spec["profile"] == profile and kept and all(spec.get(n) == v for n, v in fields.items())

        # The case stands before the reason anyway; without it, cases that lack the same read as one.
        said = self.claim.experiment + (f" with {label_of(shared)}" if shared else "")
        stored = {record.hash: record for record in self.records if matches(record.spec)}
        planned = [name for name, spec in _plan(self.experiment, profile).items() if matches(spec)]
        for path, sentence in self.damaged.items():
            if path.stem[-12:] in planned or (not planned and path.name.startswith(profile)):
                raise _NotRunError(f"stored run damaged: {sentence}")
        if not stored:
            below = PROFILES[: PROFILES.index(self.claim.least_profile)]
            lower = {
                record.profile
                for record in self.records
                if record.profile in below and matches({**record.spec, "profile": profile})
            }
            only = f" (only at {' and '.join(sorted(lower))}, which is too small to judge it)" if lower else ""
            raise _NotRunError(f"no stored run of {said} at the {profile} profile{only}")
        missing = [name for name in planned if name not in stored]
        if missing:
            there = len(planned) - len(missing)
            raise _NotRunError(f"{there} of {len(planned)} planned runs of {said} are stored at the {profile} profile")
        return [stored[name] for name in planned] if planned else list(stored.values())

    def _statistics(self, groups: list[list[Record]], profile: str) -> dict[int, float]:
        """One number per seed."""
        claim = self.claim
        if claim.kind == "identity":
            values: dict[int, float] = {}
            for record in groups[0]:
                value = self._measure(record)
                worse = math.isnan(value) or value > values.get(record.seed, -math.inf)
                values[record.seed] = value if worse else values.get(record.seed, value)
        elif claim.kind == "trend":
            values = self._trends(groups[0])
        else:
            tables = [self._by_seed(group) for group in groups]
            seeds = sorted(set.intersection(*(set(table) for table in tables)))
            values = {seed: self._compare(self._read([table[seed] for table in tables])) for seed in seeds}
        if len(values) < claim.least_seeds:
            shared = " shared by all its runs" if claim.lower or claim.kind == "trend" else ""
            raise _NotRunError(
                f"{len(values)} of at least {claim.least_seeds} seeds{shared} are stored at the {profile} profile"
            )
        return dict(sorted(values.items()))

    def _read(self, records: list[Record]) -> list[float]:
        """The measure of the runs of one seed, each by itself or, where the claim says so, at equal error."""
        if not self.claim.at_equal_error:
            return [self._measure(record) for record in records]
        for record in records:
            if self.claim.measure not in record.arrays:
                raise _NotRunError(f"run {record.hash} has no course named {self.claim.measure!r}")
        return at_common_error(records, self.claim.measure)

    def _compare(self, measured: list[float]) -> float:
        if len(measured) == 1:
            return measured[0]
        lower, upper = measured
        if self.claim.ratio:
            # of two times, one of which is "never", infinity or 0
            return upper / lower if lower > 0 and upper > 0 and min(lower, upper) < math.inf else math.nan
        return upper - lower  # NaN when neither ever got there

    def _trends(self, records: list[Record]) -> dict[int, float]:
        along = self.claim.along
        columns: dict[Any, dict[int, Record]] = {}
        for value in sorted({record.spec[along] for record in records}):
            columns[value] = self._by_seed([run for run in records if run.spec[along] == value])
        absent = [value for value in self.claim.values if value not in columns]
        if absent or len(columns) < 3:
            stored = ", ".join(f"{value:g}" for value in columns)
            raise _NotRunError(
                f"runs are stored only for {along} {stored}"
                + (f", not for {', '.join(map(str, absent))}" if absent else "; a trend needs at least 3 values")
            )
        seeds = sorted(set.intersection(*(set(column) for column in columns.values())))
        return {
            seed: trend(
                list(columns), [self._measure(column[seed]) for column in columns.values()], self.claim.statistic
            )
            for seed in seeds
        }

    def _by_seed(self, records: list[Record]) -> dict[int, Record]:
        table: dict[int, Record] = {}
        for record in records:
            other = table.setdefault(record.seed, record)
            if other is not record:
                differing = sorted(name for name in record.spec if record.spec[name] != other.spec.get(name))
                raise _NotRunError(
                    f"ambiguous: stored runs of one seed differ in {', '.join(differing)}, which the claim must fix"
                )
        return table

    def _measure(self, record: Record) -> float:
        """The measure of one run; where it has none and says why ("fid_note" for "fid_...") it was not run."""
        try:
            value = self.experiment.measures[self.claim.measure](record)
        except Exception as error:  # one broken measure must not take the whole page down
            raise _NotRunError(
                f"the measure {self.claim.measure!r} fails on run {record.hash}: {type(error).__name__}: {error}"
            ) from error
        value = math.nan if value is None else float(value)
        note = record.scalars.get(f"{self.claim.measure.partition('_')[0]}_note")
        if note and math.isnan(value):
            raise _NotRunError(f"not measured: {note}")
        return value
