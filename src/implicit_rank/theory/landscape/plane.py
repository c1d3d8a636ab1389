"""The plane of Bao 2020, Figure 1: two units at the optimum, scaled by alpha and rotated into each other by theta."""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.theory.landscape.losses import spectrum, unit_penalties


def plane_point(U: Tensor, s: Tensor, penalties: Tensor, alpha: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """`W1 = alpha O(theta) (I - Lambda S^-2)^(1/2) U^T` `(..., 2, D)` and its transpose `(..., D, 2)`.

    `U` (D, 2) and `s` (2 or more,) are the top axes and eigenvalues; `alpha` and `theta` broadcast.

    Book: eq-bao-plane
    """
    alpha, theta = torch.broadcast_tensors(*(torch.as_tensor(x, dtype=torch.float64) for x in (alpha, theta)))
    magnitudes = _shrunk(s, penalties).sqrt()
    rows = [[theta.cos(), -theta.sin()], [theta.sin(), theta.cos()]]
    O = torch.stack([torch.stack(row, -1) for row in rows], -2)  # noqa: E741
    W1 = alpha[..., None, None] * O * magnitudes @ torch.as_tensor(U, dtype=torch.float64)[:, :2].T
    return W1, W1.mT


def plane_loss(s: Tensor, penalties: Tensor, alpha: Tensor, theta: Tensor) -> Tensor:
    """Loss (3) on the plane, a quartic in alpha and a cosine in 2 theta; `s` holds all eigenvalues of C.

    Book: eq-bao-plane-loss
    """
    alpha, theta = (torch.as_tensor(x, dtype=torch.float64) for x in (alpha, theta))
    d2, lam = _shrunk(s, penalties), unit_penalties(penalties, 2)
    s = spectrum(s)
    square = (alpha**2)[..., None]
    data = s[2:].sum() + (s[:2] * (1 - square * d2).square()).sum(-1)
    turn = (lam[1] - lam[0]) * (d2[0] - d2[1]) * (2 * theta).cos()
    return data + alpha**2 * (lam.sum() * d2.sum() - turn)


def plane_gradient(s: Tensor, penalties: Tensor, alpha: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """The slopes of `plane_loss` along alpha and theta."""
    alpha, theta = (torch.as_tensor(x, dtype=torch.float64) for x in (alpha, theta))
    d2, lam = _shrunk(s, penalties), unit_penalties(penalties, 2)
    s = spectrum(s)
    square = (alpha**2)[..., None]
    turn = (lam[1] - lam[0]) * (d2[0] - d2[1])
    radial = -4 * alpha * (s[:2] * d2 * (1 - square * d2)).sum(-1)
    return (
        radial + 2 * alpha * (lam.sum() * d2.sum() - turn * (2 * theta).cos()),
        2 * alpha**2 * turn * (2 * theta).sin(),
    )


def valley_ratio(s: Tensor, penalties: Tensor) -> Tensor:
    """How many times steeper the valley of Figure 1 is across than along, at the optimum.

    Book: eq-bao-valley
    """
    d2, lam = _shrunk(s, penalties), unit_penalties(penalties, 2)
    s = spectrum(s)
    return 2 * (s[:2] * d2.square()).sum() / ((lam[1] - lam[0]) * (d2[0] - d2[1]))


def ring_radius(s: Tensor, penalties: Tensor, theta: Tensor) -> Tensor:
    """The radius `sqrt(1 - (1 - cos 2 theta) / ratio)` at which loss (3) is least on Figure 1's plane, as `theta`.

    Book: eq-bao-ring
    """
    theta = torch.as_tensor(theta, dtype=torch.float64)
    return (1 - (1 - (2 * theta).cos()) / valley_ratio(s, penalties)).sqrt()


def _shrunk(s: Tensor, penalties: Tensor) -> Tensor:
    s, lam = spectrum(s, 2), unit_penalties(penalties, 2)
    if not lam[0] < lam[1] < s[1]:
        raise ValueError("the plane of Figure 1 needs two penalties with lambda_1 < lambda_2 < s_2.")
    return 1 - lam / s[:2]
