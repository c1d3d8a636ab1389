"""Jing 2020 on CelebA: codes of width 512, four maps, a mixture of ten; needs the images, and a GPU for its length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.irmae_images.experiment import (
    MEASURES,
    IrmaeImages,
    batches,
    cost,
    estimate,
    model_of,
    run,
    size,
)
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option

__all__ = ["MEASURES", "IrmaeCeleba", "batches", "cost", "estimate", "presets", "run", "size"]


@dataclass(frozen=True)
class IrmaeCeleba(IrmaeImages):
    """One model of Jing 2020's CelebA experiments; the defaults are the released code's."""

    experiment: ClassVar[str] = "irmae_images_celeba"

    data: str = option("celeba", "celeba, or folder:PATH of colour images")
    size: int = option(64, "pixels on a side", least=0)
    architecture: str = option("celeba", "encoder and decoder", choices=("celeba",))
    code_width: int = option(512, "width d of the codes", least=1)
    components: int = option(10, "Gaussians in the mixture that codes are drawn from", least=1)
    fid: bool = option(True, "the FID too, where its weights are present")


def presets(profile: str = "paper", seeds: Sequence[int] | None = None, data: str = "celeba") -> list[IrmaeCeleba]:
    """AE, IRMAE with four maps and VAE; below "paper" on a part of the images and in narrow nets."""
    base = IrmaeCeleba(profile=profile, data=data)
    if profile != "paper":
        small = profile == "smoke"
        base = replace(base, channel_factor=1 / 32 if small else 1 / 8, lr=1e-3, epochs=1 if small else 4)
        base = replace(base, count=0 if data.startswith("folder:") else 64 if small else 10_000)
        base = replace(base, samples=16 if small else 1000, evaluate=100 if small else 1000)
    return [
        replace(model_of(base, name, depth=4), seed=seed) for seed in seeds or (0,) for name in ("ae", "irmae", "vae")
    ]


EXPERIMENT = Experiment(IrmaeCeleba, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size)
