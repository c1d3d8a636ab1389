"""Jing 2020, 4.2-4.4: plain, variational and rank-minimising autoencoders on MNIST (Figures 4-8, Tables 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.autoencoder_run import ensembles, run_autoencoders, size
from implicit_rank.experiments.autoencoder_spec import AutoencoderSpec
from implicit_rank.experiments.result import Progress, Result
from implicit_rank.store import Record

__all__ = ["MEASURES", "IrmaeImages", "batches", "presets", "run", "size"]


@dataclass(frozen=True)
class IrmaeImages(AutoencoderSpec):
    """One model of Jing 2020's image experiments; the defaults are its MNIST set-up."""

    experiment: ClassVar[str] = "irmae_images"


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[IrmaeImages]:
    """Return AE, VAE and IRMAE at a profile's size."""
    base = {
        "smoke": IrmaeImages(profile="smoke", data="mnist-12k", count=256, channel_factor=0.125, epochs=1, lr=1e-3),
        "quick": IrmaeImages(profile="quick", data="mnist-12k", channel_factor=0.25, epochs=8, lr=1e-3),
        "paper": IrmaeImages(profile="paper"),
    }[profile]
    depth = 8 if profile == "paper" else 4
    kinds = ({"depth": depth}, {}, {"kind": "vae", "loss": "vae-official"})
    return [replace(base, seed=seed, **kind) for kind in kinds for seed in seeds or (0,)]


def run(
    specs: Sequence[IrmaeImages],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train and measure all members; resumable, see :func:`run_autoencoders`."""
    return run_autoencoders(specs, None, device, progress, on_done)


def batches(specs: Sequence[IrmaeImages], memory: int | None = None, device: str = "cpu") -> list[list]:
    """Return the specs in groups that are trained together."""
    return ensembles(specs, device, memory)


def scalar(name: str) -> Callable[[Record], float]:
    """Return the measure that reads a stored number."""
    return lambda record: record.scalars[name]


MEASURES = {name: scalar(name) for name in ("error", "rank_effective", "rank_codes", "rank_covariance")}
