"""Chapter 4's plain autoencoder of full width in its first epoch, watched closely.

`irmae_images_full` has one entry an epoch, and the plain autoencoder passes every error that eight maps reach in a
hundred epochs before the first of them. The same training once more as far as that entry, with a hundred on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.irmae_images import measures
from implicit_rank.experiments.kit.autoencoder_run import cost, ensembles, estimate, run_autoencoders, size
from implicit_rank.experiments.kit.autoencoder_spec import AutoencoderSpec
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.kit.run_ranks import at_error
from implicit_rank.experiments.register import Experiment

__all__ = ["MEASURES", "IrmaeFirstEpoch", "batches", "cost", "estimate", "presets", "run", "size"]

LEAST = 0.00773  # the least test error of eight maps in `irmae_images_full`


@dataclass(frozen=True)
class IrmaeFirstEpoch(AutoencoderSpec):
    """One autoencoder in its first epoch; the defaults are the paper's MNIST set-up."""

    experiment: ClassVar[str] = "irmae_images_epoch"


def presets(profile: str = "paper", seeds: Sequence[int] | None = None) -> list[IrmaeFirstEpoch]:
    """The AE of `irmae_images_full` as far as its first entry; the smaller profiles only show that it runs."""
    base = IrmaeFirstEpoch(profile=profile, epochs=1, precision="bfloat16", log_per_epoch=100)
    if profile != "paper":
        base = replace(base, data="mnist-12k", count=640, channel_factor=0.125, log_per_epoch=5, evaluate=200)
    return [replace(base, seed=seed) for seed in seeds or ((0, 1, 2) if profile == "paper" else (0,))]


def run(
    specs: Sequence[IrmaeFirstEpoch],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train all members; resumable, see `run_autoencoders`."""
    return run_autoencoders(specs, None, device, progress, on_done)


def batches(specs: Sequence[IrmaeFirstEpoch], memory: int | None = None, device: str = "cpu") -> list[list]:
    """The specs in groups that are trained together."""
    return ensembles(specs, device, memory)


MEASURES = {name: measures.MEASURES[name] for name in ("error", "rank_covariance", "rank_codes")}
MEASURES |= {
    f"{name}_at_{LEAST:g}": lambda record, course=course: at_error(record, LEAST, course)
    for name, course in (("rank", "rank_covariance"), ("rank_codes", "rank_codes"))
}
EXPERIMENT = Experiment(
    IrmaeFirstEpoch, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size
)
