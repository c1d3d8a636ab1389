"""Bao 2020, Appendices F and G: the Brockett costs behind both regularised losses and the VAE, and RAG beside them."""

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
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear import models
from implicit_rank.linear.operators import DenseMoments
from implicit_rank.parameters import ParameterError, option
from implicit_rank.store import Spec
from implicit_rank.theory import landscape as theory
from implicit_rank.theory.rotation import rotation_generator

__all__ = ["MEASURES", "Brockett", "presets", "run"]


@dataclass(frozen=True)
class Brockett(Spec):
    """One generic instance: spectrum, axes, weights and a rotation drawn from the seed."""

    experiment: ClassVar[str] = "brockett"

    D: int = option(8, "input width", least=4, most=40)
    k: int = option(4, "latent width", least=3, most=20)

    def __post_init__(self):
        super().__post_init__()
        if self.k >= self.D:
            raise ParameterError(f"k must be smaller than D = {self.D}, not {self.k}.")


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Brockett]:
    """Instances of three shapes over the seeds (one at smoke)."""
    if profile == "smoke":
        return [Brockett(profile=profile, D=5, k=3, seed=seed) for seed in seeds or (0,)]
    shapes = ((6, 3), (8, 4), (11, 6)) if profile == "paper" else ((8, 4),)
    seeds = seeds or ((0, 1, 2, 3, 4) if profile == "paper" else (0, 1))
    return [Brockett(profile=profile, D=D, k=k, seed=seed) for D, k in shapes for seed in seeds]


def run(
    specs: Sequence[Brockett],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Check every statement on every instance, in float64 on the CPU whatever `device` says."""
    return run_each(specs, evaluate, progress, on_done)


def evaluate(spec: Brockett) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Draw a member's instance and check every statement on it."""
    generator = torch.Generator().manual_seed(spec.seed)
    uniform = lambda n: torch.rand(n, generator=generator, dtype=torch.float64)  # noqa: E731
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    k = spec.k
    s = 0.5 + (0.4 + uniform(spec.D)).cumsum(0).flip(0)
    moments = moments_with(s, generator)
    shares = (0.3 + uniform(k + 1)).cumsum(0)
    penalties = s[k - 1] * shares[:-1] / shares[-1]
    prior = 0.3 + uniform(k)
    turn = torch.linalg.qr(normal(k, k)).Q
    half = normal(k, k)
    scalars = {
        **cost_checks(moments, penalties, prior / prior.sum(), turn),
        **vae_checks(moments, turn, torch.randperm(k, generator=generator)),
        **rag_checks(half @ half.T, k),
    }
    return scalars, {"s": s.numpy(), "penalties": penalties.numpy()}


def cost_checks(moments: SecondMoments, penalties: Tensor, prior: Tensor, turn: Tensor) -> dict[str, float]:
    """Both regularised losses along a rotation of their minimum, against Brockett's cost."""
    s, U, C, k = moments.eigenvalues, moments.U, moments.C, len(prior)
    best, _ = theory.stationary_point(U, s, penalties, tuple(range(k)))
    turned = turn @ best
    change = theory.l2_loss(turned, turned.T, C, penalties) - theory.l2_loss(best, best.T, C, penalties)
    cost = 2 * _change(turn, penalties, best @ best.T)
    axes = U[:, :k].T.contiguous()
    tails = prior.flip(0).cumsum(0).flip(0)
    moved = theory.nested_dropout_loss(turn @ axes, axes.T @ turn.T, C, prior)
    nested = moved - theory.nested_dropout_loss(axes, axes.T, C, prior)
    nested_cost = -0.5 * _change(turn, tails, torch.diag(s[:k]))
    return {
        "l2_cost_error": (change / cost - 1).abs().item(),
        "nested_cost_error": (nested / nested_cost - 1).abs().item(),
    }


def vae_checks(moments: SecondMoments, turn: Tensor, order: Tensor) -> dict[str, float]:
    """The VAE's optimum in any order, the penalties it chooses there, and its loss along a rotation at fixed ones."""
    s, k, operator = moments.eigenvalues, len(order), DenseMoments(moments.C)
    point = theory.vae_optimum(moments.U, s, k, order)
    loss, gradients = models.linear_vae(point, operator)
    ordered, _ = models.linear_vae(theory.vae_optimum(moments.U, s, k), operator)
    chosen = (point["log_variance"] - point["log_noise"]).exp()[0] / 2  # delta / (2 noise)
    turned = point | {"encoder": turn @ point["encoder"], "decoder": point["decoder"] @ turn.T}
    moved, _ = models.linear_vae(turned, operator)
    cost = _change(turn, chosen, (point["decoder"].mT @ point["decoder"])[0])
    return {
        "vae_gradient": max(x.abs().max().item() for x in gradients.values()),
        "vae_order_error": (loss / ordered - 1).abs().item(),
        "vae_cost_error": ((moved - loss) / cost - 1).abs().item(),
    }


def rag_checks(M: Tensor, k: int) -> dict[str, float]:
    """How far RAG's turn of M is from the nearest Brockett gradient, for M whole and for M cut to three diagonals."""
    banded = M.triu(-1).tril(1)
    return {"rag_misfit": misfit(M, k), "rag_misfit_tridiagonal": misfit(banded, k)}


def misfit(M: Tensor, k: int) -> float:
    """The least relative distance of RAG's generator from `[M, N]` over all diagonal N, by least squares."""
    A = rotation_generator(M)
    basis = torch.stack([theory.brockett_generator(M, row).flatten() for row in torch.eye(k, dtype=torch.float64)], 1)
    weights = torch.linalg.lstsq(basis, A.flatten()[:, None], driver="gelsd").solution
    return ((basis @ weights - A.flatten()[:, None]).norm() / A.norm()).item()


def _change(turn: Tensor, weights: Tensor, M: Tensor) -> Tensor:
    return theory.brockett_cost(turn, weights, M) - (weights * M.diagonal()).sum()


SCALARS = (
    "l2_cost_error",
    "nested_cost_error",
    "vae_gradient",
    "vae_order_error",
    "vae_cost_error",
    "rag_misfit",
    "rag_misfit_tridiagonal",
)
MEASURES: dict[str, Measure] = scalars(SCALARS)

EXPERIMENT = Experiment(Brockett, presets, run, MEASURES)
