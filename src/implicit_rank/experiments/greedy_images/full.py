"""Sun 2021, Figures 2-4 and 6-8 at the paper's own size: wide nets, float64, 200 epochs, ten seeds, for a GPU."""

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
    explicit,
    orthogonal,
    run,
    size,
    small,
    standard,
    vanilla,
)
from implicit_rank.experiments.register import Experiment

__all__ = ["MEASURES", "GreedyImagesFull", "batches", "cost", "estimate", "presets", "run", "size"]

DEPTHS = (2, 4, 8, 12, 16)
METHOD_DEPTHS = (4, 8, 16, 24, 32)
ALPHAS = (1.0, *(100.0 * i for i in range(1, 7)))  # "in steps of 100": where they diverge is what Figure 3 shades
RANKS = (4, 8, 16, 24, 32, 64, 96, 128)


@dataclass(frozen=True)
class GreedyImagesFull(GreedyImages):
    """One autoencoder at the paper's size; N, alpha and explicit ranks fill the paper's unlabelled axes."""

    experiment: ClassVar[str] = "greedy_images_full"


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[GreedyImagesFull]:
    """The plan for MNIST, then for CIFAR-10; below the profile paper, one tiny member of each kind."""
    if profile != "paper":
        base = GreedyImagesFull(**(small("smoke").to_dict() | {"profile": profile}))
        plan = [vanilla(base), orthogonal(base, 4, 10.0, two_stages=True, settle_cap=1)]
        return [replace(member, seed=seed) for seed in seeds or (0,) for member in plan]
    base = GreedyImagesFull(profile="paper", study="full")
    sets = (base, replace(base, data="cifar10", architecture="cifar10"))
    return [m for first in sets for seed in seeds or range(10) for m in members(replace(first, seed=seed))]


def members(base: GreedyImagesFull) -> list[GreedyImagesFull]:
    """All members of one seed; the rank settles give or take one, after half the epochs at the latest."""
    stages = {"two_stages": True, "settle_tolerance": 1, "settle_cap": base.epochs // 2}
    return [
        vanilla(base),
        *(orthogonal(base, depth, alpha, **stages) for depth in METHOD_DEPTHS for alpha in ALPHAS),
        *(standard(base, depth) for depth in DEPTHS),
        *(explicit(base, rank) for rank in RANKS),
    ]


EXPERIMENT = Experiment(
    GreedyImagesFull, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size
)
