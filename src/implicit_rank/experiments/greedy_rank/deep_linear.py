"""Sun 2021, 3.1 and Figures 1 and 5(a): a linear autoencoder with N linear layers at its bottleneck."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from implicit_rank import data as datasets
from implicit_rank.chain import initial_layer
from implicit_rank.experiments.greedy_rank.measures import MEASURES
from implicit_rank.experiments.kit.result import Result
from implicit_rank.experiments.kit.shares import weighted
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear.deep import DeepMember, train_deep
from implicit_rank.linear.loop import Descent, recording_steps
from implicit_rank.parameters import ParameterError, option, resolve_device
from implicit_rank.spectra import numerical_rank
from implicit_rank.store import Spec

__all__ = ["MEASURES", "DeepLinear", "presets", "run"]

THRESHOLDS = (0.001, 0.003, 0.01, 0.03, 0.1)
KEPT = 16  # leading singular values kept along the run; ranks and the final spectra are kept whole
ENTRY_POWER = 8.0  # mean squared entry of the synthetic data (r = 8); digits are scaled to it, so one rate fits both


@dataclass(frozen=True)
class DeepLinear(Spec):
    """One member of Figure 1: the defaults are the paper's own set-up (Sun 2021, 3.1 and App. A, B)."""

    experiment: ClassVar[str] = "deep_linear"

    data: str = option("synthetic", "what to encode", choices=("synthetic", "digits"))
    start: str = option("orthogonal", "start of the chain", choices=("none", "default", "he", "orthogonal"))
    depth: int = option(16, "number N of square linear layers; 0 with start 'none'", least=0, most=128)
    alpha: float = option(1.0, "re-parameterisation W = alpha What", above=0)
    scale: float = option(0.001, "scale of the whole product at an orthogonal start", above=0)
    divide_lr: bool = option(True, "divide the chain's learning rate by N")
    samples: int = option(64, "number n of samples", least=2)
    features: int = option(256, "input width D", least=2)
    latent: int = option(128, "latent width d", least=1)
    true_rank: int = option(8, "rank r of the clean synthetic data", least=1)
    noise: float = option(0.2, "standard deviation of the noise", least=0)
    weight_scale: float = option(0.1, "standard deviation of encoder and decoder at the start", above=0)
    lr: float = option(0.03, "learning rate of encoder and decoder", above=0)
    steps: int = option(10_000, "full-batch gradient steps", least=1)
    records: int = option(140, "number of recorded steps", least=2)
    rank_threshold: float = option(0.01, "a singular value counts above this share of the largest", above=0, below=1)

    def __post_init__(self):
        super().__post_init__()
        if (self.start == "none") != (self.depth == 0):
            raise ParameterError("start 'none' (the vanilla autoencoder) goes with depth 0, and only with it.")
        if self.data == "synthetic" and self.true_rank > min(self.samples, self.features):
            raise ParameterError(
                f"true_rank must not exceed samples and features ({min(self.samples, self.features)}), "
                f"not {self.true_rank}."
            )


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[DeepLinear]:
    """The members of Figures 1 and 5(a), and of the chapter's own questions, at a profile's size."""
    if profile == "paper":
        base, depths = DeepLinear(profile="paper"), (2, 4, 8, 12, 16, 20, 24, 28, 32)
        seeds, extra = seeds or (0, 1, 2), seeds or (0, 1, 2, 3, 4)
        digits = replace(base, data="digits", samples=1797, features=64, latent=64)
    else:
        base = small(profile)
        depths = (4, 8, 16, 32) if profile == "quick" else (2, 4)
        seeds = extra = seeds or ((0, 1) if profile == "quick" else (0,))
        digits = replace(base, data="digits", samples=1797, features=64, latent=24)
    middle, last = (16 if 16 in depths else depths[-1]), depths[-1]
    members = [*vanilla(base, extra), *grid(base, "default", depths, (1.0,), seeds)]
    members += grid(base, "orthogonal", depths, (1.0, 2.0), seeds) + grid(base, "orthogonal", (middle,), (2.0,), extra)
    members += grid(base, "orthogonal", (middle,), (1.5, 3.0), seeds)
    members += [*vanilla(digits, seeds), *grid(digits, "orthogonal", (middle,), (2.0,), seeds)]
    if profile == "paper":
        members += grid(base, "orthogonal", (middle,), (5.0, 8.0), seeds)
        members += grid(base, "he", (4, middle), (1.0,), seeds)
        members += grid(replace(base, scale=0.01), "orthogonal", (middle,), (2.0,), seeds)
        members += grid(replace(base, scale=0.1), "orthogonal", (middle,), (2.0,), seeds)
        members += grid(replace(base, scale=1.0), "orthogonal", (middle,), (2.0,), seeds)
        members += grid(replace(base, divide_lr=False), "orthogonal", (4, middle, last), (1.0,), seeds)
        members += grid(digits, "orthogonal", (4, last), (2.0,), seeds) + grid(
            digits, "default", (4, middle), (1.0,), seeds
        )
    return list(dict.fromkeys(members))


