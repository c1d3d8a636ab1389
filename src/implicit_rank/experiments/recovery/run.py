"""Training members of the recovery experiment in batches, and what is kept of each."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from implicit_rank import data as datasets
from implicit_rank.data.moments import SecondMoments
from implicit_rank.experiments.kit.result import Result
from implicit_rank.experiments.recovery import settings
from implicit_rank.linear.regularised import RegularisedDescent, dead_units, train_regularised

LEVELS = (0.3, 0.2, 0.1, 0.05, 0.01)
SNAPSHOTS = (0, 1000, 5000, 10_000)  # the columns of Figure 3


def moments_of(spec) -> SecondMoments:
    """The second moments a member is trained on; images other than MNIST are scaled to MNIST's range."""
    if settings.is_synthetic(spec.data):
        return datasets.second_moments(spec.data, width=spec.width)
    moments = datasets.second_moments(spec.data)
    return moments if spec.data == "mnist" else datasets.rescaled(moments, settings.LEADING)


def rate(spec) -> float:
    """The member's learning rate as a number."""
    if spec.lr == "paper":
        return settings.paper_rate(spec.data, spec.model, spec.optimiser, spec.k)
    return spec.lr


def record_steps(steps: int) -> list[int]:
    """The recorded steps: every 10, as in the official code, and from 500 on every 2 %."""
    taken = [0]
    while taken[-1] < steps:
        taken.append(taken[-1] + 10 * max(1, round(taken[-1] * 0.002)))
    return [*taken[:-1], steps]


def cost(spec) -> float:
    """What a member costs, up to a factor."""
    width = spec.width if settings.is_synthetic(spec.data) else 784
    return spec.steps * spec.k * (width if spec.optimiser == "adam" else 100 + spec.k)


def snapshot_steps(steps: int) -> list[int]:
    """The steps whose U^T W2 is kept: those of Figure 3, or like shares of a shorter run."""
    if steps >= SNAPSHOTS[-1]:
        return list(SNAPSHOTS)
    return sorted({0, steps // 10, steps // 3, steps})


def run_batch(specs: Sequence, device: str, report: Callable[[int], None]) -> list[Result]:
    """Train members that share everything but seed, rate, penalties and prior, all at once."""
    began, first = time.perf_counter(), specs[0]
    moments = moments_of(first)
    samples = None
    if first.model == "nested_dropout" or first.batch:
        shape = {"width": first.width} if settings.is_synthetic(first.data) else {}
        samples = datasets.samples(first.data, **shape) * moments.scale
    s = moments.eigenvalues
    lambdas = torch.stack([settings.penalties(x.penalties, x.model, x.data, s, x.k) for x in specs])
    with warnings.catch_warnings():
        # dead units are recorded with every run, and the pages say so
        warnings.filterwarnings("ignore", message="the penalties of")
        trained = train_regularised(
            moments,
            first.model,
            first.optimiser,
            first.k,
            lr=[rate(spec) for spec in specs],
            steps=first.steps,
            record_at=record_steps(first.steps),
            seeds=[spec.seed for spec in specs],
            penalties=lambdas,
            prior=torch.stack([settings.prior(spec.prior, spec.k) for spec in specs]),
            start=first.start,
            samples=samples,
            mask_batch=first.mask_batch or None,
            batch=first.batch or None,
            dtype=getattr(torch, first.dtype),
            device=device,
            snapshots_at=snapshot_steps(first.steps) if first.images else (),
            stop_at=first.stop_at,
            progress=report,
        )
    seconds = (time.perf_counter() - began) / len(specs)
    return [_result(spec, j, trained, moments, lambdas[j], seconds) for j, spec in enumerate(specs)]


def _result(
    spec, j: int, trained: RegularisedDescent, moments: SecondMoments, lambdas: Tensor, seconds: float
) -> Result:
    series = {name: value[j].double() for name, value in trained.descent.series.items()}
    steps = trained.descent.steps
    s, U = moments.top(spec.k)
    stopped = trained.descent.stopped[j]
    floor = (moments.eigenvalues.sum() - s.sum()).item()  # the best error of any map of rank k
    scalars = {name: series[name][-1].item() for name in series}
    scalars |= {f"reached_{level:g}": _first(steps, series["d_align"] <= level) for level in LEVELS}
    scalars |= {
        "least_d_align": float(np.nanmin(series["d_align"].numpy())),
        "reconstructed": _first(steps, series["error"] - floor <= 0.05 * s.sum().item()),
        "subspace": _first(steps, series["d_sub"] <= 0.01),
        "floor": floor,
        "lr": rate(spec),
        "last_step": float(steps[-1]),
        "dead_units": float(len(dead_units(lambdas, s)) if spec.model.endswith("_l2") else 0),
        "stopped": float(stopped is not None),
        "seconds_per_1000_steps": seconds / max(float(steps[-1]), 1) * 1000,
    }
    arrays = {"steps": steps.numpy().astype(np.int32)}
    arrays |= {name: value.numpy().astype(np.float32) for name, value in series.items()}
    if stopped is None:
        arrays["column_norms"] = trained.decoder[j].norm(dim=0).numpy().astype(np.float32)
    if spec.images:
        taken = sorted(trained.snapshots)
        axes = torch.stack([U.T @ trained.snapshots[step][j] for step in taken])
        arrays["snapshot_steps"] = np.array(taken, np.int32)
        arrays["axes"] = axes.numpy().astype(np.float16)
        columns = trained.snapshots[taken[-1]][j]
        largest = columns.abs().amax(dim=0).clamp(min=1e-30)
        # 8 bits a pixel are enough for a picture
        arrays["columns"] = (columns / largest * 127).round().numpy().astype(np.int8)
        arrays["column_scales"] = largest.numpy().astype(np.float32)
    return Result(spec, scalars, arrays, stopped, seconds)


def _first(steps: Tensor, reached: Tensor) -> float:
    """The first recorded step of a mask (t,), or infinity."""
    return float(steps[reached.int().argmax()]) if reached.any() else float("inf")
