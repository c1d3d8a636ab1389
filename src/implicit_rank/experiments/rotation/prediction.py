"""Where RAG will end, said before it starts: its distance from the axes against the imbalance of its first weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from implicit_rank.data.moments import moments_with
from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear.loop import recording_steps
from implicit_rank.linear.regularised import start_weights, train_regularised
from implicit_rank.parameters import option
from implicit_rank.store import Spec
from implicit_rank.theory.rotation import expected_gaussian_misalignment, expected_misalignment, imbalance

__all__ = ["MEASURES", "RotationPrediction", "presets", "run"]


@dataclass(frozen=True)
class RotationPrediction(Spec):
    """A number of RAG runs by plain gradient descent from independent Gaussian starts of one size."""

    experiment: ClassVar[str] = "rotation_prediction"

    spectrum: str = option("geometric", "5, 4, 3.2, ... or uneven gaps", choices=("geometric", "uneven"))
    start: float = option(0.01, "standard deviation of the starting weights", above=0)
    starts: int = option(16, "starts of one member", least=1, most=1000)
    lr: float = option(0.01, "learning rate", above=0)
    steps: int = option(10_000, "full-batch steps", least=1)
    D: int = option(18, "input width", least=6, most=200)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[RotationPrediction]:
    """Three sizes of start on two spectra: twelve members of 16 starts each, and of 48; two short ones below paper."""
    if profile != "paper":
        few = {"profile": profile, "starts": 4, "steps": {"smoke": 200, "quick": 4000}[profile]}
        return [RotationPrediction(start=0.03, seed=seed, **few) for seed in seeds or (0, 1)]
    return [
        RotationPrediction(profile=profile, spectrum=spectrum, start=start, seed=seed, starts=starts, steps=steps)
        for starts, steps, fresh in ((16, 10_000, range(100, 112)), (48, 8000, range(120, 132)))
        for spectrum in ("geometric", "uneven")
        for start in (0.01, 0.03, 0.1)
        for seed in seeds or fresh
    ]


def eigenvalues(spectrum: str, D: int) -> Tensor:
    """All D eigenvalues; the top five are learned."""
    if spectrum == "geometric":
        return 5 * 0.8 ** torch.arange(D, dtype=torch.float64)
    top = torch.tensor([5.0, 4.4, 2.6, 2.2, 1.0], dtype=torch.float64)
    return torch.cat([top, 0.6 * 0.9 ** torch.arange(D - 5, dtype=torch.float64)])


def run(
    specs: Sequence[RotationPrediction],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train all starts of all members of one kind together, in float64."""
    groups: dict[tuple, list[RotationPrediction]] = {}
    for spec in specs:
        groups.setdefault((spec.spectrum, spec.lr, spec.steps, spec.D), []).append(spec)
    results, done = {}, 0
    for (spectrum, lr, steps, D), members in groups.items():
        began = time.perf_counter()
        s = eigenvalues(spectrum, D)
        pairs = [start_weights(5, D, seeds_of(member), member.start) for member in members]
        start = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
        trained = train_regularised(
            moments_with(s, torch.Generator().manual_seed(0)),
            "rag",
            "gd",
            5,
            lr=lr,
            steps=steps,
            record_at=recording_steps(steps, 20),
            seeds=[seed for member in members for seed in seeds_of(member)],
            start=start,
            device=device,
        )
        predicted = expected_misalignment(s[:5], imbalance(*start))
        ends = {name: trained.descent.series[name][:, -1] for name in ("d_align", "d_sub")}
        seconds = (time.perf_counter() - began) / len(members)
        at = 0
        for spec in members:
            mine = slice(at, at := at + spec.starts)
            own = {"d_align": ends["d_align"][mine], "predicted": predicted[mine]}
            sums = {name: values.mean().item() for name, values in own.items()}
            sums["from_size"] = expected_gaussian_misalignment(s[:5], D, spec.start)
            sums["d_sub"] = ends["d_sub"][mine].max().item()
            arrays = {name: values.numpy() for name, values in own.items()}
            stopped = next((reason for reason in trained.descent.stopped[mine] if reason), None)
            results[spec] = Result(spec, sums, arrays, stopped, seconds)
            if on_done is not None:
                on_done(results[spec])
        done += len(members)
        if progress is not None:
            progress(done / len(specs), f"{spectrum}, {len(members)} members")
    return [results[spec] for spec in specs]


def seeds_of(spec: RotationPrediction) -> list[int]:
    """The seeds of a member's starts, apart from those of every other member."""
    return [10_000 * spec.seed + 1000 * ("geometric", "uneven").index(spec.spectrum) + j for j in range(spec.starts)]


MEASURES: dict[str, Measure] = scalars(("d_align", "predicted", "from_size", "d_sub")) | {
    "over_predicted": lambda run: run.scalars["d_align"] / run.scalars["predicted"],
    "over_size": lambda run: run.scalars["d_align"] / run.scalars["from_size"],
}

EXPERIMENT = Experiment(RotationPrediction, presets, run, MEASURES)
