"""RAG against the Hebbian learners: a race on two spectra, each learner tuned with equal effort (Bao 2020, 6.1)."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from implicit_rank.data import second_moments
from implicit_rank.data.moments import SecondMoments, moments_with
from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear.hebbian import LEARNERS, train_hebbian
from implicit_rank.linear.loop import Descent
from implicit_rank.linear.regularised import start_weights, train_regularised
from implicit_rank.parameters import ParameterError, option
from implicit_rank.spectra import random_rotation_axis_distance
from implicit_rank.store import Spec

__all__ = ["MEASURES", "Rivals", "presets", "run"]

NAMES = ("rag", *LEARNERS)
SPECTRA = {"geometric": 8, "mnist": 10}  # latent width k
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)  # the grid of rates, over 1 / s_1
TUNING_SEEDS = (1000, 1001, 1002)
LEVELS = (0.1, 0.01, 0.001)
TUNED_TO = 0.01
START = 0.001  # standard deviation of the starting weights


@dataclass(frozen=True)
class Rivals(Spec):
    """One learner on one spectrum from one start, at the rate of the grid that is fastest from three other starts."""

    experiment: ClassVar[str] = "rivals"

    learner: str = option("rag", "rag, gha, oja, weighted_oja or eigengame", choices=NAMES)
    spectrum: str = option("geometric", "geometric (40 inputs, 5, 4, 3.2, ...) or mnist", choices=tuple(SPECTRA))
    steps: int = option(20_000, "full-batch steps at most", least=1)

    def __post_init__(self):
        super().__post_init__()
        if self.seed in TUNING_SEEDS:
            raise ParameterError(f"seed {self.seed} is one of those that the rates are tuned on.")


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Rivals]:
    """All learners on both spectra over eight seeds; at quick two, at smoke one, on the geometric one, and shorter."""
    steps = {"smoke": 200, "quick": 1000, "paper": 20_000}[profile]
    spectra = tuple(SPECTRA) if profile == "paper" else ("geometric",)
    seeds = seeds or {"smoke": (0,), "quick": (0, 1), "paper": tuple(range(10, 18))}[profile]
    return [
        Rivals(profile=profile, learner=learner, spectrum=spectrum, steps=steps, seed=seed)
        for spectrum in spectra
        for learner in NAMES
        for seed in seeds
    ]


def run(
    specs: Sequence[Rivals],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Tune each learner on each spectrum once, then train its members together; float64 on the CPU."""
    groups: dict[tuple, list[Rivals]] = {}
    for spec in specs:
        groups.setdefault((spec.learner, spec.spectrum, spec.steps), []).append(spec)
    results, done = {}, 0
    for (learner, spectrum, steps), members in groups.items():
        began = time.perf_counter()
        rate, table = tuned(learner, spectrum, steps)
        descent = train(learner, spectrum, steps, [rate] * len(members), [spec.seed for spec in members], LEVELS[-1])
        seconds = (time.perf_counter() - began) / len(members)
        for j, spec in enumerate(members):
            results[spec] = _result(spec, j, descent, rate, table, seconds)
            if on_done is not None:
                on_done(results[spec])
        done += len(members)
        if progress is not None:
            progress(done / len(specs), f"{learner}, {spectrum}")
    return [results[spec] for spec in specs]


@functools.cache
def moments_of(spectrum: str) -> SecondMoments:
    """The second moments of a race."""
    if spectrum == "mnist":
        return second_moments("mnist")
    return moments_with(5 * 0.8 ** torch.arange(40, dtype=torch.float64), torch.Generator().manual_seed(0))


@functools.cache
def tuned(learner: str, spectrum: str, steps: int) -> tuple[float, Tensor]:
    """The learner's best rate, and the median steps to `TUNED_TO` at all rates of the grid `(6,)`.

    The best needs the fewest steps, in the median over the tuning seeds; where none arrives, the fewest to the
    subspace (d_sub of 0.01).
    """
    top = moments_of(spectrum).eigenvalues[0].item()
    rates = [share / top for share in SHARES for _ in TUNING_SEEDS]
    descent = train(learner, spectrum, steps, rates, list(TUNING_SEEDS) * len(SHARES), TUNED_TO)
    medians = {}
    for name in ("d_align", "d_sub"):
        times = np.array([first(descent, name, j, TUNED_TO) for j in range(len(rates))])
        medians[name] = np.median(np.minimum(times, 1e12).reshape(len(SHARES), -1), axis=1)
    best = min(range(len(SHARES)), key=lambda i: (medians["d_align"][i], medians["d_sub"][i]))
    return SHARES[best] / top, torch.from_numpy(medians["d_align"])


def train(learner: str, spectrum: str, steps: int, rates: list[float], seeds: list[int], stop_at: float) -> Descent:
    """Train one member a seed, each at its rate, until all are within `stop_at` of the axes."""
    moments, k = moments_of(spectrum), SPECTRA[spectrum]
    starts = [start_weights(k, moments.width, (seed,), START) for seed in seeds]
    encoders, decoders = (torch.cat(side) for side in zip(*starts, strict=True))
    shared = {"lr": rates, "steps": steps, "record_at": recorded(steps), "stop_at": stop_at}
    if learner == "rag":
        return train_regularised(moments, "rag", "gd", k, seeds=seeds, start=(encoders, decoders), **shared).descent
    return train_hebbian(moments, learner, encoders, **shared)


def recorded(steps: int) -> list[int]:
    """Every step up to 100, and every 1 % after."""
    taken = list(range(min(100, steps) + 1))
    while taken[-1] < steps:
        taken.append(taken[-1] + max(1, round(0.01 * taken[-1])))
    return [*taken[:-1], steps]


def first(descent: Descent, name: str, member: int, level: float) -> float:
    """The first recorded step with a series at most `level`, or infinity."""
    there = descent.series[name][member] <= level
    return float(descent.steps[there.int().argmax()]) if there.any() else math.inf


def _result(spec: Rivals, j: int, descent: Descent, rate: float, table: Tensor, seconds: float) -> Result:
    series = {name: descent.series[name][j].double() for name in ("d_align", "d_align_ordered", "d_sub")}
    alive = int((~series["d_align"].isnan()).sum()) - 1
    k = SPECTRA[spec.spectrum]
    scalars_ = {name: values[alive].item() for name, values in series.items()}
    scalars_ |= {f"reached_{level:g}": first(descent, "d_align", j, level) for level in LEVELS}
    scalars_ |= {
        "subspace": first(descent, "d_sub", j, 0.01),
        "rate": rate,
        "rate_share": rate * moments_of(spec.spectrum).eigenvalues[0].item(),
        "above_null": scalars_["d_align"] - random_rotation_axis_distance(k),
    }
    arrays = {"steps": descent.steps.numpy().astype(np.int32), "tuning": table.numpy()}
    arrays |= {name: series[name].numpy().astype(np.float32) for name in ("d_align", "d_sub")}
    return Result(spec, scalars_, arrays, descent.stopped[j], seconds)


def last_decade(run) -> float:
    """The steps from a distance of 0.01 to one of 0.001; infinity for a learner that does not get there."""
    end = run.scalars["reached_0.001"]
    return end - run.scalars["reached_0.01"] if math.isfinite(end) else math.inf


MEASURES: dict[str, Measure] = scalars(
    ("d_align", "d_align_ordered", "d_sub", "subspace", "rate", "rate_share", "above_null")
) | scalars(f"reached_{level:g}" for level in LEVELS)
MEASURES["last_decade"] = last_decade

EXPERIMENT = Experiment(Rivals, presets, run, MEASURES)
