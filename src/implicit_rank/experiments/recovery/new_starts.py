"""Bao 2020, Figure 2(a) once more: the end of non-uniform l2 from starts not looked at before its row was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.recovery.experiment import Recovery, run
from implicit_rank.experiments.recovery.measures import MEASURES
from implicit_rank.experiments.recovery.run import cost
from implicit_rank.experiments.register import Experiment

__all__ = ["MEASURES", "RecoveryNewStarts", "presets", "run"]

SEEDS = range(10, 17)


@dataclass(frozen=True)
class RecoveryNewStarts(Recovery):
    """One linear autoencoder of the registered series."""

    experiment: ClassVar[str] = "recovery_new_starts"


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[RecoveryNewStarts]:
    """Non-uniform l2 on MNIST with the official penalties and rate, under Nesterov momentum."""
    base = RecoveryNewStarts(profile=profile, model="nonuniform_l2", optimiser="nesterov")
    if profile != "paper":
        base = replace(base, data="digits", k=4, steps=200)
    return [replace(base, seed=seed) for seed in seeds or (SEEDS if profile == "paper" else (10,))]


EXPERIMENT = Experiment(RecoveryNewStarts, presets, run, MEASURES, cost=cost)
