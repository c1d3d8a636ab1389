"""Jing 2020, 4.4 once more: planned before it was run, from a start whose output bias is 0, at new seeds.

PyTorch's start of that one bias can delay so short a training (chapter 6); so it lasts six epochs, not twelve as in
`ablations`. Probes are judged on all 10,000 test images and five draws of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.ablations import experiment as ablations
from implicit_rank.experiments.ablations.measures import MEASURES
from implicit_rank.experiments.kit.autoencoder_run import cost, estimate, size
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.register import Experiment
from implicit_rank.nets import STARTS
from implicit_rank.parameters import option

__all__ = ["MEASURES", "AblationsRegistered", "batches", "cost", "estimate", "presets", "run", "size"]

SEEDS = (3, 4, 5, 6, 7, 8)


@dataclass(frozen=True)
class AblationsRegistered(ablations.Ablations):
    """One ablated model of the registered series."""

    experiment: ClassVar[str] = "ablations_registered"

    conv_start: str = option("zero-output-bias", "start of encoder and decoder", choices=STARTS)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[AblationsRegistered]:
    """All variants of Figures 9 to 11, those of the figures first, then these from He's start of the convolutions.

    The smaller profiles only show that it runs.
    """
    changes = {"profile": profile, "conv_start": "zero-output-bias"}
    if profile != "paper":
        base = AblationsRegistered(**ablations.set_up("smoke").to_dict() | changes)
        return ablations.family(base, ("ae", "full"), seeds or (0,))
    changes |= {"data": "mnist", "count": 10_000, "epochs": 6, "log_per_epoch": 4, "draws": 5}
    base = AblationsRegistered(**ablations.set_up("paper").to_dict() | changes)
    rest = tuple(name for name in ablations.VARIANTS if name not in ablations.FIGURED)
    seeds = tuple(seeds or SEEDS)
    he = ablations.family(replace(base, conv_start="he"), ablations.FIGURED, seeds)
    return ablations.family(base, ablations.FIGURED, seeds) + ablations.family(base, rest, seeds) + he


def run(
    specs: Sequence[AblationsRegistered],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train and measure all members; resumable, see `run_autoencoders`."""
    return ablations.run(specs, device, progress, on_done)


def batches(specs: Sequence[AblationsRegistered], memory: int | None = None, device: str = "cpu") -> list[list]:
    """The specs in groups that are trained together."""
    return ablations.batches(specs, memory, device)


EXPERIMENT = Experiment(
    AblationsRegistered, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size
)
