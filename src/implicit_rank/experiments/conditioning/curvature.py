"""Bao 2020, 5: nested dropout in closed form and its Hessian, and whether curvature predicts the pace of descent."""

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
from implicit_rank.linear.operators import DenseMoments
from implicit_rank.linear.regularised import train_regularised
from implicit_rank.parameters import ParameterError, option
from implicit_rank.store import Spec
from implicit_rank.theory import landscape as theory

__all__ = ["MEASURES", "Curvature", "presets", "run"]


@dataclass(frozen=True)
class Curvature(Spec):
    """One generic instance with a prior, a gauge and penalties drawn from the seed."""

    experiment: ClassVar[str] = "curvature"

    D: int = option(6, "input width", least=3, most=12)
    k: int = option(3, "latent width", least=2, most=6)
    draws: int = option(20_000, "samples of the nested dropout mask", least=100)

    def __post_init__(self):
        super().__post_init__()
        if self.k >= self.D:
            raise ParameterError(f"k must be smaller than D = {self.D}, not {self.k}.")


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Curvature]:
    """Instances of two shapes over the seeds (one small shape at smoke)."""
    if profile == "smoke":
        return [Curvature(profile=profile, D=4, k=2, draws=2000, seed=seed) for seed in seeds or (0,)]
    shapes = ((5, 2), (6, 3), (7, 4)) if profile == "paper" else ((6, 3),)
    seeds = seeds or ((0, 1, 2, 3, 4) if profile == "paper" else (0, 1))
    return [Curvature(profile=profile, D=D, k=k, seed=seed) for D, k in shapes for seed in seeds]


