"""When the rank of noisy data can be seen: thresholds on their singular values beside the codes of a trained chain."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from implicit_rank.experiments.greedy_rank.clock import crossing
from implicit_rank.experiments.greedy_rank.deep_linear import DeepLinear, draw
from implicit_rank.experiments.kit.measures import Measure, scalar
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear.deep import train_deep
from implicit_rank.parameters import option
from implicit_rank.store import Spec
from implicit_rank.theory.visibility import bbp_edge, detection_limit, gavish_donoho_threshold, noise_delay

__all__ = ["MEASURES", "RankVisibility", "presets", "run"]

SHARED = ("depth", "alpha", "samples", "features", "latent", "true_rank", "noise", "weight_scale", "lr", "steps")
KEPT = 12  # leading modes kept: those of the signal and the first of the noise


@dataclass(frozen=True)
class RankVisibility(Spec):
    """One noise level: data of known rank, their spectrum, and a chain trained on them, half as wide as Sun 2021's."""

    experiment: ClassVar[str] = "rank_visibility"

    noise: float = option(0.2, "standard deviation of the noise", least=0)
    depth: int = option(4, "number N of square linear layers", least=1, most=64)
    alpha: float = option(2.0, "re-parameterisation W = alpha What", above=0)
    samples: int = option(64, "number n of samples", least=2)
    features: int = option(256, "input width D", least=2)
    latent: int = option(64, "latent width d", least=1)
    true_rank: int = option(8, "rank r of the clean data", least=1)
    weight_scale: float = option(0.14, "standard deviation of encoder and decoder at the start", above=0)
    lr: float = option(0.03, "learning rate of encoder and decoder; the chain's is over N", above=0)
    steps: int = option(4000, "full-batch gradient steps", least=1)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[RankVisibility]:
    """Twelve levels of noise, from none to see to none to be seen; fewer, and smaller models, below paper."""
    base, noises = RankVisibility(profile=profile), (0.05, 0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    if profile != "paper":
        sizes = {"samples": 32, "features": 64, "latent": 32, "true_rank": 4, "weight_scale": 0.18}
        base = replace(base, steps=400 if profile == "smoke" else 2000, **sizes)
        noises = (0.1, 1.0, 4.0) if profile == "smoke" else (0.05, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0)
    seeds = seeds or (tuple(range(20, 25)) if profile == "paper" else (0,))
    return [replace(base, noise=noise, seed=seed) for noise in noises for seed in seeds]


def run(
    specs: Sequence[RankVisibility],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
    batch: int = 24,
) -> list[Result]:
    """Train members of one shape together, in float64 on the CPU."""
    groups: dict[RankVisibility, list[RankVisibility]] = {}
    for spec in specs:
        groups.setdefault(replace(spec, seed=0, noise=0.0), []).append(spec)
    batches = [group[i : i + batch] for group in groups.values() for i in range(0, len(group), batch)]
    results = {}
    for members in batches:
        began = time.perf_counter()
        drawn = [draw(DeepLinear(seed=spec.seed, **{name: getattr(spec, name) for name in SHARED})) for spec in members]
        moments = np.unique(np.geomspace(10, members[0].steps, 80).round().astype(int))
        descent, _ = train_deep([member for member, _ in drawn], members[0].steps, [0, *moments.tolist()])
        seconds = (time.perf_counter() - began) / len(members)
        for j, (spec, (member, source)) in enumerate(zip(members, drawn, strict=True)):
            series = {name: value[j] for name, value in descent.series.items()}
            arrays = {
                "steps": descent.steps.numpy().astype(np.int32),
                "data": torch.linalg.svdvals(member.data).numpy(),
                "clean": torch.linalg.svdvals(source["clean"])[: spec.true_rank].numpy(),
                "codes": series["codes"].numpy().astype(np.float32),
                "modes": series["modes"][:, :KEPT].numpy().astype(np.float32),
            }
            stopped = descent.stopped[j]
            results[spec] = Result(spec, {"stopped": float(stopped is not None)}, arrays, stopped, seconds)
            if on_done is not None:
                on_done(results[spec])
        if progress is not None:
            progress(len(results) / len(specs), f"{len(results)} of {len(specs)} members")
    return [results[spec] for spec in specs]


# ---- what each rule reads off the data ----
def shape(run) -> tuple[int, int]:
    """(n, D)."""
    return run.spec["samples"], run.spec["features"]


def above(run, threshold: float) -> float:
    """How many singular values of the data lie above a threshold."""
    return float((run.arrays["data"] > threshold).sum())


def edge_rank(run) -> float:
    """How many singular values lie above the edge of the noise, which has to be known."""
    return above(run, bbp_edge(shape(run), run.spec["noise"]))


def known_rank(run) -> float:
    """How many lie above Gavish and Donoho's threshold for the noise, which has to be known."""
    return above(run, gavish_donoho_threshold(shape(run), run.spec["noise"]))


def median_rank(run) -> float:
    """How many lie above Gavish and Donoho's threshold for unknown noise, a multiple of the median."""
    return above(run, gavish_donoho_threshold(shape(run)) * float(np.median(run.arrays["data"])))


def data_rank(run) -> float:
    """How many lie above a hundredth of the largest."""
    return above(run, 0.01 * float(run.arrays["data"][0]))


def visible_rank(run) -> float:
    """How many directions of the clean signal are above the detection limit: what any rule can hope to find."""
    return float((run.arrays["clean"] > detection_limit(shape(run), run.spec["noise"])).sum())


# ---- and off the codes of the chain ----
def code_ranks(run) -> np.ndarray:
    """The code rank by the rule of a hundredth at every recorded step (t,); NaN after a member was stopped."""
    codes = run.arrays["codes"]
    ranks = (codes > 0.01 * codes.max(axis=1, keepdims=True)).sum(axis=1).astype(float)
    return np.where(np.isfinite(codes).all(axis=1), ranks, np.nan)


def emergence(run) -> np.ndarray:
    """The step at which each leading mode of the noisy data is half fitted (12,)."""
    return np.array([crossing(run.arrays["steps"], mode, 0.5) for mode in run.arrays["modes"].T])


def plateau(run) -> float:
    """The step at which the first direction of noise is half fitted, over that of the last one of the signal.

    Infinity where no noise has started, NaN where the signal is not all there either.
    """
    times, r = emergence(run), run.spec["true_rank"]
    if not np.isfinite(times[:r]).all():
        return math.nan
    return float(times[r:].min() / times[:r].max())


def plateau_over_law(run) -> float:
    """The measured plateau over `(S_r / S_{r+1})^2`; infinity where no noise has started."""
    return plateau(run) / noise_delay(run.arrays["data"].tolist(), run.spec["true_rank"])


def fitted_directions(run) -> float:
    """How many of the leading modes of the noisy data are half fitted at the end."""
    return float((run.arrays["modes"][-1] > 0.5).sum())


MEASURES: dict[str, Measure] = {
    "stopped": scalar("stopped"),
    "edge_rank": edge_rank,
    "known_rank": known_rank,
    "median_rank": median_rank,
    "data_rank": data_rank,
    "visible_rank": visible_rank,
    "code_rank": lambda run: float(code_ranks(run)[-1]),
    "plateau": plateau,
    "plateau_over_law": plateau_over_law,
    "fitted_directions": fitted_directions,
}

EXPERIMENT = Experiment(RankVisibility, presets, run, MEASURES)
