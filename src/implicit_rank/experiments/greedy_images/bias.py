"""The bias of the decoder's last layer, set by hand: how long it delays a training, and what becomes of the features.

Planned after runs of seeds 0 to 8 had been looked at; seeds 9 to 14 had decided nothing before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from implicit_rank.autoencoder import Autoencoder, build, objective
from implicit_rank.experiments.kit.autoencoder_training import data
from implicit_rank.experiments.kit.measures import scalars
from implicit_rank.experiments.kit.result import Progress, Result, run_each
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option
from implicit_rank.store import Spec
from implicit_rank.train.batches import Batches, scaled
from implicit_rank.train.randomness import generator

__all__ = ["MEASURES", "GreedyImagesBias", "presets", "run"]

EVERY = 26  # steps between two looks
EARLY = 104  # the step at which features are counted: a third of an epoch
LIVE = 1e-3  # a feature whose mean over pixels and images is below this is switched off
LEVEL = 0.05  # just below the error of the mean image


@dataclass(frozen=True)
class GreedyImagesBias(Spec):
    """One vanilla autoencoder whose output bias is `bias` and whose other numbers are PyTorch's own start."""

    experiment: ClassVar[str] = "greedy_images_bias"

    bias: float = option(0.0, "of the decoder's last layer at the start", least=-1, most=1)
    lr: float = option(1e-3, "learning rate", above=0)
    steps: int = option(312, "steps on batches of 32", least=EVERY)
    count: int = option(10_000, "training images", least=2)
    channel_factor: float = option(0.25, "width of the net", above=0)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[GreedyImagesBias]:
    """A bias of two thirds, of none and of minus two thirds, seed by seed."""
    few = {"steps": EARLY, "count": 2000, "channel_factor": 0.125} if profile != "paper" else {}
    return [
        GreedyImagesBias(profile=profile, seed=seed, bias=bias, **few)
        for seed in seeds or ((9, 10, 11, 12, 13, 14) if profile == "paper" else (0,))
        for bias in (2 / 3, 0.0, -2 / 3)
    ]


def watch(spec: GreedyImagesBias) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """How many steps a run's error stays above 0.05, what is left of its bias, and how many features live.

    `steps_above` is the whole training where the error never falls below; `kept` is the bias at the end over that at
    the start (NaN from 0); `lit` is the share of live ones, after 104 steps, among features that brighten the picture
    (positive output weight). Arrays: steps, and by step the error on 200 test images, the bias, and `lit`.
    """
    images, test = (data("mnist-12k", split, n, 0).images for split, n in (("train", spec.count), ("test", 200)))
    model, test = start(spec), scaled(test, torch.float32)
    optimiser, batches = torch.optim.Adam(model.parameters(), lr=spec.lr), Batches(images, [spec.seed], 32, test.dtype)
    course = {0: look(model, test)}
    for step in range(1, spec.steps + 1):
        ((batch, _),) = batches.at(step - 1, [0])
        optimiser.zero_grad()
        objective(model(batch), batch).backward()
        optimiser.step()
        if step % EVERY == 0:
            course[step] = look(model, test)
    errors, biases, lit = np.array(list(course.values()), np.float32).T
    below = [step for step, error in zip(course, errors, strict=True) if error < LEVEL]
    found = {
        "steps_above": float(below[0] if below else spec.steps),
        "kept": float(biases[-1] / spec.bias) if spec.bias else float("nan"),
        "lit": float(course[EARLY][2]),
    }
    return found, {"steps": np.array(list(course), np.float32), "error": errors, "bias": biases, "lit": lit}


def start(spec: GreedyImagesBias) -> Autoencoder:
    """PyTorch's start of the vanilla autoencoder, but for the output bias."""
    model = build("mnist", (1, 32, 32), depth=0, channel_factor=spec.channel_factor, generator=generator(spec.seed))
    torch.nn.init.constant_(model.decoder[-2].bias, spec.bias)
    return model


@torch.no_grad()
def look(model: Autoencoder, images: Tensor) -> tuple[float, float, float]:
    """The error on images in [0, 1], the output bias, and the share of live features among those that brighten."""
    features = model.decoder[:-2](model.encoder(images))
    output = model.decoder[-2]
    error = (model.decoder[-2:](features) - images).square().mean()
    brightens = output.weight.flatten() > 0
    live = features.mean((0, 2, 3)) > LIVE
    return float(error), float(output.bias), float(live[brightens].float().mean())


def run(
    specs: Sequence[GreedyImagesBias],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train one after another, on the CPU whatever `device` is."""
    return run_each(specs, watch, progress, on_done)


MEASURES = scalars(("steps_above", "kept", "lit"))

EXPERIMENT = Experiment(GreedyImagesBias, presets, run, MEASURES)
