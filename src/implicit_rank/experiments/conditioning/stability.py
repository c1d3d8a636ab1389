"""The local pace behind a condition number: largest stable rates, momentum's square root, and the edge of stability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from implicit_rank.data.moments import SecondMoments, moments_with
from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Progress, Result, run_each
from implicit_rank.experiments.landscape.experiment import flat_hessian
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear import models
from implicit_rank.linear.loop import Descent, descend
from implicit_rank.linear.operators import DenseMoments
from implicit_rank.linear.optimisers import Nesterov
from implicit_rank.parameters import ParameterError, option
from implicit_rank.store import Spec
from implicit_rank.theory import landscape as theory

__all__ = ["MEASURES", "Stability", "presets", "run"]

MOMENTUM = 0.9  # the official code's
FALL = 1e-4  # the fall of the distance that is timed


@dataclass(frozen=True)
class Stability(Spec):
    """One generic instance: a spectrum and axes drawn from the seed, unequal and plain penalties, a uniform prior."""

    experiment: ClassVar[str] = "stability"

    D: int = option(6, "input width", least=3, most=12)
    k: int = option(3, "latent width", least=2, most=6)
    spread: float = option(1.5, "scale of the first unit's encoder at the start, the inverse of its decoder's", above=1)

    def __post_init__(self):
        super().__post_init__()
        if self.k >= self.D:
            raise ParameterError(f"k must be smaller than D = {self.D}, not {self.k}.")


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Stability]:
    """Instances of three shapes over the seeds (one small shape at smoke)."""
    if profile == "smoke":
        return [Stability(profile=profile, D=4, k=2, seed=seed) for seed in seeds or (0,)]
    shapes = ((5, 2), (6, 3), (7, 4)) if profile == "paper" else ((6, 3),)
    seeds = seeds or ((0, 1, 2, 3, 4) if profile == "paper" else (0,))
    return [Stability(profile=profile, D=D, k=k, seed=seed) for D, k in shapes for seed in seeds]


def run(
    specs: Sequence[Stability],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Check every statement on every instance, in float64 on the CPU whatever `device` says."""
    return run_each(specs, evaluate, progress, on_done)


def evaluate(spec: Stability) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Draw a member's instance and check every statement on it."""
    generator = torch.Generator().manual_seed(spec.seed)
    s = 0.5 + (0.4 + torch.rand(spec.D, generator=generator, dtype=torch.float64)).cumsum(0).flip(0)
    moments = moments_with(s, generator)
    scalars = {**local_checks(moments, spec.k, generator), **edge_checks(moments, spec, generator)}
    return scalars, {"s": s.numpy()}


def local_checks(moments: SecondMoments, k: int, generator: torch.Generator) -> dict[str, float]:
    """Near the minimum of loss (3): who stays at which rate, and how many steps a fall along the flattest way takes."""
    s, C = moments.eigenvalues, moments.C
    penalties = theory.linear_penalties(s, k)
    best, _ = theory.stationary_point(moments.U, s, penalties, tuple(range(k)))
    _, vectors = torch.linalg.eigh(flat_hessian(lambda a, b: theory.l2_loss(a, b, C, penalties), best, best.T))
    curvatures = theory.l2_hessian_eigenvalues(s, penalties)  # from blocks, k x D in all
    steepest, flattest = curvatures[-1], curvatures[0]
    kappa = (steepest / flattest).item()

    def run_from(push: Tensor, lr: float, momentum: float, steps: int) -> np.ndarray:
        """Distances from the minimum over a run's steps, from a point a little off."""
        encoder, decoder = push[: best.numel()].view_as(best), push[best.numel() :].view_as(best.T)
        start = {"encoder": (best + encoder)[None].clone(), "decoder": (best.T + decoder)[None].clone()}
        return _l2_descent(start, moments, penalties, best, lr, momentum, steps)

    noise = 1e-6 * torch.randn(2 * best.numel(), generator=generator, dtype=torch.float64)
    result = {"condition": kappa}
    for name, momentum in (("gd", 0.0), ("nesterov", MOMENTUM)):
        limit = theory.largest_stable_rate(steepest, momentum).item()
        for side, share in (("below", 0.98), ("above", 1.02)):
            result[f"{name}_{side}"] = run_from(noise, share * limit, momentum, 600)[-1] / noise.norm().item()
    slow = 1e-5 * vectors[:, 0]
    tuned = theory.best_momentum(kappa).item()
    for name, momentum, most in (
        ("gd", 0.0, 12 * kappa),
        ("nesterov", MOMENTUM, 12 * kappa),
        ("tuned", tuned, 20 * kappa**0.5),
    ):
        distances = run_from(slow, 1 / steepest.item(), momentum, int(most) + 50)
        fallen = np.flatnonzero(distances <= FALL * distances[0])
        result[f"{name}_steps"] = float(fallen[0]) if len(fallen) else np.inf
    return result


