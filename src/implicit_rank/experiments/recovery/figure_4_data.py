"""Which data made Figure 4 of Bao 2020: all its smaller widths from one start, against the published steps at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Progress, Result, run_each
from implicit_rank.experiments.recovery import experiment as recovery
from implicit_rank.experiments.recovery.published import FIGURE_4
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option
from implicit_rank.store import Spec

__all__ = ["MEASURES", "FigureFourData", "presets", "run"]

MODELS = ("rag", "deterministic_nested_dropout", "nonuniform_l2")


@dataclass(frozen=True)
class FigureFourData(Spec):
    """Three models at several widths on one reading of the data, with Nesterov momentum at the paper's rates."""

    experiment: ClassVar[str] = "figure_4_data"

    data: str = option(
        "synthetic-official", "which reading of the data", choices=("synthetic-official", "synthetic-paper")
    )
    widths: tuple[int, ...] = option((2, 5, 10, 20), "latent widths k, among those of the figure", least=2, most=50)
    inputs: int = option(1000, "input width", least=60)
    steps: int = option(50_000, "full-batch steps at most", least=1)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[FigureFourData]:
    """Both readings over eight seeds; in small below paper."""
    small = {} if profile == "paper" else {"widths": (2, 5), "inputs": 100, "steps": 500}
    seeds = seeds or (range(20, 28) if profile == "paper" else (20,))
    return [
        FigureFourData(profile=profile, data=data, seed=seed, **small)
        for data in ("synthetic-official", "synthetic-paper")
        for seed in seeds
    ]


def run(
    specs: Sequence[FigureFourData],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train the models of every member, one member after another."""
    return run_each(specs, lambda spec: evaluate(spec, device), progress, on_done)


def evaluate(spec: FigureFourData, device: str = "cpu") -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Steps to 0.3 of all models and widths over the published ones, and the mean size of their logarithm.

    A run that does not get there counts with all its steps.
    """
    shared = {"data": spec.data, "width": spec.inputs, "steps": spec.steps, "dtype": "float32", "stop_at": 0.3}
    members = [
        recovery.Recovery(profile=spec.profile, model=model, k=k, seed=spec.seed, **shared)
        for model in MODELS
        for k in spec.widths
    ]
    results = recovery.run(members, device)
    steps = np.array([min(result.scalars["reached_0.3"], spec.steps) for result in results])
    published = np.array([FIGURE_4[member.model, "nesterov"][member.k] for member in members])
    size = np.abs(np.log(steps / published))
    shape = len(MODELS), len(spec.widths)
    return (
        {"misfit": float(np.exp(size.mean())), "rag_misfit": float(np.exp(size.reshape(shape)[0].mean()))},
        {"steps": steps.reshape(shape), "published": published.reshape(shape)},
    )


MEASURES: dict[str, Measure] = scalars(("misfit", "rag_misfit"))

EXPERIMENT = Experiment(FigureFourData, presets, run, MEASURES)
