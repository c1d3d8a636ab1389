"""Sun 2021, 3.2 and App. D once more: planned before it was run, from a start whose output bias is 0, at new seeds.

PyTorch draws the bias of the decoder's one-channel output from U(-1, 1), which in a training as short as this
book's can delay everything (chapter 6). Here it starts at 0; probes are judged on all 10,000 test images and
five draws of labels; seeds 3 to 8 had decided nothing before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.greedy_images.evaluation import evaluate
from implicit_rank.experiments.greedy_images.experiment import (
    MEASURES,
    GreedyImages,
    batches,
    cost,
    estimate,
    explicit,
    grid,
    orthogonal,
    size,
    small,
    two_stages,
    vanilla,
)
from implicit_rank.experiments.kit.autoencoder_run import Trained, run_autoencoders
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.register import Experiment
from implicit_rank.nets import STARTS
from implicit_rank.parameters import option

__all__ = ["MEASURES", "GreedyImagesRegistered", "batches", "cost", "estimate", "presets", "run", "size"]

SEEDS = (3, 4, 5, 6, 7, 8)
BARE = {"probe_epochs": 0, "samples": 0}


@dataclass(frozen=True)
class GreedyImagesRegistered(GreedyImages):
    """One autoencoder of the registered series: `greedy_images` but for the start, the test images and the draws."""

    experiment: ClassVar[str] = "greedy_images_registered"

    conv_start: str = option("zero-output-bias", "start of encoder and decoder", choices=STARTS)
    draws: int = option(5, "draws of the labelled images", least=1)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[GreedyImagesRegistered]:
    """The plan, seed by seed and the most important first; below the profile paper, one tiny member of each kind."""
    if profile != "paper":
        base = of(small("smoke"), profile=profile)
        return [m for seed in seeds or (0,) for m in two(replace(base, seed=seed))]
    everyone = [of(small("paper"), data="mnist", seed=seed) for seed in seeds or SEEDS]
    ends = {"alphas": (1.0, 10.0, 30.0), "depths": (16,)}
    plan = [m for base in everyone for m in starts(base)]
    plan += grid(everyone, standards=(2, 4), **ends, ranks=(4, 16, 64))
    plan += grid(everyone, standards=(8, 16), **ends | {"depths": (8,)}, ranks=(8, 32))
    cifar = [of(small("paper", "cifar10"), seed=seed) for seed in seeds or SEEDS]
    plan += grid(cifar, standards=(4,), **ends | {"depths": (8,)}, ranks=(8, 32, 64))
    plan += [orthogonal(base, 32, alpha) for base in everyone for alpha in (10.0, 30.0)]
    plan += [m for base in everyone for m in two_stages(replace(base, study="stages", epochs=10, log_per_epoch=1))]
    precise = [replace(base, study="precision", precision="float64", **BARE) for base in everyone]
    plan += [orthogonal(base, 16, 10.0) for base in precise]
    return list(dict.fromkeys(plan))


def of(base: GreedyImages, **changes) -> GreedyImagesRegistered:
    """A member of the registered series with another's set-up."""
    return GreedyImagesRegistered(**base.to_dict() | {"conv_start": "zero-output-bias"} | changes)


def two(base: GreedyImagesRegistered) -> list[GreedyImagesRegistered]:
    """A rank set by hand and a chain."""
    return [explicit(base, 8), orthogonal(base, 4, 10.0)]


def starts(base: GreedyImagesRegistered) -> list[GreedyImagesRegistered]:
    """The vanilla autoencoder from PyTorch's start and from that whose output bias is 0, watched closely."""
    watched = replace(vanilla(base), study="start", epochs=4, log_per_epoch=12, **BARE)
    return [replace(watched, conv_start=start) for start in ("default", "zero-output-bias")]


def run(
    specs: Sequence[GreedyImagesRegistered],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train and measure all members; resumable, see `run_autoencoders`."""
    return run_autoencoders(specs, measured, device, progress, on_done)


def measured(trained: Trained):
    """What `greedy_images` measures, with each probe the mean over the member's draws."""
    return evaluate(trained, trained.spec.draws)


EXPERIMENT = Experiment(
    GreedyImagesRegistered, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size
)