def small(profile: str) -> DeepLinear:
    """The shrunken set-up of the quick and smoke profiles: the same claims at a fraction of the flops."""
    if profile == "smoke":
        sizes = {"samples": 24, "features": 32, "latent": 24, "true_rank": 3, "steps": 600, "records": 30}
    else:
        sizes = {"samples": 32, "features": 64, "latent": 32, "true_rank": 4, "steps": 5000, "records": 90}
    return DeepLinear(profile=profile, weight_scale=0.18, lr=0.06, **sizes)


def vanilla(base: DeepLinear, seeds: Iterable[int]) -> list[DeepLinear]:
    """Autoencoders without a chain, one per seed."""
    return [replace(base, start="none", depth=0, scale=1.0, divide_lr=False, seed=seed) for seed in seeds]


def grid(
    base: DeepLinear, start: str, depths: Iterable[int], alphas: Iterable[float], seeds: Iterable[int]
) -> list[DeepLinear]:
    """Members over depths, alphas and seeds; only orthogonal starts are scaled, with lr / N (App. B)."""
    seeds = tuple(seeds)
    if start != "orthogonal":
        base = replace(base, scale=1.0, divide_lr=False)
    return [
        replace(base, start=start, depth=depth, alpha=float(alpha), seed=seed)
        for depth in depths
        for alpha in alphas
        for seed in seeds
    ]


def run(
    specs: Sequence[DeepLinear],
    device: str = "cpu",
    progress: Callable[[float, str], None] | None = None,
    on_done: Callable[[Result], None] | None = None,
    batch: int = 24,
) -> list[Result]:
    """Train all members, those of one shape together, and return their results in the order given.

    `progress(share, text)` reports along the way; `on_done(result)` is called as soon as a batch is finished,
    so that an interrupted run keeps what it has.
    """
    target = str(resolve_device(device))
    shape = [
        name
        for name in (f.name for f in fields(DeepLinear))
        if name in ("data", "samples", "features", "latent", "steps", "records", "rank_threshold")
    ]
    groups: dict[tuple, list[DeepLinear]] = {}
    for spec in specs:
        groups.setdefault(tuple(getattr(spec, name) for name in shape), []).append(spec)
    # members of like depth side by side: a batch then costs what its own depths cost
    batches = [
        members[i : i + batch]
        for group in groups.values()
        for members in [sorted(group, key=lambda spec: spec.depth)]
        for i in range(0, len(members), batch)
    ]
    results = {}
    for members, within in weighted(batches, _cost, progress):

        def report(step: int, members=members, within=within) -> None:
            within(step / members[0].steps, f"{len(members)} members, step {step}")

        for result in _run_batch(members, target, report):
            results[result.spec] = result
            if on_done is not None:
                on_done(result)
    return [results[spec] for spec in specs]


def _cost(spec: DeepLinear) -> float:
    return spec.steps * (spec.depth + 2) * spec.latent**2 * min(spec.samples, spec.features)


