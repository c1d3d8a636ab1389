"""Condition numbers against the measured pace (Bao 2020, 4.3 and 7): steps to each distance from the axes, by width."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from implicit_rank.data import second_moments
from implicit_rank.data.moments import moments_with
from implicit_rank.data.synthetic import haar_rotation
from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.kit.shares import weighted
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear.regularised import start_weights, train_regularised
from implicit_rank.parameters import option
from implicit_rank.store import Spec
from implicit_rank.theory import landscape as theory
from implicit_rank.theory.rotation import rag_decay_rates

__all__ = ["MEASURES", "Pace", "presets", "run"]

LEVELS = (0.3, 0.1, 0.03, 0.01)
WIDTHS = (10, 15, 20, 30, 40)
# models by what they are given: plain or best penalties, official or uniform prior
MODELS = {
    "l2_plain": "nonuniform_l2",
    "l2_best": "nonuniform_l2",
    "nested_geometric": "deterministic_nested_dropout",
    "nested_uniform": "deterministic_nested_dropout",
    "rag": "rag",
}
RATES = {"rag": 0.05}  # of 1 / h_max, for all others 1: finite steps leave RAG off the axes at larger ones


@dataclass(frozen=True)
class Pace(Spec):
    """One model on the top k + 1 eigenvalues of Figure 4's data, or on equal gaps, under Nesterov momentum 0.9.

    "rotated" starts at the optimum in a random rotation, so that nothing is left to learn but the axes; "small" starts
    at Gaussian weights of deviation 1e-4.
    """

    experiment: ClassVar[str] = "pace"

    spectrum: str = option("figure4", "eigenvalues", choices=("figure4", "equal"))
    k: int = option(20, "latent width", least=2, most=100)
    model: str = option("l2_plain", "which autoencoder", choices=tuple(MODELS))
    start: str = option("rotated", "where it starts", choices=("rotated", "small"))
    steps: int = option(300_000, "most steps", least=1)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Pace]:
    """Three models over widths from rotated starts, and two choices of penalties from small weights."""
    if profile != "paper":
        widths, steps = ((3, 4), 2000) if profile == "smoke" else ((4, 6, 8), 20_000)
        return [
            Pace(profile=profile, spectrum="equal", k=k, model=model, steps=steps, seed=seed)
            for model in ("l2_plain", "rag")
            for k in widths
            for seed in seeds or (0,)
        ]
    seeds = seeds or (0, 1, 2, 3, 4)
    race = [(model, k) for k in WIDTHS for model in ("l2_plain", "nested_geometric", "rag")]
    race.remove(("nested_geometric", WIDTHS[-1]))  # which takes more steps than a processor has time for
    return [
        *(Pace(profile=profile, k=k, model=model, seed=seed) for model, k in race for seed in seeds),
        *(
            Pace(profile=profile, spectrum="equal", k=k, model=model, start="small", steps=20_000, seed=seed)
            for k in (4, 8, 12)
            for model in ("l2_plain", "l2_best")
            for seed in seeds
        ),
    ]


def run(
    specs: Sequence[Pace],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train the members that differ by their seed alone together, in float64."""
    groups: dict[tuple, list[Pace]] = {}
    for spec in specs:
        groups.setdefault((spec.spectrum, spec.k, spec.model, spec.start, spec.steps), []).append(spec)
    results = {}
    for members, within in weighted(list(groups.values()), cost, progress):
        first = members[0]
        done = train(members, device, lambda step, first=first, within=within: within(step / first.steps, first.model))
        for result in done:
            results[result.spec] = result
            if on_done is not None:
                on_done(result)
    return [results[spec] for spec in specs]


def cost(spec: Pace) -> float:
    """What a member costs, up to a factor."""
    return spec.steps * (50 + spec.k)


def eigenvalues(spec: Pace) -> Tensor:
    """The eigenvalues `(k + 1,)` that a member sees: directions beyond them do not touch the rotation."""
    if spec.spectrum == "equal":
        return torch.arange(spec.k + 1, 0, -1, dtype=torch.float64)
    return second_moments("synthetic-official", width=1000).eigenvalues[: spec.k + 1].clone()


