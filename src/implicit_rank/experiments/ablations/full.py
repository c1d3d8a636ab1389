"""Jing 2020, 4.4 at the paper's own size: eight maps, the whole net, all of MNIST, 100 epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from implicit_rank.experiments.ablations import experiment as ablations
from implicit_rank.experiments.ablations.measures import MEASURES
from implicit_rank.experiments.kit.autoencoder_run import cost, estimate, size
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.register import Experiment

__all__ = ["MEASURES", "AblationsFull", "batches", "cost", "estimate", "presets", "run", "size"]


@dataclass(frozen=True)
class AblationsFull(ablations.Ablations):
    """One ablated model; the defaults are the paper's MNIST set-up."""

    experiment: ClassVar[str] = "ablations_full"


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[AblationsFull]:
    """The models of Figures 9 to 11 at the paper's size; the smaller profiles only show that it runs."""
    if profile == "paper":
        base, seeds = AblationsFull(profile="paper", depth=8), seeds or (0, 1, 2)
    else:
        base, seeds = AblationsFull(**ablations.set_up("smoke").to_dict() | {"profile": profile}), seeds or (0,)
    return ablations.family(base, ablations.FIGURED, seeds)


def run(
    specs: Sequence[AblationsFull],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train and measure all members; resumable, see `run_autoencoders`."""
    return ablations.run(specs, device, progress, on_done)


def batches(specs: Sequence[AblationsFull], memory: int | None = None, device: str = "cpu") -> list[list]:
    """The specs in groups that are trained together."""
    return ablations.batches(specs, memory, device)


EXPERIMENT = Experiment(AblationsFull, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size)