def run(
    specs: Sequence[Curvature],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Check every statement on every instance, in float64 on the CPU whatever `device` says."""
    return run_each(specs, evaluate, progress, on_done)


def evaluate(spec: Curvature) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Draw a member's instance and check every statement on it."""
    generator = torch.Generator().manual_seed(spec.seed)
    s = (0.3 + torch.rand(spec.D, generator=generator, dtype=torch.float64)).cumsum(0).flip(0)
    moments = moments_with(s, generator)
    prior = 0.3 + torch.rand(spec.k, generator=generator, dtype=torch.float64)
    prior = prior / prior.sum()
    scalars = {
        **closed_form_checks(spec, prior, generator),
        **hessian_checks(moments, prior, generator),
        **pace_checks(moments, prior, spec),
    }
    arrays = {"s": s.numpy(), "prior": prior.numpy()}
    return scalars, arrays


def closed_form_checks(spec: Curvature, prior: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Hold the closed form against the sum over b, and against a Monte Carlo mean of the stochastic loss."""
    D, k, n = spec.D, spec.k, 4 * spec.D
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    X, W1, W2 = normal(D, n), normal(k, D), normal(D, k)
    closed = theory.nested_dropout_loss(W1, W2, X @ X.T / n, prior)
    losses = []
    for b in range(1, k + 1):
        mask = (torch.arange(k) < b).double()
        losses.append((X - W2 @ (mask[:, None] * (W1 @ X))).square().sum() / (2 * n))
    losses = torch.stack(losses)
    drawn = losses[torch.multinomial(prior, spec.draws, replacement=True, generator=generator)]
    members = {"encoder": W1[None], "decoder": W2[None]}
    code, _ = models.nested_dropout(members, DenseMoments(X @ X.T / n), prior[None])
    return {
        "nested_closed_error": ((prior * losses).sum() / closed - 1).abs().item(),
        # in standard errors of the mean
        "nested_sampled_error": ((drawn.mean() - closed) / (drawn.std() / spec.draws**0.5)).abs().item(),
        "nested_code_over_printed": (code[0] / closed).item(),
    }


def hessian_checks(moments: SecondMoments, prior: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Check nested dropout's minima, its Hessian against autograd in a random gauge, and the count of zero modes."""
    s, U, C, k = moments.eigenvalues, moments.U, moments.C, len(prior)
    gauge = (torch.randn(k, generator=generator, dtype=torch.float64) / 2).exp()
    W1, W2 = gauge[:, None] * U[:, :k].T, U[:, :k] / gauge
    exact = torch.linalg.eigvalsh(flat_hessian(lambda a, b: theory.nested_dropout_loss(a, b, C, prior), W1, W2))
    off, on = theory.nested_dropout_hessian_eigenvalues(s, prior, gauge)
    zeros = int((exact.abs() < 1e-10 * exact[-1]).sum())
    plain = theory.nested_dropout_condition_number(s[:k], prior)
    return {
        "nested_gradient": max(x.abs().max().item() for x in theory.nested_dropout_gradients(W1, W2, C, prior)),
        "nested_spectrum_error": ((torch.cat([on, off]) - exact).abs().max() / exact[-1]).item(),
        "nested_zero_modes_off": float(zeros - k),
        # at the letter: largest over smallest eigenvalue, and the smallest is zero
        "nested_literal_condition": np.inf if zeros else (exact[-1] / exact[0]).item(),
        "nested_gauge_over_plain": (theory.nested_dropout_condition_number(s[:k], prior, gauge) / plain).item(),
        "nested_condition_over_sharp": (plain / theory.nested_dropout_bound_sharp(s[:k])).item(),
    }


def pace_checks(moments: SecondMoments, prior: Tensor, spec: Curvature) -> dict[str, float]:
    """Compare gradient descent's measured linear rate close to the optimum with what the condition number predicts."""
    s, k, C = moments.eigenvalues, spec.k, moments.C
    penalties = theory.linear_penalties(s, k)
    best, _ = theory.stationary_point(moments.U, s, penalties, tuple(range(k)))
    axes = moments.U[:, :k].T.contiguous()

    def nested(W1: Tensor, W2: Tensor) -> Tensor:
        return 2 * theory.nested_dropout_loss(W1, W2, C, prior)  # the trainer's loss has no 1/2

    off, _ = theory.nested_dropout_hessian_eigenvalues(s, prior)
    return {
        "l2_pace_error": pace_error(
            moments,
            "nonuniform_l2",
            best,
            lambda a, b: theory.l2_loss(a, b, C, penalties),
            theory.l2_hessian_eigenvalues(s, penalties, k),
            penalties=penalties,
        ),
        "nested_pace_error": pace_error(moments, "deterministic_nested_dropout", axes, nested, 2 * off, prior=prior),
    }


def pace_error(
    moments: SecondMoments, model: str, optimum: Tensor, loss: Callable, curvatures: Tensor, **options
) -> float:
    """The relative error of 1 - s_min / s_max as the factor per step of gradient descent at rate 1 / s_max.

    The run starts a little off the optimum along the slowest direction, so that nothing has to die out first.
    """
    k, D = optimum.shape
    values, vectors = torch.linalg.eigh(flat_hessian(loss, optimum, optimum.T))
    slowest = 1e-3 * vectors[:, int((values > 1e-9 * values[-1]).nonzero()[0])]
    start = optimum + slowest[: k * D].view(k, D), optimum.T + slowest[k * D :].view(D, k)
    condition = (curvatures[-1] / curvatures[0]).item()
    readings = [int(0.5 * condition), int(2 * condition)]
    trained = train_regularised(
        moments,
        model,
        "gd",
        k,
        lr=1 / curvatures[-1].item(),
        steps=readings[-1],
        record_at=readings,
        start=(start[0][None], start[1][None].contiguous()),
        **options,
    )
    early, late = (trained.descent.series["loss"][0] - loss(optimum, optimum.T)).tolist()
    measured = np.log(early / late) / (2 * (readings[1] - readings[0]))
    return abs(measured / -np.log1p(-1 / condition) - 1)


SCALARS = (
    "nested_closed_error",
    "nested_sampled_error",
    "nested_code_over_printed",
    "nested_gradient",
    "nested_spectrum_error",
    "nested_zero_modes_off",
    "nested_literal_condition",
    "nested_gauge_over_plain",
    "nested_condition_over_sharp",
    "l2_pace_error",
    "nested_pace_error",
)
MEASURES: dict[str, Measure] = scalars(SCALARS)

EXPERIMENT = Experiment(Curvature, presets, run, MEASURES)
