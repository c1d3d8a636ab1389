"""Chapter 4 at the paper's length: the released MNIST net, 100 epochs at rate 1e-4, l = 8 (hours a member on a CPU)."""

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
    run,
    size,
)
from implicit_rank.experiments.register import Experiment

__all__ = ["MEASURES", "IrmaeFull", "batches", "cost", "estimate", "presets", "run", "size"]

SEEDS = (0,)  # of the autoencoders; with a GPU at hand five cost half an hour
BASELINES = (0, 1, 2)


@dataclass(frozen=True)
class IrmaeFull(IrmaeImages):
    """One model of Jing 2020's MNIST experiments at full length; the defaults are the released code's."""

    experiment: ClassVar[str] = "irmae_images_full"


def presets(profile: str = "paper", seeds: Sequence[int] | None = None) -> list[IrmaeFull]:
    """IRMAE with eight maps, AE and VAE, then the supervised baselines; all of it in small below "paper".

    Products are taken in bfloat16 (weights, optimiser, losses and measurements in float32), which halves the time;
    `irmae_images_precision` has the twins that show what this changes.
    """
    base = IrmaeFull(profile=profile, fid=True, precision="bfloat16")
    if profile != "paper":
        count, epochs = (320, 1) if profile == "smoke" else (0, 4)
        base = replace(base, data="mnist-12k", count=count, epochs=epochs, lr=1e-3, channel_factor=0.125)
        base = replace(base, evaluate=200, samples=64, labels=(10, 100), draws=1, probe_steps=20)
    models = {name: model_of(base, name, depth=8) for name in MODELS}
    baseline = replace(models["supervised"], probe_steps=min(base.probe_steps, 6000))
    found = [replace(models[name], seed=seed) for seed in seeds or SEEDS for name in ("irmae", "ae", "vae")]
    return found + [replace(baseline, seed=seed) for seed in seeds or BASELINES]


EXPERIMENT = Experiment(IrmaeFull, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size)
