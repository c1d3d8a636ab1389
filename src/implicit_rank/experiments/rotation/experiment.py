"""Bao 2020, 6: what the rotation augmented gradient conserves, sorts and fixes, on generic instances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from implicit_rank.data.moments import SecondMoments, moments_with
from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Progress, Result, run_each
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import ParameterError, option
from implicit_rank.spectra import axis_distance
from implicit_rank.store import Spec
from implicit_rank.theory import landscape, rotation

__all__ = ["MEASURES", "Rotation", "presets", "run"]

STEPS = (1e-2, 1e-3, 1e-4)


@dataclass(frozen=True)
class Rotation(Spec):
    """One generic instance: a spectrum, axes and weights drawn from the seed."""

    experiment: ClassVar[str] = "rotation"

    D: int = option(7, "input width", least=3, most=12)
    k: int = option(4, "latent width", least=2, most=6)
    starts: int = option(30, "random starts of the Toda flow", least=1, most=1000)

    def __post_init__(self):
        super().__post_init__()
        if self.k >= self.D:
            raise ParameterError(f"k must be smaller than D = {self.D}, not {self.k}.")


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Rotation]:
    """Instances of two shapes over the seeds (one small shape at smoke)."""
    if profile == "smoke":
        return [Rotation(profile=profile, D=4, k=2, starts=5, seed=seed) for seed in seeds or (0,)]
    shapes = ((5, 2), (7, 4), (8, 5)) if profile == "paper" else ((7, 4),)
    seeds = seeds or ((0, 1, 2, 3, 4) if profile == "paper" else (0, 1))
    return [Rotation(profile=profile, D=D, k=k, seed=seed) for D, k in shapes for seed in seeds]


def run(
    specs: Sequence[Rotation],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Check every statement on every instance, in float64 on the CPU whatever `device` says."""
    return run_each(specs, evaluate, progress, on_done)


def evaluate(spec: Rotation) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Draw a member's instance and check every statement on it."""
    g = torch.Generator().manual_seed(spec.seed)
    s = 0.3 + (0.4 + torch.rand(spec.D, generator=g, dtype=torch.float64)).cumsum(0).flip(0)
    moments = moments_with(s, g)
    scalars = {
        **step_checks(moments.C, spec.k, g),
        **gha_checks(moments.C, spec.k, g),
        **flow_checks(s[: spec.k], spec),
        **fixed_point_checks(moments, spec.k, g),
    }
    return scalars, {"s": s.numpy()}


def random_rotation_of(s: Tensor, seed: int) -> Tensor:
    """`O diag(s) O^T` with a Haar-random O."""
    g = torch.Generator().manual_seed(seed)
    Q, R = torch.linalg.qr(torch.randn(len(s), len(s), generator=g, dtype=torch.float64))
    O = Q * R.diagonal().sign()  # noqa: E741
    return (O * s) @ O.T


def step_checks(C: Tensor, k: int, g: torch.Generator) -> dict[str, float]:
    """Check Algorithm 1 against samples, and how the loss changes under its rotation, finite or exact."""
    D = len(C)
    normal = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    W1, W2, X, lr = normal(k, D) / 2, normal(D, k) / 2, normal(D, 3 * D), 0.02
    n = X.shape[1]
    Y = W1 @ X
    A, eye = (torch.triu(Y @ Y.T) - torch.tril(Y @ Y.T)) / 2, torch.eye(k, dtype=torch.float64)
    a, b = W1.clone().requires_grad_(), W2.clone().requires_grad_()
    ((X - b @ a @ X).square().sum() / n).backward()
    wanted = (eye + lr / n * A) @ W1 - lr * a.grad, W2 @ (eye - lr / n * A) - lr * b.grad
    mine = rotation.rag_step(W1, W2, X @ X.T / n, lr)
    loss = landscape.reconstruction_loss(W1, W2, C)
    changes = [
        (landscape.reconstruction_loss(*rotation.rotation_step(W1, W2, C, e), C) - loss).abs().item() for e in STEPS
    ]
    exact = landscape.reconstruction_loss(*rotation.rotation_step(W1, W2, C, 0.1, exact=True), C)
    spectrum = torch.linalg.eigvalsh(rotation.imbalance(W1, W2))
    turned = rotation.imbalance(*rotation.rotation_step(W1, W2, C, 0.1, exact=True))
    return {
        "algorithm_error": max((x - y).abs().max().item() for x, y in zip(mine, wanted, strict=True)),
        "loss_change_order": float(np.polyfit(np.log(STEPS), np.log(changes), 1)[0]),
        "exact_loss_change": abs(exact / loss - 1).item(),
        "imbalance_eigenvalue_change": (torch.linalg.eigvalsh(turned) - spectrum).abs().max().item(),
        "imbalance_entry_change": (turned - rotation.imbalance(W1, W2)).abs().max().item(),
    }


def gha_checks(C: Tensor, k: int, g: torch.Generator) -> dict[str, float]:
    """Hold 6.1's line against Algorithm 1 in all its readings, and footnote 3 against one step."""
    W, lr = torch.randn(k, len(C), generator=g, dtype=torch.float64) / 2, 0.01
    printed = (rotation.rag_as_gha_step(W, C, lr) - W) / lr
    encoder, decoder = landscape.reconstruction_gradients(W, W.T, C)
    turn = rotation.rotation_generator(rotation.code_moments(W, C)) @ W
    size = printed.norm()
    W1, W2 = rotation.rag_step(W, W.T.contiguous(), C, lr)
    return {
        "gha_decoder_half_error": ((turn - decoder.T / 2 - printed).norm() / size).item(),
        "gha_decoder_error": ((turn - decoder.T - printed).norm() / size).item(),
        "gha_encoder_half_error": ((turn - encoder / 2 - printed).norm() / size).item(),
        "gha_encoder_error": ((turn - encoder - printed).norm() / size).item(),
        "transpose_lost": ((W1 - W2.T).norm() / (lr * encoder.norm())).item(),
        "transpose_formula_error": (W1 - W2.T + lr * rotation.gradient_gap(W, C)).abs().max().item(),
    }


