"""Sun 2021, 2.4, on the convolutional autoencoder: is W = alpha What a learning rate times alpha squared?"""

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
from implicit_rank.spectra import singular_values
from implicit_rank.store import Spec
from implicit_rank.train.randomness import generator

__all__ = ["MEASURES", "GreedyImagesAlpha", "presets", "run"]

EPSILON = 1e-8  # PyTorch's own, added to the root of Adam's second moment


@dataclass(frozen=True)
class GreedyImagesAlpha(Spec):
    """One comparison: W = alpha What at some learning rate, against plain W at that rate times powers of alpha."""

    experiment: ClassVar[str] = "greedy_images_alpha"

    optimiser: str = option("adam", "which one trains everything", choices=("adam", "sgd"))
    depth: int = option(16, "linear maps N", least=1)
    alpha: float = option(30.0, "re-parameterisation", above=0)
    lr: float = option(1e-3, "learning rate of encoder and decoder; the chain's is this over N", above=0)
    steps: int = option(20, "steps on batches of 32", least=1)
    channel_factor: float = option(0.25, "width of the net", above=0)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[GreedyImagesAlpha]:
    """Both optimisers for two alphas."""
    few = {"smoke": {"steps": 3, "channel_factor": 0.125}, "quick": {"channel_factor": 0.125}, "paper": {}}[profile]
    seeds = seeds or ((0, 1, 2) if profile == "paper" else (0,))
    alphas = (10.0, 30.0) if profile == "paper" else (30.0,)
    return [
        GreedyImagesAlpha(profile=profile, seed=seed, optimiser=name, alpha=alpha, **few)
        for seed in seeds
        for name in ("adam", "sgd")
        for alpha in alphas
    ]


def compare(spec: GreedyImagesAlpha) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """How far plain chains come from where the re-parameterised one comes, relative to its own way.

    `off_once` with the chain's rate times alpha (under Adam with epsilon over alpha as well), `off_squared` with
    the rate times alpha squared; both are Frobenius norms of differences of W_e. All else is equal: start, batches,
    rates of encoder and decoder. float64. Arrays: the singular values of W_e at the end of each.

    Book: thm-adam-alpha
    """
    images = data("mnist-12k", "train", 32 * spec.steps, 0).images.double() / 255
    start = _trained(spec, images[:0], spec.alpha, 0.0, EPSILON)
    scaled = _trained(spec, images, spec.alpha, spec.lr / spec.depth, EPSILON)
    once = _trained(spec, images, 1.0, spec.lr / spec.depth * spec.alpha, EPSILON / spec.alpha)
    squared = _trained(spec, images, 1.0, spec.lr / spec.depth * spec.alpha**2, EPSILON)
    way = (scaled - start).norm()
    scalars = {
        "off_once": float((once - scaled).norm() / way),
        "off_squared": float((squared - scaled).norm() / way),
        "way": float(way / start.norm()),
    }
    ends = {"start": start, "scaled": scaled, "once": once, "squared": squared}
    return scalars, {name: singular_values(matrix).float().numpy() for name, matrix in ends.items()}


def _trained(spec: GreedyImagesAlpha, images: Tensor, alpha: float, chain_lr: float, epsilon: float) -> Tensor:
    """W_e after one pass over `images`, batch by batch, from the same W whatever alpha is."""
    model = build(
        "mnist",
        (1, 32, 32),
        depth=spec.depth,
        init="orthogonal",
        alpha=alpha,
        channel_factor=spec.channel_factor,
        generator=generator(spec.seed),
        dtype=torch.float64,
    )
    optimiser = _optimiser(spec, model, chain_lr, epsilon)
    for batch in images.split(32):
        optimiser.zero_grad()
        objective(model(batch), batch).backward()
        optimiser.step()
    return model.effective_matrix().detach()


def _optimiser(spec: GreedyImagesAlpha, model: Autoencoder, chain_lr: float, epsilon: float) -> torch.optim.Optimizer:
    rest = [*model.encoder.parameters(), *model.decoder.parameters()]
    chain = {"params": list(model.chain.parameters()), "lr": chain_lr}
    if spec.optimiser == "sgd":
        return torch.optim.SGD([{"params": rest, "lr": spec.lr}, chain])
    return torch.optim.Adam([{"params": rest, "lr": spec.lr}, chain | {"eps": epsilon}])


def run(
    specs: Sequence[GreedyImagesAlpha],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Compare one after another, on the CPU whatever `device` is: each takes seconds."""
    return run_each(specs, compare, progress, on_done)


MEASURES = scalars(("off_once", "off_squared", "way"))

EXPERIMENT = Experiment(GreedyImagesAlpha, presets, run, MEASURES)
