"""Jing 2020, 4.2-4.3 once more: planned before it was run, from a start whose output bias is 0, at new seeds.

Set-up and measurements are those of `irmae_images`, but for four epochs instead of six: from this start none is lost
to the output bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.irmae_images.experiment import (
    MEASURES,
    MODELS,
    IrmaeImages,
    batches,
    cost,
    estimate,
    model_of,
    reduced,
    run,
    size,
)
from implicit_rank.experiments.register import Experiment
from implicit_rank.nets import STARTS
from implicit_rank.parameters import option

__all__ = ["MEASURES", "IrmaeRegistered", "batches", "cost", "estimate", "presets", "run", "size"]

SEEDS = (3, 4, 5, 6)


@dataclass(frozen=True)
class IrmaeRegistered(IrmaeImages):
    """One model of the registered series."""

    experiment: ClassVar[str] = "irmae_images_registered"

    conv_start: str = option("zero-output-bias", "start of encoder and decoder", choices=STARTS)


def presets(profile: str = "paper", seeds: Sequence[int] | None = None) -> list[IrmaeRegistered]:
    """AE, IRMAE with four maps, VAE and the supervised baseline, seed by seed; AE and IRMAE in small below "paper"."""
    small = profile != "paper"
    changes = {"profile": profile, "conv_start": "zero-output-bias"}
    changes |= {} if small else {"epochs": 4, "log_per_epoch": 6}
    base = IrmaeRegistered(**reduced("smoke" if small else "paper").to_dict() | changes)
    names = MODELS[:2] if small else MODELS
    models = [model_of(base, name, depth=2 if small else 4) for name in names]
    return [replace(spec, seed=seed) for seed in seeds or ((0,) if small else SEEDS) for spec in models]


EXPERIMENT = Experiment(
    IrmaeRegistered, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size
)
