"""Bao 2020, 6 beyond the printed limits: Theorem 5 at finite distance, fields without a loss, the rivals' rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Progress, Result, run_each
from implicit_rank.experiments.register import Experiment
from implicit_rank.experiments.rotation.experiment import random_rotation_of
from implicit_rank.linear.hebbian import LEARNERS
from implicit_rank.linear.operators import DiagonalMoments
from implicit_rank.parameters import ParameterError, option
from implicit_rank.store import Spec
from implicit_rank.theory import landscape, rotation

__all__ = ["MEASURES", "RotationLimits", "presets", "run"]

RISING = (5e-4, 4e-3, 5e-3)  # entries 12, 13, 23 above diag(1, 1 - 1e-5, 1 - 2e-5)


@dataclass(frozen=True)
class RotationLimits(Spec):
    """One generic instance, and `matrices` random ones for the bound."""

    experiment: ClassVar[str] = "rotation_limits"

    D: int = option(7, "input width", least=3, most=12)
    k: int = option(4, "latent width", least=2, most=6)
    matrices: int = option(4000, "random matrices for the bound", least=1, most=100_000)
    rotations: int = option(20_000, "Haar rotations for the expected misalignment", least=100, most=200_000)

    def __post_init__(self):
        super().__post_init__()
        if self.k >= self.D:
            raise ParameterError(f"k must be smaller than D = {self.D}, not {self.k}.")


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[RotationLimits]:
    """Instances of three shapes over the seeds; one small shape below paper."""
    if profile != "paper":
        few = RotationLimits(profile=profile, D=5, k=3, matrices=200, rotations=4000)
        return [RotationLimits(**{**few.to_dict(), "seed": seed}) for seed in seeds or (0,)]
    return [
        RotationLimits(profile=profile, D=D, k=k, seed=seed)
        for D, k in ((5, 2), (7, 4), (8, 5))
        for seed in seeds or (0, 1, 2, 3, 4)
    ]


def run(
    specs: Sequence[RotationLimits],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Check every statement on every instance, in float64 on the CPU whatever `device` says."""
    return run_each(specs, evaluate, progress, on_done)


def evaluate(spec: RotationLimits) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Draw a member's instance and check every statement on it."""
    g = torch.Generator().manual_seed(spec.seed)
    s = 0.3 + (0.4 + torch.rand(spec.D, generator=g, dtype=torch.float64)).cumsum(0).flip(0)
    found = {
        **bound_checks(spec.k, spec.matrices, g),
        **haar_checks(s[: spec.k], spec.rotations, g),
        **loss_checks(s, spec.k, g),
        **asymmetry_checks(s, spec.k),
        **rival_checks(s, spec.k),
    }
    return {name: float(value) for name, value in found.items()}, {"s": s.numpy()}


