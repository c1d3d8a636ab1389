"""Figures 2 and 4 of Bao 2020 from fresh starts: seeds of 10 and more, for rows that stood before these were run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from implicit_rank.experiments.kit.measures import Measure
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.recovery import experiment as recovery
from implicit_rank.experiments.recovery.measures import MEASURES as SHARED
from implicit_rank.experiments.recovery.measures import reached
from implicit_rank.experiments.recovery.run import cost
from implicit_rank.experiments.register import Experiment

__all__ = ["MEASURES", "RecoveryRegistered", "presets", "run"]

NESTED, L2 = "deterministic_nested_dropout", "nonuniform_l2"


@dataclass(frozen=True)
class RecoveryRegistered(recovery.Recovery):
    """A member of Figures 2 to 4, as in `recovery`, from a start that no earlier run had."""

    experiment: ClassVar[str] = "recovery_registered"


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[RecoveryRegistered]:
    """The fresh members of Figures 2 and 4 and of mini-batches; two short ones below paper."""
    if profile != "paper":
        few = RecoveryRegistered(profile=profile, data="digits", k=4, steps=200)
        return [replace(few, model=model, seed=seed) for model in ("rag", NESTED) for seed in seeds or (10,)]
    members = [*mnist(seeds), *synthetic(seeds), *batches(seeds)]
    return sorted(dict.fromkeys(members), key=cost)


def mnist(seeds: Sequence[int] | None = None) -> list[RecoveryRegistered]:
    """Races to d_align = 0.1 at the paper's rates and at fair ones, and the ends of non-uniform l2."""
    base = RecoveryRegistered(profile="paper")
    race = replace(base, stop_at=0.1)
    stochastic = replace(race, model="nested_dropout", mask_batch=256)
    fair = replace(race, steps=10_000)
    plan = [
        (race, 6),
        (replace(race, model=NESTED), 6),
        (replace(race, model=NESTED, optimiser="adam"), 6),
        (stochastic, 5),
        (replace(stochastic, optimiser="adam"), 5),
        (replace(fair, lr=0.01), 20),
        (replace(fair, model=NESTED, lr=0.06, prior="uniform"), 20),
        (replace(base, model=L2, optimiser="adam"), 5),
        (replace(base, model=L2, lr=0.03, steps=10_000), 10),
    ]
    return _members(plan, seeds)


def synthetic(seeds: Sequence[int] | None = None) -> list[RecoveryRegistered]:
    """Figure 4's races to d_align = 0.3 at the paper's rates, under either optimiser, and at better settings."""
    base = RecoveryRegistered(profile="paper", data="synthetic-official", steps=50_000, dtype="float32", stop_at=0.3)
    adam = replace(base, optimiser="adam")
    fast = replace(base, lr=2e-4)
    fair = replace(base, model=NESTED, prior="uniform", lr=0.002)
    plan = [
        *((replace(base, k=k), 6 if k <= 5 else 5) for k in (2, 5, 10, 20, 50, 100)),
        *((replace(base, k=k, model=model), 6) for k in (2, 5) for model in (NESTED, L2)),
        (replace(base, k=20, model=L2), 4),
        (replace(base, k=50, model=NESTED), 3),
        *((replace(adam, k=k, model=NESTED), 5) for k in (20, 50, 100)),
        *((replace(adam, k=k, model=L2), 4) for k in (5, 10, 20, 50)),
        *((replace(adam, k=k, model=L2), 1) for k in (100, 200)),
        (replace(adam, k=400, model=NESTED), 1),
        *((replace(member, k=10), 10) for member in (fast, fair)),
        *((replace(member, k=50), 6) for member in (fast, fair)),
        (replace(fair, k=100), 5),
    ]
    return _members(plan, seeds)


def batches(seeds: Sequence[int] | None = None) -> list[RecoveryRegistered]:
    """Full batches and mini-batches of 256 on the digits (Bao 2020, App. I.2)."""
    base = RecoveryRegistered(profile="paper", data="digits", k=10, steps=3000)
    plan = [(replace(base, model=model, batch=batch), 5) for model in ("rag", NESTED) for batch in (0, 256)]
    return _members(plan, seeds)


def _members(plan, seeds: Sequence[int] | None) -> list[RecoveryRegistered]:
    """Each setting of a plan with its number of seeds, from 10 on."""
    return [replace(spec, seed=seed) for spec, count in plan for seed in seeds or range(10, 10 + count)]


def run(
    specs: Sequence[RecoveryRegistered],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
    batch: int = 6,
) -> list[Result]:
    """Train all members as `recovery` does."""
    return recovery.run(specs, device, progress, on_done, batch)


def late(name: str) -> Measure:
    """The measure "mean of series `name` over the last tenth of the steps"."""

    def value(record) -> float:
        steps = record.arrays["steps"]
        return float(np.mean(record.arrays[name][steps >= 0.9 * steps[-1]], dtype=np.float64))

    return value


def reached_or_end(level: float) -> Measure:
    """The measure "first recorded step with d_align at most `level`, or all steps allowed where there is none"."""
    return lambda record: min(reached(level)(record), float(record.spec["steps"]))


MEASURES: dict[str, Measure] = (
    SHARED
    | {f"late_{name}": late(name) for name in ("d_align", "d_sub")}
    | {f"reached_{level:g}_or_end": reached_or_end(level) for level in (0.3, 0.1)}
)

EXPERIMENT = Experiment(RecoveryRegistered, presets, run, MEASURES, cost=cost)
