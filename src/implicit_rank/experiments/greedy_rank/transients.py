"""Rare against frequent directions, and how aligned updates stay while nothing emerges (Sun 2021, 2.2's hypothesis)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from implicit_rank.chain import initial_layer
from implicit_rank.experiments.greedy_rank.clock import crossing
from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear.deep import DeepEnsemble, DeepMember
from implicit_rank.linear.loop import descend
from implicit_rank.linear.optimisers import GradientDescent
from implicit_rank.parameters import option
from implicit_rank.store import Spec

__all__ = ["MEASURES", "Transients", "presets", "run"]

D, WIDTH, EVERY, APART = 20, 16, 20, 100  # input and code width; steps between records, and between compared updates
STRENGTHS = (1.5, 1.0)  # of the direction that is in all samples, and of the one that may be rare
NOISE = 0.1


@dataclass(frozen=True)
class Transients(Spec):
    """One linear autoencoder on mini-batches in which a direction may be rare but strong, or on the mean of all."""

    experiment: ClassVar[str] = "transients"

    rarity: int = option(1, "the second direction is in one sample of so many", least=1, most=64)
    batch: int = option(16, "samples in a mini-batch; 0 for the mean over all of them", least=0, most=512)
    depth: int = option(4, "number N of square linear layers", least=1, most=32)
    alpha: float = option(2.0, "re-parameterisation W = alpha What", above=0)
    scale: float = option(0.003, "scale of the whole product at the start", above=0)
    lr: float = option(0.015, "learning rate of encoder and decoder; the chain's is over N", above=0)
    steps: int = option(16_000, "gradient steps", least=1)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Transients]:
    """A second direction in all samples, in one of sixteen with the same energy, and full-batch runs; six seeds."""
    base = Transients(profile=profile, steps={"smoke": 400, "quick": 4000, "paper": 16_000}[profile])
    members = [base, replace(base, rarity=16), replace(base, batch=0)]
    seeds = seeds or (tuple(range(30, 36)) if profile == "paper" else (0,))
    return [replace(member, seed=seed) for member in members for seed in seeds]


def run(
    specs: Sequence[Transients],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train members of one depth and length together, in float64 on the CPU."""
    groups: dict[tuple, list[Transients]] = {}
    for spec in specs:
        groups.setdefault((spec.batch, spec.depth, spec.steps), []).append(spec)
    results: dict[Transients, Result] = {}
    for members in groups.values():
        began = time.perf_counter()
        found = follow(members)
        seconds = (time.perf_counter() - began) / len(members)
        for spec, (numbers, arrays, note) in zip(members, found, strict=True):
            results[spec] = Result(spec, numbers, arrays, note, seconds)
            if on_done is not None:
                on_done(results[spec])
        if progress is not None:
            progress(len(results) / len(specs), f"{len(results)} of {len(specs)} members")
    return [results[spec] for spec in specs]


class Source:
    """Samples of one member: a direction that is in all of them, a second one in some, and noise."""

    def __init__(self, spec: Transients):
        self.generator = torch.Generator().manual_seed(1000 + spec.seed)
        self.axes = torch.linalg.qr(self.normal(D, 2))[0]
        self.rarity = spec.rarity
        self.second = STRENGTHS[1] * spec.rarity**0.5  # the same mean square, whatever the rarity

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def batch(self, count: int) -> Tensor:
        """Some samples (D, count), as columns."""
        there = torch.rand(count, generator=self.generator, dtype=torch.float64) < 1 / self.rarity
        signs = torch.randint(0, 2, (2, count), generator=self.generator).double() * 2 - 1
        amounts = torch.stack([STRENGTHS[0] * signs[0], self.second * there * signs[1]])
        return self.axes @ amounts + NOISE * self.normal(D, count)

    def root(self) -> Tensor:
        """A square root (D, D) of the samples' second moments, times sqrt D: the mean over all samples, as data."""
        energies = torch.tensor([STRENGTHS[0] ** 2, self.second**2 / self.rarity], dtype=torch.float64)
        moments = self.axes * energies @ self.axes.T + NOISE**2 * torch.eye(D, dtype=torch.float64)
        return torch.linalg.cholesky(moments) * D**0.5


