"""When each direction of a linear autoencoder emerges, against predictions from data and start weights alone."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from scipy.stats import linregress
from torch import Tensor

from implicit_rank.experiments.greedy_rank.deep_linear import DeepLinear, draw
from implicit_rank.experiments.kit.measures import Measure, scalar
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear.deep import DeepEnsemble, DeepMember, compress
from implicit_rank.linear.loop import descend
from implicit_rank.linear.optimisers import GradientDescent
from implicit_rank.parameters import option
from implicit_rank.store import Spec
from implicit_rank.theory.alignment import alignment_delay, emergence_time
from implicit_rank.theory.greedy import emergence_ratio, fitting_time

__all__ = ["MEASURES", "EmergenceClock", "presets", "run"]

SHARED = ("depth", "alpha", "scale", "samples", "features", "latent", "true_rank", "noise", "weight_scale", "lr")


@dataclass(frozen=True)
class EmergenceClock(Spec):
    """One chain from the scaled orthogonal start, trained until all true directions are half fitted.

    The settings are those of `implicit_rank.experiments.greedy_rank.deep_linear`; widths are half the paper's (App. B).
    """

    experiment: ClassVar[str] = "emergence_clock"

    depth: int = option(16, "number N of square linear layers; 0 for none", least=0, most=128)
    alpha: float = option(2.0, "re-parameterisation W = alpha What", above=0)
    scale: float = option(0.001, "scale of the whole product at the start", above=0)
    samples: int = option(32, "number n of samples", least=2)
    features: int = option(128, "input width D", least=2)
    latent: int = option(64, "latent width d", least=1)
    true_rank: int = option(4, "rank r of the clean data", least=1)
    noise: float = option(0.2, "standard deviation of the noise", least=0)
    weight_scale: float = option(0.14, "standard deviation of encoder and decoder at the start", above=0)
    lr: float = option(0.03, "learning rate of encoder and decoder; the chain's is over N", above=0)
    steps: int = option(20_000, "full-batch gradient steps, at most", least=1)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[EmergenceClock]:
    """Depths and alphas, and a small noiseless model: its start goes to zero, or its chain is slowed down."""
    if profile != "paper":
        base = shrunken(profile)
        return [replace(base, depth=depth, seed=seed) for depth in (4, 8) for seed in seeds or (0,)]
    seeds = seeds or tuple(range(10, 16))
    base, small = EmergenceClock(profile=profile), replace(vanishing(), profile=profile)
    members = [replace(base, depth=depth) for depth in (0, 4, 8, 16, 32)]
    members += [replace(base, alpha=alpha) for alpha in (1.0, 1.5, 3.0)]
    members += [replace(small, scale=scale) for scale in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)]
    members += [replace(small, scale=0.03, alpha=alpha) for alpha in (0.05, 0.2, 1.0, 4.0)]
    return [replace(member, seed=seed) for member in members for seed in seeds]


def shrunken(profile: str) -> EmergenceClock:
    """The set-up of the quick and smoke profiles, at a fraction of the flops."""
    sizes = {"samples": 32, "features": 64, "latent": 32, "true_rank": 4, "weight_scale": 0.18, "lr": 0.03}
    return EmergenceClock(profile=profile, steps=2000 if profile == "smoke" else 6000, **sizes)


def vanishing() -> EmergenceClock:
    """A model of three layers whose start can go to zero: no noise, small steps."""
    sizes = {"samples": 24, "features": 32, "latent": 24, "true_rank": 3, "noise": 0.0, "weight_scale": 0.2}
    return EmergenceClock(depth=3, alpha=1.0, lr=0.02, steps=120_000, **sizes)


def run(
    specs: Sequence[EmergenceClock],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train members that differ in the seed alone together, in float64 on the CPU."""
    groups: dict[EmergenceClock, list[EmergenceClock]] = {}
    for spec in specs:
        groups.setdefault(replace(spec, seed=0), []).append(spec)
    results, done = {}, 0
    for members in groups.values():
        began = time.perf_counter()
        found = follow(members)
        seconds = (time.perf_counter() - began) / len(members)
        for spec, (scalars, arrays, note) in zip(members, found, strict=True):
            results[spec] = Result(spec, scalars, arrays, note, seconds)
            if on_done is not None:
                on_done(results[spec])
        done += len(members)
        if progress is not None:
            progress(done / len(specs), f"{len(members)} seeds of depth {members[0].depth}")
    return [results[spec] for spec in specs]