def _l2_descent(
    start: dict[str, Tensor],
    moments: SecondMoments,
    penalties: Tensor,
    best: Tensor,
    lr: float,
    momentum: float,
    steps: int,
) -> np.ndarray:
    operator = DenseMoments(moments.C)
    descent = descend(
        start,
        lambda now: models.l2(now, operator, penalties[None]),
        Nesterov(lr, momentum),
        steps,
        range(steps + 1),
        lambda step, now, loss: {
            "distance": (
                (now["encoder"] - best).square().sum((1, 2)) + (now["decoder"] - best.T).square().sum((1, 2))
            ).sqrt()
        },
    )
    return descent.series["distance"][0].nan_to_num(nan=np.inf).numpy()


def edge_checks(moments: SecondMoments, spec: Stability, generator: torch.Generator) -> dict[str, float]:
    """Nested dropout at a rate for which its start, a minimum with unequal scales, is too sharp: where it ends."""
    s, U, k = moments.eigenvalues, moments.U[:, : spec.k], spec.k
    prior = torch.full((k,), 1 / k, dtype=torch.float64)
    scales = torch.ones(k, dtype=torch.float64)
    scales[0] = spec.spread
    sharp = 2 * theory.nested_dropout_hessian_eigenvalues(s, prior, scales)[0][-1]  # the trainer's loss has no 1/2
    even = 2 * theory.nested_dropout_hessian_eigenvalues(s, prior)[0][-1]
    lr = 2 / (sharp * even).sqrt().item()  # between what the start and what equal scales bear
    noise = lambda *shape: 1e-4 * torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    parameters = {
        "encoder": (scales[:, None] * U.T + noise(k, spec.D))[None].clone(),
        "decoder": (U / scales + noise(spec.D, k))[None].clone(),
    }
    operator = DenseMoments(moments.C)
    descent: Descent = descend(
        parameters,
        lambda now: models.nested_dropout(now, operator, prior[None]),
        Nesterov(lr, 0.0),
        20_000,
        [20_000],
        lambda step, now, loss: {},
        blow_up=1e12,
    )
    W1, W2 = descent.parameters["encoder"][0], descent.parameters["decoder"][0]
    if descent.stopped[0] or not W1.isfinite().all():
        return {"edge_start": lr * sharp.item(), "edge_end": np.nan, "edge_distance": np.nan}
    end = (W1 @ U).diagonal().abs()
    settled = 2 * theory.nested_dropout_hessian_eigenvalues(s, prior, end)[0][-1]
    return {
        "edge_start": lr * sharp.item(),
        "edge_end": lr * settled.item(),
        "edge_distance": (W2 @ W1 - U @ U.T).norm().item(),
    }


SCALARS = (
    "condition",
    "gd_below",
    "gd_above",
    "nesterov_below",
    "nesterov_above",
    "gd_steps",
    "nesterov_steps",
    "tuned_steps",
    "edge_start",
    "edge_end",
    "edge_distance",
)
MEASURES: dict[str, Measure] = scalars(SCALARS) | {
    "gd_steps_over_condition": lambda run: run.scalars["gd_steps"] / run.scalars["condition"],
    "tuned_steps_over_root": lambda run: run.scalars["tuned_steps"] / run.scalars["condition"] ** 0.5,
    "largest_below": lambda run: max(run.scalars["gd_below"], run.scalars["nesterov_below"]),
    "least_above": lambda run: min(run.scalars["gd_above"], run.scalars["nesterov_above"]),
    "nesterov_steps_over_condition": lambda run: run.scalars["nesterov_steps"] / run.scalars["condition"],
}

EXPERIMENT = Experiment(Stability, presets, run, MEASURES)