def follow(specs: Sequence[Transients]) -> list[tuple]:
    """Train members of one shape; numbers, arrays and a note of each."""
    sources, members = [Source(spec) for spec in specs], []
    for spec, source in zip(specs, sources, strict=True):
        generator = torch.Generator().manual_seed(spec.seed)  # the start does not depend on what is rare
        encoder, decoder = torch.randn(2, WIDTH, D, generator=generator, dtype=torch.float64) * 0.25
        size = spec.scale ** (1 / spec.depth) / spec.alpha
        layers = [size * initial_layer(WIDTH, "orthogonal", generator, torch.float64) for _ in range(spec.depth)]
        data = source.root().T if spec.batch == 0 else source.batch(spec.batch).T
        chain_lr = spec.lr / spec.depth
        members.append(DeepMember(data, encoder, decoder.T.contiguous(), tuple(layers), spec.alpha, spec.lr, chain_lr))
    ensemble = DeepEnsemble(members, members[0].data.numel())
    axes, earlier = torch.stack([source.axes for source in sources]), []

    def gradients(parameters: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        if specs[0].batch:
            ensemble.targets = torch.stack([source.batch(specs[0].batch) for source in sources])
            ensemble.inputs = ensemble.targets
        return ensemble.gradients(parameters)

    def observe(step: int, parameters: dict[str, Tensor], loss: Tensor) -> dict[str, Tensor]:
        W_e = ensemble.effective(parameters)
        full = parameters["decoder"] @ W_e @ parameters["encoder"]
        after = {name: value.clone() for name, value in parameters.items()}
        GradientDescent(ensemble.rates).update(after, gradients(parameters)[1])
        earlier.append((ensemble.effective(after) - W_e).flatten(1))
        then = earlier[max(0, len(earlier) - 1 - APART // EVERY)]
        cosine = torch.nn.functional.cosine_similarity(earlier[-1], then, dim=1)
        return {"modes": torch.einsum("mdk,mde,mek->mk", axes, full, axes), "cosine": cosine}

    moments = range(0, specs[0].steps + 1, EVERY)
    descent = descend(
        ensemble.parameters, gradients, GradientDescent(ensemble.rates), specs[0].steps, moments, observe, blow_up=1e6
    )
    steps, found = descent.steps.numpy().astype(np.int32), []
    for j in range(len(specs)):
        modes, cosine = (descent.series[name][j].numpy() for name in ("modes", "cosine"))
        times = [crossing(steps, mode, 0.5) for mode in modes.T]
        numbers = {"first": times[0], "second": times[1], "stopped": float(descent.stopped[j] is not None)}
        # while the first direction rises, and on the plateau once both are learned
        rising = (modes[:, 0] > 0.1) & (modes[:, 0] < 0.5)
        resting = steps > 1.5 * max(times)
        for name, when in (("cosine_rising", rising), ("cosine_resting", resting)):
            numbers[name] = float(np.median(cosine[when])) if when.any() else float("nan")
        arrays = {"steps": steps, "modes": modes.astype(np.float32), "cosine": cosine.astype(np.float32)}
        found.append((numbers, arrays, descent.stopped[j]))
    return found


def cosine_at_rest(run) -> float:
    """The median cosine of two updates 100 steps apart from a quarter after the later direction was learned on."""
    later = 1.25 * max(run.scalars["first"], run.scalars["second"])
    when = run.arrays["steps"] > later
    return float(np.median(run.arrays["cosine"][when])) if when.any() else math.nan


MEASURES: dict[str, Measure] = scalars(("first", "second", "cosine_rising", "cosine_resting", "stopped")) | {
    "cosine_at_rest": cosine_at_rest
}

EXPERIMENT = Experiment(Transients, presets, run, MEASURES)