def follow(specs: Sequence[EmergenceClock]) -> list[tuple]:
    """Train members of one shape; scalars, arrays and a note of each."""
    start = "orthogonal" if specs[0].depth else "none"
    members = [draw(DeepLinear(start=start, seed=s.seed, **{n: getattr(s, n) for n in SHARED}))[0] for s in specs]
    small = [compress(member)[0] for member in members]
    ensemble = DeepEnsemble(small, members[0].data.numel())
    count = specs[0].true_rank

    def observe(step: int, parameters: dict[str, Tensor], loss: Tensor) -> dict[str, Tensor]:
        output = parameters["decoder"] @ (ensemble.effective(parameters) @ (parameters["encoder"] @ ensemble.inputs))
        share = torch.einsum("mdk,mdn,mnk->mk", ensemble.left, output, ensemble.right) / ensemble.strength
        return {"modes": share[:, :count]}

    steps = specs[0].steps
    # all along, since nobody knows beforehand where a member's directions rise: 5 steps are below 2 % of any wait
    moments = sorted({*range(0, min(steps, 2000) + 1, 5), *range(0, steps + 1, 10 if steps <= 20_000 else 40)})
    descent = descend(
        ensemble.parameters,
        ensemble.gradients,
        GradientDescent(ensemble.rates),
        steps,
        moments,
        observe,
        finished=lambda seen: (seen["modes"] > 0.9).all(dim=1),
    )
    final = ensemble.effective(descent.parameters).nan_to_num()
    taken = descent.steps.numpy().astype(np.int32)
    found = []
    for j, (spec, member) in enumerate(zip(specs, members, strict=True)):
        modes = descent.series["modes"][ensemble.order.index(j)].numpy()
        arrays = {name: np.array([crossing(taken, m, level) for m in modes.T]) for name, level in LEVELS.items()}
        arrays |= starts(member, count, spec.scale)
        arrays["effective_final"] = torch.linalg.svdvals(final[ensemble.order.index(j)]).numpy()
        found.append(({"stopped": float(descent.stopped[j] is not None)}, arrays, descent.stopped[j]))
    return found


LEVELS = {"tenth": 0.1, "half": 0.5, "nine_tenths": 0.9}


def crossing(steps: np.ndarray, values: np.ndarray, level: float) -> float:
    """The first step at which `values` reach `level`, interpolated linearly; infinity if never."""
    reached = np.flatnonzero(values >= level)
    if len(reached) == 0:
        return math.inf
    i = reached[0]
    if i == 0:
        return float(steps[0])
    return float(np.interp(level, values[i - 1 : i + 1], steps[i - 1 : i + 1]))


def starts(member: DeepMember, count: int, scale: float) -> dict[str, np.ndarray]:
    """What the draw gives each leading direction: strength, gains of encoder and decoder, overlap through the chain."""
    _, S, Vh = torch.linalg.svd(member.data, full_matrices=False)
    encoder, decoder = member.encoder @ Vh[:count].T, member.decoder.T @ Vh[:count].T
    codes = encoder
    for layer in member.layers:
        codes = member.alpha * layer @ codes
    gains = encoder.norm(dim=0), decoder.norm(dim=0)
    overlap = (decoder * codes).sum(dim=0) / (gains[0] * gains[1] * scale)
    values = {"strength": S[:count], "encoder_gain": gains[0], "decoder_gain": gains[1], "overlap": overlap}
    return {name: value.numpy() for name, value in values.items()}


# ---- predictions: read off a stored run, with nothing left to fit ----
def units(run) -> np.ndarray:
    """Steps per unit of time (count,): `nD / (2 lr S^2)`."""
    spec = run.spec
    return spec["samples"] * spec["features"] / (2 * spec["lr"] * run.arrays["strength"] ** 2)