def setting(spec: Pace, s: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
    """Penalties or prior by name, the lengths of the optimum's rows `(k,)`, largest and smallest curvature or rate."""
    k, ones = spec.k, torch.ones(spec.k, dtype=torch.float64)
    if spec.model == "rag":
        rates = rag_decay_rates(s, k)
        return {}, ones, 4 * s[0], rates[rates > 1e-12 * rates[-1]][0]
    if spec.model.startswith("l2"):
        choose = theory.linear_penalties if spec.model == "l2_plain" else theory.best_penalties
        lam = choose(s[:k])
        values = theory.l2_hessian_eigenvalues(s[:k], lam)
        return {"penalties": lam}, (1 - lam / s[:k]).sqrt(), values[-1], values[0]
    prior = theory.nested_dropout_prior(spec.model.removeprefix("nested_"), k)
    off, _ = theory.nested_dropout_hessian_eigenvalues(s[:k], prior)
    return {"prior": prior}, ones, 2 * off[-1], 2 * off[0]  # the trainer's loss has no 1/2


def train(specs: Sequence[Pace], device: str, report: Callable[[int], None]) -> list[Result]:
    """Train members that differ by their seed alone, and read when each came to each distance."""
    began, first = time.perf_counter(), specs[0]
    s, k = eigenvalues(first), first.k
    moments = moments_with(s, torch.Generator().manual_seed(0))
    chosen, lengths, steepest, flattest = setting(first, s)
    seeds = [spec.seed for spec in specs]
    if first.start == "small":
        start = start_weights(k, k + 1, seeds)
    else:
        turns = torch.stack([haar_rotation(k, torch.Generator().manual_seed(seed)) for seed in seeds])
        encoder = turns * lengths @ moments.U[:, :k].T
        start = encoder, encoder.mT.contiguous()
    trained = train_regularised(
        moments,
        MODELS[first.model],
        "nesterov",
        k,
        lr=RATES.get(first.model, 1.0) / steepest.item(),
        steps=first.steps,
        record_at=np.unique(np.geomspace(1, first.steps, 600).astype(int)).tolist(),
        seeds=seeds,
        start=start,
        stop_at=LEVELS[-1] if first.start == "rotated" else 0.0,
        device=device,
        progress=report,
        **chosen,
    )
    steps = trained.descent.steps.numpy()
    distances, losses = (trained.descent.series[name].numpy() for name in ("d_align", "loss"))
    least = (
        theory.class_loss(s, chosen["penalties"], tuple(range(k))).item()
        if "penalties" in chosen
        else s[k:].sum().item()
    )
    seconds = (time.perf_counter() - began) / len(specs)
    results = []
    for j, spec in enumerate(specs):
        numbers = {f"reached_{level}": reached(steps, distances[j], level) for level in LEVELS}
        numbers["reached_loss"] = reached(steps, (losses[j] - least) / (s.sum().item() - least), 0.01)
        numbers["condition"] = (steepest / flattest).item()
        numbers["d_align"] = float(distances[j, -1])
        arrays = {"steps": steps.astype(np.int32), "d_align": distances[j].astype(np.float32)}
        results.append(Result(spec, numbers, arrays, trained.descent.stopped[j], seconds))
    return results


def reached(steps: np.ndarray, values: np.ndarray, level: float) -> float:
    """The first recorded step at which `values` are at or below a level, infinite if none is."""
    found = np.flatnonzero(values <= level)
    return float(steps[found[0]]) if len(found) else np.inf


@functools.cache
def _rag_condition(spectrum: str, k: int) -> float:
    rates = rag_decay_rates(eigenvalues(Pace(spectrum=spectrum, k=k))[:k], k)
    return (rates[-1] / rates[rates > 1e-12 * rates[-1]][0]).item()


def head_condition(record) -> float:
    """The condition number among the k units and their components; RAG's stored one counts a direction outside."""
    if record.spec["model"] == "rag":
        return _rag_condition(record.spec["spectrum"], record.spec["k"])
    return record.scalars["condition"]


SCALARS = (*(f"reached_{level}" for level in LEVELS), "reached_loss", "condition", "d_align")
MEASURES: dict[str, Measure] = scalars(SCALARS) | {"head_condition": head_condition}

EXPERIMENT = Experiment(Pace, presets, run, MEASURES, cost=cost)
