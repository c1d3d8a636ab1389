"""Jing 2020, 4.1 once more, at new seeds and planned before it was run: errors of depths, fading, long trainings.

Set-up and measurements are those of `known_dimension`, whose start (He's) has no biases to speak of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.kit.autoencoder_run import cost, estimate, size
from implicit_rank.experiments.known_dimension.experiment import COMPARED, KnownDimension, batches, run
from implicit_rank.experiments.known_dimension.measures import MEASURES
from implicit_rank.experiments.register import Experiment

__all__ = ["MEASURES", "KnownDimensionRegistered", "batches", "cost", "estimate", "presets", "run", "size"]

SEEDS = (3, 4, 5, 6, 7, 8)


@dataclass(frozen=True)
class KnownDimensionRegistered(KnownDimension):
    """One autoencoder of the registered series."""

    experiment: ClassVar[str] = "known_dimension_registered"


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[KnownDimensionRegistered]:
    """Figure 2's depths with the plain autoencoder that goes on from each, a penalty, and a longer training."""
    if profile != "paper":
        small = KnownDimensionRegistered(profile=profile, epochs=1, count=640, evaluate=200, regression=60)
        return [replace(small, depth=2, seed=seed) for seed in seeds or (0,)]
    base = KnownDimensionRegistered(profile="paper")
    models = [replace(base, depth=depth, released=1) for depth in (0, 2, 4, 8)]
    models += [replace(base, **{penalty: COMPARED}) for penalty in ("l1", "l2")]
    models += [replace(base, depth=4, epochs=8)]
    return [replace(spec, seed=seed) for seed in seeds or SEEDS for spec in models]


EXPERIMENT = Experiment(
    KnownDimensionRegistered, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size
)
