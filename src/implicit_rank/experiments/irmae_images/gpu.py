"""IRMAE of chapter 4 at the paper's length once more, at two new seeds, for minutes of a graphics card; no FID."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.irmae_images.experiment import MEASURES, batches, cost, estimate, run, size
from implicit_rank.experiments.irmae_images.full import IrmaeFull
from implicit_rank.experiments.irmae_images.full import presets as full_length
from implicit_rank.experiments.register import Experiment

__all__ = ["MEASURES", "IrmaeGpu", "batches", "cost", "estimate", "presets", "run", "size"]

SEEDS = (1, 2)  # of `irmae_images_full` the same member is stored at seed 0


@dataclass(frozen=True)
class IrmaeGpu(IrmaeFull):
    """One IRMAE of the released size and length, of the second look at Table 2's row."""

    experiment: ClassVar[str] = "irmae_images_gpu"


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[IrmaeGpu]:
    """The IRMAE with eight maps of `irmae_images_full`, without FID: its network's weights would have to come along."""
    found = [spec for spec in full_length(profile, seeds or SEEDS) if spec.depth and not spec.supervised]
    return [replace(IrmaeGpu(**spec.to_dict()), fid=False) for spec in found]


EXPERIMENT = Experiment(IrmaeGpu, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size)
