"""How points get to the stationary points of the non-uniform l2 loss: Newton's method, gradient descent, Figure 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from implicit_rank.data.moments import SecondMoments
from implicit_rank.linear.loop import descend, recording_steps
from implicit_rank.linear.optimisers import GradientDescent
from implicit_rank.linear.regularised import RegularisedDescent, train_regularised
from implicit_rank.theory import landscape as theory


def root_checks(moments: SecondMoments, lam: Tensor, count: int, seed: int) -> dict[str, float]:
    """Look for stationary points from random starts, and hold them against Theorems 1 and 2."""
    found = find_roots(moments.C, lam, count, seed)
    s = moments.eigenvalues
    transposed = [(W1 - W2.T).abs().max().item() for W1, W2 in found]
    seen, worst = set(), 0.0
    for W1, _ in found:
        shares = W1 @ moments.U  # row a holds +-sqrt(1 - lambda_a / s_i) at its component
        sizes, axes = shares.abs().max(1)
        assignment = tuple(int(i) if size > 1e-4 else None for size, i in zip(sizes, axes, strict=True))
        live = [i for i in assignment if i is not None]
        if len(set(live)) < len(live) or any(i is not None and lam[a] >= s[i] for a, i in enumerate(assignment)):
            worst = np.inf
            continue
        form, _ = theory.stationary_point(moments.U, s, lam, assignment)
        worst = max(worst, (shares.abs() - (form @ moments.U).abs()).abs().max().item())
        seen.add(assignment)
    return {
        "roots_found": float(len(found)),
        "transpose_error": max(transposed, default=np.nan),
        "form_error": worst if found else np.nan,
        "classes_found": float(len(seen)),
    }


def find_roots(C: Tensor, lam: Tensor, count: int, seed: int, rounds: int = 120) -> list[tuple[Tensor, Tensor]]:
    """Stationary points of loss (3) that damped Newton steps on its gradient reach from random starts."""
    k, D = len(lam), len(C)
    g = torch.Generator().manual_seed(seed + 2)
    scales = torch.rand(count, 1, generator=g, dtype=torch.float64) * 1.2
    points = torch.randn(count, 2 * k * D, generator=g, dtype=torch.float64) * scales
    # every second start has balanced weights, near the saddles that generic starts seldom reach
    half = points[::2, : k * D].view(-1, k, D)
    points[::2, k * D :] = half.mT.reshape(len(half), -1)

    def loss(v: Tensor) -> Tensor:
        W1, W2 = v[: k * D].view(k, D), v[k * D :].view(D, k)
        rest = C - W2 @ (W1 @ C)
        data = (rest * (torch.eye(D, dtype=torch.float64) - W2 @ W1)).sum()
        return data + (lam * (W1.square().sum(1) + W2.square().sum(0))).sum()

    gradient = torch.func.grad(loss)
    slope, bend = torch.vmap(gradient), torch.vmap(torch.func.jacrev(gradient))
    damping = torch.ones(count, 1, dtype=torch.float64)
    F = slope(points)
    eye = torch.eye(points.shape[1], dtype=torch.float64)
    for _ in range(rounds):
        active = (F.norm(dim=1) > 1e-12).nonzero().flatten()
        if len(active) == 0:
            break
        H, now, size = bend(points[active]), F[active], damping[active]
        trial = points[active] - torch.linalg.solve(H @ H + size[..., None] * eye, H @ now[..., None]).squeeze(-1)
        trial_F = slope(trial)
        better = trial_F.norm(dim=1, keepdim=True) < now.norm(dim=1, keepdim=True)
        points[active] = torch.where(better, trial, points[active])
        F[active] = torch.where(better, trial_F, now)
        damping[active] = torch.where(better, size / 5, size * 4).clamp(1e-14, 1e8)
    good = points[F.norm(dim=1) < 1e-10]
    return [(v[: k * D].view(k, D), v[k * D :].view(D, k)) for v in good]


def descend_from_random_starts(
    moments: SecondMoments, lam: Tensor, starts: int, seed: int, spread: float = 0.5, lengths: float = 60.0
) -> RegularisedDescent:
    """Run gradient descent on loss (3) from Gaussian starts for `lengths` condition numbers of steps."""
    s, k = moments.eigenvalues, len(lam)
    values = theory.l2_hessian_eigenvalues(s, lam, k)
    start = (
        spread
        * s[0].rsqrt()
        * torch.randn(2, starts, k, len(s), generator=torch.Generator().manual_seed(seed + 3), dtype=torch.float64)
    )
    steps = min(60_000, max(1000, int(lengths * values[-1] / values[0])))
    return train_regularised(
        moments,
        "nonuniform_l2",
        "gd",
        k,
        lr=0.5 / values[-1].item(),
        steps=steps,
        penalties=lam,
        record_at=np.unique(np.geomspace(1, steps, 30).astype(int)).tolist(),
        seeds=range(starts),
        start=(start[0], start[1].mT.contiguous()),
    )


def descent_checks(moments: SecondMoments, s: Tensor, lam: Tensor, starts: int, seed: int) -> dict[str, float]:
    """Check where gradient descent ends: at the ordered class, with the predicted norms."""
    trained = descend_from_random_starts(moments, lam, starts, seed)
    k = len(lam)
    best, _ = theory.stationary_point(moments.U, s, lam, tuple(range(k)))
    shares = (trained.encoder @ moments.U).abs() - (best @ moments.U).abs()
    return {
        "descents_to_optimum": (shares.abs().amax((1, 2)) < 1e-4).double().mean().item(),
        "norm_error": (trained.decoder.square().sum(1) - (1 - lam / s[:k])).abs().max().item(),
        "final_transpose": trained.descent.series["transpose"][:, -1].max().item(),
    }


def plane_checks(s: Tensor, lam: Tensor) -> dict[str, float]:
    """Check Figure 1 at weak penalties: a ring of radius about 1, steep across and flat along, first fast then slow."""
    if len(lam) < 2:
        return {}
    pair = s[1] * torch.tensor([0.05, 0.2], dtype=torch.float64)
    theta = torch.linspace(0, 2 * torch.pi, 181, dtype=torch.float64)
    alpha = torch.linspace(0.5, 1.5, 2001, dtype=torch.float64)
    radii = alpha[theory.plane_loss(s, pair, alpha[:, None], theta[None, :]).argmin(0)]
    steps, paths = plane_descent(s, pair, [(0.15, 1.4)], steps=20_000)
    to_ring, to_axes = stages(steps, paths[0])
    return {
        "ring_radius_error": (radii - 1).abs().max().item(),
        "valley_ratio": theory.valley_ratio(s, pair).item(),
        "steps_to_ring": to_ring,
        "steps_to_axes": to_axes,
    }


def plane_descent(
    s: Tensor, penalties: Tensor, starts: Sequence[tuple[float, float]], steps: int, records: int = 400
) -> tuple[np.ndarray, np.ndarray]:
    """Recorded steps `(t,)` and paths `(m, t, 2)` of gradient descent on Figure 1's plane, in (x, y).

    `starts` are pairs (alpha, theta); the rate is the inverse of the curvature across the valley. The run
    ends when every path is within 0.001 of an optimum.
    """
    across = 8 * (s[:2] * (1 - penalties / s[:2]).square()).sum().item()
    points = torch.tensor([[a * np.cos(t), a * np.sin(t)] for a, t in starts], dtype=torch.float64)

    def gradients(parameters: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        x, y = parameters["point"].unbind(-1)
        a, t = torch.hypot(x, y), torch.atan2(y, x)
        radial, turning = theory.plane_gradient(s, penalties, a, t)
        turning = turning / a
        slope = torch.stack([radial * t.cos() - turning * t.sin(), radial * t.sin() + turning * t.cos()], -1)
        return theory.plane_loss(s, penalties, a, t), {"point": slope}

    goal = torch.tensor([1.0, 0.0], dtype=torch.float64)
    descent = descend(
        {"point": points},
        gradients,
        GradientDescent(1 / across),
        steps,
        recording_steps(steps, records),
        lambda step, parameters, loss: {"path": parameters["point"]},
        finished=lambda seen: (seen["path"].abs() - goal).norm(dim=-1) < 1e-3,
    )
    return descent.steps.numpy(), descent.series["path"].numpy()


def stages(steps: np.ndarray, path: np.ndarray, share: float = 0.05) -> tuple[float, float]:
    """The steps until a path `(t, 2)` is within `share` of radius 1, and of the x-axis in angle."""
    radius, angle = np.hypot(*path.T), np.arctan2(np.abs(path[:, 1]), np.abs(path[:, 0]))
    ring, axis = np.flatnonzero(np.abs(radius - 1) < share), np.flatnonzero(angle < share)
    return (float(steps[ring[0]]) if len(ring) else np.inf, float(steps[axis[0]]) if len(axis) else np.inf)
