"""Whether small Gaussian layers become balanced as they are trained (Sun 2021, 2.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Result, run_each
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear.deep import DeepEnsemble, DeepMember
from implicit_rank.linear.loop import descend
from implicit_rank.linear.optimisers import GradientDescent
from implicit_rank.parameters import option
from implicit_rank.store import Spec
from implicit_rank.theory import effective as theory

__all__ = ["MEASURES", "Balance", "presets", "run"]


@dataclass(frozen=True)
class Balance(Spec):
    """One small linear autoencoder around N Gaussian layers; `scale` is the size of their product."""

    experiment: ClassVar[str] = "balance"

    depth: int = option(3, "number N of square linear layers", least=2, most=16)
    scale: float = option(1e-3, "size of the product: each layer is scale^(1/N) times a Gaussian matrix", above=0)
    width: int = option(16, "width d", least=4, most=64)
    lr: float = option(0.04, "learning rate of encoder and decoder; the chain's is over N", above=0)
    alpha: float = option(2.0, "re-parameterisation W = alpha What", above=0)
    steps: int = option(30_000, "full-batch gradient steps, at most", least=1)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Balance]:
    """The depths 2, 3 and 5 from three scales over five seeds; one scale, one seed and fewer steps below paper."""
    paper = profile == "paper"
    seeds = seeds or (tuple(range(5)) if paper else (0,))
    scales = (1e-2, 3e-3, 1e-3) if paper else (1e-2,)
    steps = {"smoke": 600, "quick": 6000, "paper": 30_000}[profile]
    return [
        Balance(profile=profile, depth=depth, scale=scale, steps=steps, seed=seed)
        for depth in ((2, 3) if profile == "smoke" else (2, 3, 5))
        for scale in scales
        for seed in seeds
    ]


def run(
    specs: Sequence[Balance],
    device: str = "cpu",
    progress: Callable[[float, str], None] | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train every member in float64 on the CPU and look at its layers along the way."""
    return run_each(specs, follow, progress, on_done)


def draw(spec: Balance) -> DeepMember:
    """Draw a member: 24 samples of 20 numbers, four directions of falling strength and little noise."""
    generator = torch.Generator().manual_seed(spec.seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    d, D = spec.width, 20
    strengths = torch.tensor([2.0, 1.4, 1.0, 0.7], dtype=torch.float64)
    X = normal(24, 4) * strengths @ torch.linalg.qr(normal(D, 4))[0].T * D**0.5 / 2 + 0.05 * normal(24, D)
    encoder, decoder = 0.25 * normal(d, D), 0.25 * normal(D, d)
    size = spec.scale ** (1 / spec.depth) / spec.alpha / d**0.5
    layers = tuple(size * normal(d, d) for _ in range(spec.depth))
    return DeepMember(X, encoder, decoder, layers, spec.alpha, spec.lr, spec.lr / spec.depth)


def follow(spec: Balance) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Train one member; the loss, equation 2's error and the imbalance, relative and absolute, along the way."""
    member = draw(spec)
    ensemble = DeepEnsemble([member], member.data.numel())
    first: list[Tensor] = []

    def observe(step: int, parameters: dict[str, Tensor], loss: Tensor) -> dict[str, Tensor]:
        layers = [member.alpha * value[0] for name, value in parameters.items() if name.startswith("layer_")]
        encoder, decoder = parameters["encoder"][0], parameters["decoder"][0]
        codes = member.data @ encoder.T
        outer = (
            2 * (codes @ theory.effective_matrix(layers).T @ decoder.T - member.data) @ decoder / member.data.numel()
        )
        G = theory.batch_gradient(outer, codes)
        actual = theory.first_order_update(layers, G, 1.0)
        gap = actual - theory.predicted_update(theory.effective_matrix(layers), G, spec.depth, 1.0)
        gaps = theory.imbalance(layers)
        first.extend(gaps if not first else ())
        sizes = [(low @ low.T).norm() for low in layers[:-1]]
        relative = max((D / size).norm() for D, size in zip(gaps, sizes, strict=True))
        drift = max(((D - D0).norm() / size) for D, D0, size in zip(gaps, first, sizes, strict=True))
        found = {"error": gap.norm() / actual.norm(), "relative": relative, "drift": drift}
        return {name: value.reshape(1) for name, value in found.items()}

    start = ensemble.gradients(ensemble.parameters)[0].item()
    floor = (torch.linalg.svdvals(member.data)[4:].square().sum() / member.data.numel()).item()

    def finished(observed: dict[str, Tensor]) -> Tensor:
        return observed["loss"] < floor + 0.02 * (start - floor)

    # short chains are fitted in some hundred steps, long ones in tens of thousands
    moments = [t for t in range(spec.steps + 1) if t % (5 if t < 500 else 20 if t < 4000 else 100) == 0]
    descent = descend(
        ensemble.parameters,
        ensemble.gradients,
        GradientDescent(ensemble.rates),
        spec.steps,
        moments,
        observe,
        finished=finished,
    )
    series = {name: value[0].numpy() for name, value in descent.series.items()}
    fallen = (start - series["loss"]) / (start - floor)
    arrays = {name: value.astype(np.float32) for name, value in series.items()}
    arrays["steps"], arrays["fallen"] = descent.steps.numpy().astype(np.int32), fallen.astype(np.float32)
    early = fallen >= 0.05
    return {
        "start_error": float(series["error"][0]),
        "start_relative": float(series["relative"][0]),
        # where the loss has fallen by a twentieth, and the worst from there to the end
        "rising_error": float(series["error"][early][0]) if early.any() else math.nan,
        "rising_relative": float(series["relative"][early][0]) if early.any() else math.nan,
        "rising_over_start": float(series["error"][early][0] / series["error"][0]) if early.any() else math.nan,
        "later_error": float(series["error"][early].max()) if early.any() else math.nan,
        "drift": float(series["drift"].max()),
        "fallen": float(fallen[-1]),
    }, arrays


MEASURES: dict[str, Measure] = scalars(
    (
        "start_error",
        "start_relative",
        "rising_error",
        "rising_relative",
        "rising_over_start",
        "later_error",
        "drift",
        "fallen",
    )
)

EXPERIMENT = Experiment(Balance, presets, run, MEASURES)