def flow_checks(s: Tensor, spec: Rotation) -> dict[str, float]:
    """Check the Toda closed form against an ODE solver, that it sorts, its monotone sums, and Theorem 5's rate."""
    k = spec.k
    M0 = random_rotation_of(s, spec.seed)

    def field(_: float, m: np.ndarray) -> np.ndarray:
        M = torch.from_numpy(m).reshape(k, k)
        A = rotation.rotation_generator((M + M.T) / 2)
        return (A @ M - M @ A).flatten().numpy()

    solved = solve_ivp(field, (0, 10), M0.flatten().numpy(), "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    closed = rotation.toda_flow(M0, 10.0)
    g = rotation.smallest_gap(torch.diag(s))
    long = float(80 / g)
    ordered, falls = 0, 0.0
    for j in range(spec.starts):
        path = rotation.toda_flow(random_rotation_of(s, 1000 * spec.seed + j), torch.linspace(0, long, 60))
        ordered += bool((path[-1].diagonal() - s).abs().max() < 1e-6 * s[0])
        falls = max(falls, -(path.diagonal(dim1=-2, dim2=-1).cumsum(-1)[:, :-1].diff(dim=0)).min().item())
    generator = torch.Generator().manual_seed(spec.seed + 7)
    small = torch.randn(k, k, generator=generator, dtype=torch.float64) * 1e-3
    turn = torch.linalg.matrix_exp(small - small.T)
    near = turn @ torch.diag(s) @ turn.T
    # from where the slowest pair is alone to before rounding
    times = (30 / g, 36 / g)
    early, late = (rotation.non_diagonality(rotation.toda_flow(near, float(t))) for t in times)
    gaps = -s.diff()
    i = int(gaps.argmin())
    tiny = torch.linalg.matrix_exp(1e-4 * (small - small.T))
    closest = tiny @ torch.diag(s) @ tiny.T
    A = rotation.rotation_generator(closest)
    pair_rate = -(A @ closest - closest @ A)[i, i + 1] / closest[i, i + 1]
    reverse = rotation.toda_flow(M0, -long).diagonal()
    return {
        "toda_error": np.abs(closed.flatten().numpy() - solved).max(),
        "ordered_share": ordered / spec.starts,
        "leading_sum_fall": falls,
        "rate_over_gap": ((early / late).log() / (times[1] - times[0]) / g).item(),
        # Theorem 5 at the letter: the instantaneous rate of the entry with the smallest gap
        "pair_rate_over_gap": (pair_rate / gaps[i]).item(),
        "sign_reverses_order": float((reverse - s.flip(0)).abs().max() < 1e-6 * s[0]),
    }


def fixed_point_checks(moments: SecondMoments, k: int, g: torch.Generator) -> dict[str, float]:
    """Check the linearised flow at the optimum, the zero modes, and the fixed points that are not axis-aligned."""
    s, U, C = moments.eigenvalues, moments.U[:, :k], moments.C
    D = len(C)

    def field(v: Tensor) -> Tensor:
        a, b = v[: k * D].view(k, D), v[k * D :].view(D, k)
        M = a @ C @ a.T
        A = (M.triu(1) - M.tril(-1)) / 2
        rest = C - b @ (a @ C)
        return torch.cat([(A @ a + 2 * b.T @ rest).flatten(), (2 * rest @ a.T - b @ A).flatten()])

    start = torch.cat([U.T.flatten(), U.flatten()])
    found = torch.linalg.eigvals(-torch.autograd.functional.jacobian(field, start)).real.sort().values
    rates = rotation.rag_decay_rates(s, k)
    Q = torch.linalg.qr(torch.randn(k, k, generator=g, dtype=torch.float64))[0]
    W1, W2 = rotation.spurious_fixed_point(U, s[:k], Q, torch.linspace(0.7, 1.8, k, dtype=torch.float64))
    gradient = max(x.abs().max().item() for x in landscape.reconstruction_gradients(W1, W2, C))
    A = rotation.rotation_generator(rotation.code_moments(W1, C))
    return {
        # coalescing zeros of a defective Jacobian carry the square root of rounding
        "decay_rate_error": ((rates - found).abs().max() / rates[-1]).item(),
        "zero_modes_off": float(int((found.abs() < 1e-5 * rates[-1]).sum()) - k * (k + 1) // 2),
        "spurious_force": max(gradient, A.abs().max().item()),
        "spurious_distance": axis_distance(W2, U).item(),
    }


SCALARS = (
    "algorithm_error",
    "loss_change_order",
    "exact_loss_change",
    "imbalance_eigenvalue_change",
    "imbalance_entry_change",
    "gha_decoder_half_error",
    "gha_decoder_error",
    "gha_encoder_half_error",
    "gha_encoder_error",
    "transpose_lost",
    "transpose_formula_error",
    "toda_error",
    "ordered_share",
    "leading_sum_fall",
    "rate_over_gap",
    "pair_rate_over_gap",
    "sign_reverses_order",
    "decay_rate_error",
    "zero_modes_off",
    "spurious_force",
    "spurious_distance",
)
MEASURES: dict[str, Measure] = scalars(SCALARS) | {
    "gha_error": lambda run: max(run.scalars["gha_decoder_error"], run.scalars["gha_encoder_error"])
}

EXPERIMENT = Experiment(Rotation, presets, run, MEASURES)
