"""Sun 2021, 3.2, with the paper's net, data and rate, as far as minutes on a graphics card go: float32, 40 epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.greedy_images.experiment import (
    MEASURES,
    GreedyImages,
    batches,
    cost,
    estimate,
    orthogonal,
    size,
    small,
    vanilla,
)
from implicit_rank.experiments.greedy_images.registered import run
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option

__all__ = ["MEASURES", "GreedyImagesGpu", "batches", "cost", "estimate", "presets", "run", "size"]

SEEDS = (0, 1, 2)
DEPTH, ALPHAS = 16, (1.0, 100.0, 300.0)


@dataclass(frozen=True)
class GreedyImagesGpu(GreedyImages):
    """One autoencoder of the paper's size, trained for a fifth of its length in single precision."""

    experiment: ClassVar[str] = "greedy_images_gpu"

    study: str = option("full", "which question the member belongs to", choices=("full",))
    fitted: int = option(10_000, "training images probed, fitted and compared with; 0 for all", least=0)
    epochs: int = option(40, "passes over the data", least=0)
    precision: str = option("float32", "of the weights", choices=("float32", "float64", "bfloat16"))
    draws: int = option(5, "draws of the labelled images", least=1)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[GreedyImagesGpu]:
    """The vanilla autoencoder and N = 16 at three alphas, seed by seed; in small below the profile paper."""
    base = GreedyImagesGpu(profile=profile)
    if profile != "paper":
        base = GreedyImagesGpu(**small("smoke").to_dict() | {"profile": profile, "study": "full"})
    return [member for seed in seeds or SEEDS for member in members(replace(base, seed=seed))]


def members(base: GreedyImagesGpu) -> list[GreedyImagesGpu]:
    """The members of one seed."""
    return [vanilla(base), *(orthogonal(base, DEPTH, alpha) for alpha in ALPHAS)]


EXPERIMENT = Experiment(
    GreedyImagesGpu, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size
)
