"""Sun 2021, 2.4 and App. C: one chain from one start, computed in ways that should, or should not, come to the same.

Is the re-parameterisation "more numerically stable" than the learning rate it stands for, and does float64 matter? A
seed draws other numbers in float64, so here every twin's start is drawn in float32 and cast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from implicit_rank.autoencoder import Autoencoder, build, objective
from implicit_rank.experiments.kit.autoencoder_training import data
from implicit_rank.experiments.kit.measures import scalars
from implicit_rank.experiments.kit.result import Progress, Result, run_each
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option
from implicit_rank.store import Spec
from implicit_rank.train.batches import Batches
from implicit_rank.train.measure import measure
from implicit_rank.train.randomness import generator

__all__ = ["MEASURES", "GreedyImagesTwins", "presets", "run"]

WAYS = ("alpha", "float64", "rate-epsilon", "rate", "rate-squared")
AT_30 = ("alpha", "rate", "rate-squared")
EPSILON = 1e-8  # PyTorch's own
NUMBERS = ("error", "rank_codes", "rank_effective")
LIMIT = 1e4, 1.5  # of the largest singular value of W_e, and of the error over the start's: as in `train.rules`


@dataclass(frozen=True)
class GreedyImagesTwins(Spec):
    """One chain; `way` is "alpha" (W = alpha What), "float64" (the same in float64) or plain W at another rate.

    "rate-epsilon" multiplies the chain's learning rate by alpha and divides Adam's epsilon by it, "rate" leaves epsilon
    as it is, and "rate-squared" multiplies the learning rate by the square.
    """

    experiment: ClassVar[str] = "greedy_images_twins"

    way: str = option("alpha", "how the same chain is computed", choices=WAYS)
    depth: int = option(16, "linear maps N", least=1)
    alpha: float = option(10.0, "re-parameterisation", above=0)
    lr: float = option(1e-3, "learning rate of encoder and decoder; the chain's is this over N", above=0)
    epochs: int = option(5, "passes over the images", least=1)
    count: int = option(10_000, "training images", least=2)
    channel_factor: float = option(0.25, "width of the net", above=0)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[GreedyImagesTwins]:
    """All ways at alpha = 10 and three of them at 30, seed by seed."""
    few = {"epochs": 1, "count": 256, "channel_factor": 0.125} if profile != "paper" else {}
    return [
        GreedyImagesTwins(profile=profile, seed=seed, way=way, alpha=alpha, **few)
        for seed in seeds or ((3, 4, 5, 6, 7, 8) if profile == "paper" else (0,))
        for alpha, ways in ((10.0, WAYS), (30.0, AT_30))
        for way in ways
    ]


def train(spec: GreedyImagesTwins) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """A twin's error and ranks on 1,000 test images once an epoch and at the end, and whether it diverged.

    One that diverges stops there, and has no error and no rank.
    """
    images, test = (data("mnist-12k", split, n, 0).images for split, n in (("train", spec.count), ("test", 1000)))
    dtype = torch.float64 if spec.way == "float64" else torch.float32
    model = start(spec).to(dtype)
    optimiser, batches = _optimiser(spec, model), Batches(images, [spec.seed], 32, dtype)
    course = [measure(model, test, 0.01)]
    for step in range(spec.epochs * batches.steps_per_epoch):
        (batch, _), *_ = batches.at(step, [0])
        optimiser.zero_grad()
        objective(model(batch), batch).backward()
        optimiser.step()
        if (step + 1) % batches.steps_per_epoch == 0 or step == 20:  # an explosion shows within twenty steps
            course.append(measure(model, test, 0.01))
            if _diverged(course):
                break
    lost = _diverged(course)
    found = {name: math.nan if lost else float(course[-1][name]) for name in NUMBERS}
    arrays = {name: np.array([entry[name] for entry in course], np.float32) for name in NUMBERS}
    return found | {"diverged": float(lost)}, arrays


def start(spec: GreedyImagesTwins) -> Autoencoder:
    """The model that all twins of a seed and an alpha start from, in float32."""
    return build(
        "mnist",
        (1, 32, 32),
        depth=spec.depth,
        init="orthogonal",
        alpha=1.0 if spec.way.startswith("rate") else spec.alpha,
        channel_factor=spec.channel_factor,
        start="zero-output-bias",
        generator=generator(spec.seed),
    )


def _optimiser(spec: GreedyImagesTwins, model: Autoencoder) -> torch.optim.Optimizer:
    times = {"rate-epsilon": spec.alpha, "rate": spec.alpha, "rate-squared": spec.alpha**2}.get(spec.way, 1.0)
    rest = [*model.encoder.parameters(), *model.decoder.parameters()]
    chain = {"params": list(model.chain.parameters()), "lr": spec.lr / spec.depth * times}
    if spec.way == "rate-epsilon":
        chain["eps"] = EPSILON / spec.alpha
    return torch.optim.Adam([{"params": rest, "lr": spec.lr}, chain])


def _diverged(course: Sequence[dict]) -> bool:
    largest, error = float(course[-1]["singular_effective"][0]), float(course[-1]["error"])
    singular_limit, error_limit = LIMIT
    return not (largest <= singular_limit and error <= error_limit * float(course[0]["error"]))


def run(
    specs: Sequence[GreedyImagesTwins],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train one twin after another, on the CPU whatever `device` is."""
    return run_each(specs, train, progress, on_done)


MEASURES = scalars((*NUMBERS, "diverged"))

EXPERIMENT = Experiment(GreedyImagesTwins, presets, run, MEASURES)
