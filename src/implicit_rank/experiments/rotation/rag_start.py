"""What RAG's end depends on: the scale of the start, the learning rate, the optimiser (Bao 2020, 6 and 8)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from implicit_rank.data.moments import moments_with
from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear.loop import recording_steps
from implicit_rank.linear.optimisers import OPTIMISERS
from implicit_rank.linear.regularised import start_weights, train_regularised
from implicit_rank.parameters import option
from implicit_rank.store import Spec
from implicit_rank.theory.rotation import imbalance, misalignment

__all__ = ["MEASURES", "RagStart", "presets", "run"]

FINAL = ("d_align", "d_align_ordered", "d_sub", "loss", "transpose")


@dataclass(frozen=True)
class RagStart(Spec):
    """One RAG run on a spectrum 5, 4, 3.2, ... (each 0.8 of the one before), independent Gaussian starts."""

    experiment: ClassVar[str] = "rag_start"

    optimiser: str = option("nesterov", "gd, nesterov or adam", choices=tuple(OPTIMISERS))
    lr: float = option(0.003, "learning rate", above=0)
    start: float = option(1e-4, "standard deviation of the starting weights", above=0)
    steps: int = option(30_000, "full-batch steps", least=1)
    D: int = option(18, "input width", least=3, most=200)
    k: int = option(5, "latent width", least=2, most=50)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[RagStart]:
    """Runs over start scales, learning rates and optimisers; shorter and fewer below paper."""
    steps = {"smoke": 400, "quick": 4000, "paper": 30_000}[profile]
    seeds = seeds or {"smoke": (0,), "quick": (0,), "paper": (0, 1, 2)}[profile]
    base = RagStart(profile=profile, steps=steps, lr=0.003 if profile == "paper" else 0.01)
    scales = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1) if profile == "paper" else (1e-4, 1e-2, 1e-1)
    members = [replace(base, start=scale) for scale in scales]
    if profile == "paper":
        members += [replace(base, lr=lr) for lr in (0.001, 0.01, 0.02)]
        members += [replace(base, optimiser="gd", lr=lr) for lr in (0.003, 0.01, 0.03)]
        members += [replace(base, optimiser="adam", lr=lr) for lr in (0.0003, 0.001, 0.003)]
    else:
        members += [replace(base, optimiser="adam", lr=0.003)]
    return [replace(member, seed=seed) for member in members for seed in seeds]


def run(
    specs: Sequence[RagStart],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train all members of one optimiser, length and shape together, in float64."""
    groups: dict[tuple, list[RagStart]] = {}
    for spec in specs:
        groups.setdefault((spec.optimiser, spec.steps, spec.D, spec.k), []).append(spec)
    results, done = {}, 0
    for (optimiser, steps, D, k), members in groups.items():
        began = time.perf_counter()
        s = 5 * 0.8 ** torch.arange(D, dtype=torch.float64)
        moments = moments_with(s, torch.Generator().manual_seed(0))
        pairs = [start_weights(k, D, (member.seed,), member.start) for member in members]
        trained = train_regularised(
            moments,
            "rag",
            optimiser,
            k,
            lr=[member.lr for member in members],
            steps=steps,
            record_at=recording_steps(steps, 120),
            seeds=[member.seed for member in members],
            start=(torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])),
            device=device,
        )
        seconds = (time.perf_counter() - began) / len(members)
        B = imbalance(trained.encoder, trained.decoder)
        for j, spec in enumerate(members):
            series = {name: values[j].numpy() for name, values in trained.descent.series.items()}
            scalars = {name: float(series[name][-1]) for name in FINAL}
            scalars["imbalance"] = B[j].norm().item()
            scalars["predicted_d_align"] = misalignment(B[j], s[:k]).item()
            arrays = {"steps": trained.descent.steps.numpy().astype(np.int32), "s": s.numpy()}
            arrays |= {name: series[name].astype(np.float32) for name in ("d_align", "d_sub")}
            result = Result(spec, scalars, arrays, trained.descent.stopped[j], seconds)
            results[spec] = result
            if on_done is not None:
                on_done(result)
        done += len(members)
        if progress is not None:
            progress(done / len(specs), f"{optimiser}, {len(members)} members")
    return [results[spec] for spec in specs]


MEASURES: dict[str, Measure] = scalars(("d_align", "d_align_ordered", "d_sub", "transpose", "imbalance")) | {
    "d_align_over_predicted": lambda run: run.scalars["d_align"] / run.scalars["predicted_d_align"]
}

EXPERIMENT = Experiment(RagStart, presets, run, MEASURES)