def random_moments(count: int, k: int, g: torch.Generator) -> Tensor:
    """Symmetric matrices `(count, k, k)`: diagonals that descend by 1e-7 to 1, entries beside them of every size."""
    uniform = lambda *shape: torch.rand(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    diagonal = (10 ** (-7 * uniform(count, k))).flip(-1).cumsum(-1).flip(-1)
    off = torch.randn(count, k, k, generator=g, dtype=torch.float64).triu(1) * 10 ** (-7 * uniform(count, k, k))
    return torch.diag_embed(diagonal) + off + off.mT


def bound_checks(k: int, count: int, g: torch.Generator) -> dict[str, Tensor]:
    """Check the bound of dNd/dt on random matrices and along flows, and the instance on which Nd rises."""
    M = random_moments(count, k, g)
    Nd, gap = rotation.non_diagonality(M), rotation.smallest_gap(M)
    excess = (rotation.non_diagonality_rate(M) - rotation.non_diagonality_rate_bound(M)) / (Nd * (Nd + gap))
    generic = random_rotation_of(
        torch.linspace(3, 1, k, dtype=torch.float64), int(torch.randint(1000, (), generator=g))
    )
    before, after = (rotation.non_diagonality(rotation.toda_flow(generic, t)) for t in (-1e-5, 1e-5))
    rate = rotation.non_diagonality_rate(generic)
    # the printed instance, its entries moved by up to 5 %
    jitter = 1 + 0.1 * (torch.rand(3, generator=g, dtype=torch.float64) - 0.5)
    rising = torch.diag(torch.tensor([1.0, 1 - 1e-5, 1 - 2e-5], dtype=torch.float64))
    i, j = torch.triu_indices(3, 3, 1)
    rising[i, j] = rising[j, i] = jitter * torch.tensor(RISING, dtype=torch.float64)
    path = rotation.non_diagonality(rotation.toda_flow(rising, torch.linspace(0, 200, 101)))
    dominance = (rising.abs().sum(1) - rising.diagonal()) / rising.diagonal()
    return {
        "bound_excess": excess.max(),
        "near_ties": (Nd > 2 * gap).double().mean(),
        "rate_error": ((after - before) / 2e-5 / rate - 1).abs(),
        "rise": path.max() / path[0] - 1,
        "dominance": dominance.max(),
    }


def haar_checks(s: Tensor, count: int, g: torch.Generator) -> dict[str, Tensor]:
    """Check the expected misalignment against the mean over drawn rotations, in standard errors and as a ratio."""
    k = len(s)
    B0 = torch.randn(k, k, generator=g, dtype=torch.float64) / 20
    B0 = B0 + B0.T
    Q, R = torch.linalg.qr(torch.randn(count, k, k, generator=g, dtype=torch.float64))
    O = Q * R.diagonal(dim1=1, dim2=2).sign().unsqueeze(1)  # noqa: E741
    turned = O @ B0 @ O.mT
    drawn = rotation.misalignment((turned + turned.mT) / 2, s)
    expected = rotation.expected_misalignment(s, B0)
    error = drawn.std() / count**0.5
    return {"haar_errors": (drawn.mean() - expected).abs() / error, "haar_ratio": drawn.mean() / expected}


def loss_checks(s: Tensor, k: int, g: torch.Generator) -> dict[str, Tensor]:
    """Check what the terms that are no gradient do to the loss: GHA's, and RAG's rotation, at W1 = W2^T = W."""
    C = torch.diag(s)
    W = torch.randn(k, len(s), generator=g, dtype=torch.float64) / 2
    encoder, decoder = landscape.reconstruction_gradients(W, W.T, C)
    extra = rotation.gha_extra(W, C)
    rate = (encoder * extra).sum() + (decoder * extra.T).sum()
    turn = rotation.rotation_generator(rotation.code_moments(W, C)) @ W
    scale = encoder.norm() * extra.norm()
    return {
        "gha_loss_rate": rate.abs() / scale,
        "gha_loss_rate_error": (rotation.gha_loss_rate(W, C) - rate).abs() / scale,
        "rag_loss_rate": ((encoder * turn).sum() + (decoder * turn.T).sum()).abs() / scale,
    }


def asymmetry_checks(s: Tensor, k: int) -> dict[str, Tensor]:
    """Check the Jacobian of RAG's field at the optimum: how far from symmetric, and by the formula."""
    D, C = len(s), torch.diag(s)

    def field(v: Tensor) -> Tensor:
        a, b = v[: k * D].view(k, D), v[k * D :].view(D, k)
        M = a @ C @ a.T
        A, rest = (M.triu(1) - M.tril(-1)) / 2, C - b @ (a @ C)
        return torch.cat([(A @ a + 2 * b.T @ rest).flatten(), (2 * rest @ a.T - b @ A).flatten()])

    axes = torch.eye(D, dtype=torch.float64)[:, :k]
    J = torch.autograd.functional.jacobian(field, torch.cat([axes.T.flatten(), axes.flatten()]))
    found = []
    for i, j in torch.triu_indices(k, k, 1).T.tolist():
        p, q = (torch.zeros(k, k, dtype=torch.float64) for _ in range(2))
        p[i, j] = q[j, i] = 0.5**0.5
        p, q = (torch.cat([(F @ axes.T).flatten(), (-axes @ F).flatten()]) for F in (p, q))
        found.append((p @ J @ q - q @ J @ p).abs())
    expected = rotation.field_asymmetry(s, k)
    return {
        "asymmetry": (J - J.T).norm() / J.norm(),
        "asymmetry_error": (torch.stack(found) / expected - 1).abs().max(),
    }


def rival_checks(s: Tensor, k: int) -> dict[str, Tensor]:
    """Check that the Hebbian learners rest at their axes, and their local rates against their Jacobians."""
    moments, axes = DiagonalMoments(s), torch.eye(len(s), dtype=torch.float64)[:k]
    rates = {
        "gha": rotation.gha_decay_rates(s, k),
        "weighted_oja": rotation.weighted_oja_decay_rates(s, k),
        "eigengame": rotation.eigengame_decay_rates(s, k),
    }
    result = {}
    for name, expected in rates.items():
        at = axes / rotation.oja_weights(k).sqrt()[:, None] if name == "weighted_oja" else axes

        def field(v: Tensor, name=name) -> Tensor:
            W = v.view(1, *axes.shape)
            if name == "eigengame":  # its rows have length one
                W = W / W.norm(dim=2, keepdim=True)
            return LEARNERS[name](W, moments).flatten()

        J = torch.autograd.functional.jacobian(field, at.flatten().clone())
        found = torch.linalg.eigvals(-J).real.sort().values[k if name == "eigengame" else 0 :]
        result[f"{name}_rate_error"] = (found - expected).abs().max() / expected[-1]
        result[f"{name}_rest"] = field(at.flatten()).abs().max()
    return result


SCALARS = (
    "bound_excess",
    "near_ties",
    "rate_error",
    "rise",
    "dominance",
    "haar_errors",
    "haar_ratio",
    "gha_loss_rate",
    "gha_loss_rate_error",
    "rag_loss_rate",
    "asymmetry",
    "asymmetry_error",
    "gha_rate_error",
    "gha_rest",
    "weighted_oja_rate_error",
    "weighted_oja_rest",
    "eigengame_rate_error",
    "eigengame_rest",
)
MEASURES: dict[str, Measure] = scalars(SCALARS) | {
    "rivals_rate_error": lambda run: max(
        run.scalars[f"{name}_rate_error"] for name in ("gha", "weighted_oja", "eigengame")
    )
}

EXPERIMENT = Experiment(RotationLimits, presets, run, MEASURES)