def aligned_times(run) -> np.ndarray:
    """The steps to half fitted that the clock gives directions that are aligned from the start (count,)."""
    gains = run.arrays["encoder_gain"] * run.arrays["decoder_gain"]
    times = [fitting_time(run.spec["scale"], run.spec["depth"], gain, alpha=run.spec["alpha"]) for gain in gains]
    return np.array(times) * units(run)


def plane_times(run) -> np.ndarray:
    """The steps to half fitted that the flow in the plane gives each direction, from its overlap (count,)."""
    arrays = run.arrays
    draws = zip(arrays["encoder_gain"], arrays["decoder_gain"], arrays["overlap"], strict=True)
    given = (run.spec["scale"], run.spec["depth"], run.spec["alpha"])
    times = [_cached(emergence_time, *given, float(e), float(d), float(o)) for e, d, o in draws]
    return np.array(times) * units(run)


@functools.cache
def _cached(
    law: Callable, scale: float, depth: int, alpha: float, encoder: float, decoder: float, overlap: float
) -> float:
    return law(scale, depth, (encoder, decoder), overlap, alpha=alpha)


def delays(run) -> np.ndarray:
    """The factor by which each direction's overlap makes it late (count,)."""
    return np.array([alignment_delay(run.spec["depth"], float(overlap)) for overlap in run.arrays["overlap"]])


def typical_ratio(times: Callable) -> Measure:
    """The median over the directions of measured over predicted steps."""
    return lambda run: float(np.median(run.arrays["half"] / times(run)))


def worst_ratio(run) -> float:
    """The largest factor, either way, between a direction's steps and those of the flow in the plane."""
    return float(np.exp(np.abs(np.log(run.arrays["half"] / plane_times(run))).max()))


def limit_gap(run) -> float:
    """How far ratios of emergence times are from their limit for small starts: the largest |ln|, against the first."""
    gains, late = run.arrays["encoder_gain"] * run.arrays["decoder_gain"], delays(run)
    strength, half = run.arrays["strength"], run.arrays["half"]
    limits = [
        emergence_ratio((strength[0], strength[k]), (gains[0], gains[k]), (late[0], late[k]))
        for k in range(1, len(half))
    ]
    return float(np.abs(np.log(half[1:] / half[0] / np.array(limits))).max())


def rise_over_wait(run) -> float:
    """The steps of the first rise, from a tenth to half fitted, over those before it."""
    first = int(np.argmin(run.arrays["half"]))
    return float(run.arrays["half"][first] / run.arrays["tenth"][first] - 1)


def slope(run) -> float:
    """The slope of log emergence time on log singular value; NaN where a direction never emerges."""
    half = run.arrays["half"]
    return (
        float(linregress(np.log(run.arrays["strength"]), np.log(half)).slope) if np.isfinite(half).all() else math.nan
    )


def heterogeneity(run) -> float:
    """The largest singular value of W_e at the end over the median one: 1 for a chain that has stayed flat."""
    values = run.arrays["effective_final"]
    return float(values[0] / np.median(values))


def overlap_of_rises(run) -> float:
    """The mean length of a rise, from a tenth to nine tenths, over the time that all take: 1 if all rise together."""
    begins, ends = run.arrays["tenth"], run.arrays["nine_tenths"]
    if not np.isfinite(ends).all():
        return math.nan
    return float((ends - begins).mean() / (ends.max() - begins.min()))


MEASURES: dict[str, Measure] = {
    "stopped": scalar("stopped"),
    "first_time": lambda run: float(run.arrays["half"][0]),
    "over_aligned": typical_ratio(aligned_times),
    "over_delayed": lambda run: float(np.median(run.arrays["half"] / (aligned_times(run) * delays(run)))),
    "over_plane": typical_ratio(plane_times),
    "worst_over_plane": worst_ratio,
    "limit_gap": limit_gap,
    "rise_over_wait": rise_over_wait,
    "last_over_first": lambda run: float(run.arrays["half"].max() / run.arrays["half"].min()),
    "slope": slope,
    "heterogeneity": heterogeneity,
    "overlap_of_rises": overlap_of_rises,
}

EXPERIMENT = Experiment(EmergenceClock, presets, run, MEASURES)