def _run_batch(specs: Sequence[DeepLinear], device: str, report: Callable[[int], None]) -> list[Result]:
    began, first = time.perf_counter(), specs[0]
    drawn = [draw(spec) for spec in specs]
    record_at = sorted(
        {
            *recording_steps(first.steps, first.records // 3),
            *np.linspace(0, first.steps, first.records * 2 // 3).round().astype(int).tolist(),
        }
    )
    descent, ends = train_deep([member for member, _ in drawn], first.steps, record_at, device=device, progress=report)
    seconds = (time.perf_counter() - began) / len(specs)
    return [
        _result(spec, member.data, source, descent, j, ends[j], seconds)
        for j, (spec, (member, source)) in enumerate(zip(specs, drawn, strict=True))
    ]


def draw(spec: DeepLinear) -> tuple[DeepMember, dict[str, Tensor]]:
    """Draw a member's data and start; one seed gives the same data, encoder and decoder whatever the chain.

    Also returns `clean` (n, D) and a fresh pair `fresh`, `fresh_clean` from the same source, synthetic data only.
    """
    generator = torch.Generator().manual_seed(spec.seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    source: dict[str, Tensor] = {}
    if spec.data == "synthetic":
        right = normal(spec.true_rank, spec.features)
        source["clean"] = normal(spec.samples, spec.true_rank) @ right
        X = source["clean"] + spec.noise * normal(spec.samples, spec.features)
        source["fresh_clean"] = normal(512, spec.true_rank) @ right
        source["fresh"] = source["fresh_clean"] + spec.noise * normal(512, spec.features)
    else:
        X = datasets.samples("digits")
        X = X * (ENTRY_POWER / X.square().mean()).sqrt()
    encoder = spec.weight_scale * normal(spec.latent, X.shape[1])
    decoder = spec.weight_scale * normal(X.shape[1], spec.latent)
    factor = spec.scale ** (1 / spec.depth) / spec.alpha if spec.depth else 1.0
    layers = tuple(initial_layer(spec.latent, spec.start, generator, torch.float64) * factor for _ in range(spec.depth))
    chain_lr = spec.lr / spec.depth if spec.divide_lr and spec.depth else spec.lr
    return DeepMember(X, encoder, decoder, layers, spec.alpha, spec.lr, chain_lr), source


def _result(
    spec: DeepLinear, X: Tensor, source: dict[str, Tensor], descent: Descent, j: int, ends: tuple, seconds: float
) -> Result:
    series = {name: value[j] for name, value in descent.series.items()}
    healthy = series["loss"].isfinite()
    strength = torch.linalg.svdvals(X)
    thresholds = sorted({*THRESHOLDS, spec.rank_threshold})
    arrays = {
        "steps": descent.steps.numpy().astype(np.int32),
        "loss": series["loss"].numpy(),
        "modes": series["modes"][:, :KEPT].numpy().astype(np.float32),
        "data": strength.numpy().astype(np.float32),
        "thresholds": np.array(thresholds),
    }
    for name in ("effective", "codes"):
        values = series[name]
        # -1 marks the records after a member was stopped
        ranks = torch.full((len(values), len(thresholds)), -1, dtype=torch.int16)
        for column, threshold in enumerate(thresholds):
            ranks[healthy, column] = numerical_rank(values[healthy], threshold).short()
        arrays[name] = values[:, :KEPT].numpy().astype(np.float32)
        arrays[f"{name}_rank"] = ranks.numpy()
        arrays[f"{name}_final"] = values[healthy][-1].numpy().astype(np.float32)
    stopped = descent.stopped[j]
    scalars = {
        "loss": series["loss"][-1].item(),
        "start_loss": series["loss"][0].item(),
        "stopped": float(stopped is not None),
    }
    if source:
        # no rank-r map does better on the data than their truncated SVD (Eckart and Young)
        scalars["floor"] = (strength[spec.true_rank :].square().sum() / X.numel()).item()
    if source and stopped is None:
        encoder, W, decoder = ends
        full = (decoder @ W @ encoder).T
        scalars["clean_error"] = (X @ full - source["clean"]).square().mean().item()
        scalars["fresh_error"] = (source["fresh"] @ full - source["fresh_clean"]).square().mean().item()
    return Result(spec, scalars, arrays, stopped, seconds)


EXPERIMENT = Experiment(DeepLinear, presets, run, MEASURES)
