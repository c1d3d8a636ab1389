"""The Toda flow inside the rotation augmented gradient, and how far from diagonal it is (Bao 2020, 6.3 and 6.4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from implicit_rank.theory.rotation.steps import rotation_generator, symmetric


def toda_flow(M0: Tensor, t: float | Tensor) -> Tensor:
    """M(t) of `dM/dt = [A(M), M]`, `M(t) = Q^T M0 Q` with `exp(t M0 / 2) = Q R`, R's diagonal positive.

    `M0` (k, k) is symmetric; a tensor of times (T,) gives (T, k, k). Long times are walked in steps short
    enough for the exponential to keep its digits: the flow composes. Negative times run it backwards.
    Raises ValueError for a matrix that is not symmetric or a time that is not finite.

    Book: thm-bao-toda
    """
    return toda_path(M0, t)[0]


def toda_path(M0: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
    """M(t) and the orthogonal Q(t) of the Toda flow, so that the weights are Q^T W1 and W2 Q.

    Book: thm-bao-toda
    """
    M0 = symmetric(M0)
    if M0.ndim != 2:
        raise ValueError(f"M0 must be one matrix (k, k), not a batch of shape {tuple(M0.shape)}.")
    times = torch.as_tensor(t, dtype=torch.float64)
    if times.ndim > 1 or not times.isfinite().all():
        raise ValueError("t must be a finite time or a vector of them.")
    span = torch.linalg.eigvalsh(M0)
    longest = 16 / max(float(span[-1] - span[0]), 1e-300)  # keeps the exponential's condition below e^8
    results, order = {}, torch.argsort(times.reshape(-1).abs(), stable=True).tolist()
    for sign in (1, -1):
        now, M, Q = 0.0, M0, torch.eye(len(M0), dtype=torch.float64)
        for index in order:
            target = float(times.reshape(-1)[index])
            if target * sign < 0 or (target == 0 and sign < 0):
                continue
            steps = max(1, math.ceil(abs(target - now) / longest))
            for _ in range(steps):
                M, Q = _toda_step(M, Q, (target - now) / steps)
            now = target
            results[index] = (M, Q)
    pairs = [results[index] for index in range(len(order))]
    if times.ndim == 0:
        return pairs[0]
    return torch.stack([M for M, _ in pairs]), torch.stack([Q for _, Q in pairs])


def _toda_step(M: Tensor, Q: Tensor, time: float) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(M)
    growth = ((values - values.mean()) * time / 2).exp()  # a scalar factor changes R alone
    turn, R = torch.linalg.qr((vectors * growth) @ vectors.T)
    turn = turn * R.diagonal().sign()
    M = turn.T @ M @ turn
    return (M + M.T) / 2, Q @ turn


def leading_sums_rate(M: Tensor) -> Tensor:
    """`d/dt (M_11 + ... + M_rr) = sum over i <= r < j of M_ij^2` for r < k, never negative.

    Book: eq-bao-lyapunov
    """
    square = symmetric(M).square()
    k = square.shape[-1]
    return torch.stack([square[..., :r, r:].sum((-2, -1)) for r in range(1, k)], -1)


def non_diagonality(M: Tensor) -> Tensor:
    """Nd(M), the sum of the magnitudes of all entries off the diagonal, `(...)` (Bao 2020, Def. 6.1).

    Book: def-bao-nd
    """
    M = torch.as_tensor(M, dtype=torch.float64)
    # not the whole sum less the diagonal's: small entries would lose their digits
    return (M - torch.diag_embed(M.diagonal(dim1=-2, dim2=-1))).abs().sum((-2, -1))


def smallest_gap(M: Tensor) -> Tensor:
    """The gap g, the smallest difference between two diagonal entries of M, `(...)` (Bao 2020, Theorem 5).

    Book: eq-bao-gap
    """
    diagonal = torch.as_tensor(M, dtype=torch.float64).diagonal(dim1=-2, dim2=-1)
    return -diagonal.sort(-1, descending=True).values.diff().amax(-1)


def non_diagonality_rate_bound(M: Tensor) -> Tensor:
    """`-(g - Nd / 2) Nd / 2`, which dNd/dt never exceeds along the flow, `(...)`; g is the gap, Nd the non-diagonality.

    Raises ValueError unless the diagonal of M `(..., k, k)` descends strictly, which is Assumption 3 of Theorem 5.

    Book: thm-bao-finite
    """
    M = symmetric(M)
    if (M.diagonal(dim1=-2, dim2=-1).diff(dim=-1) >= 0).any():
        raise ValueError("the diagonal of M must descend strictly (Assumption 3 of Theorem 5).")
    Nd = non_diagonality(M)
    return -(smallest_gap(M) - Nd / 2) * Nd / 2


def non_diagonality_rate(M: Tensor) -> Tensor:
    """The rate dNd/dt along the flow, `(...)`; an entry that is zero counts with the magnitude of its own rate.

    Book: eq-bao-entry-rate
    """
    M = symmetric(M)
    diagonal = M.diagonal(dim1=-2, dim2=-1)
    # entries off the diagonal by themselves: with it, near ties cancel and take the digits along
    off = M - torch.diag_embed(diagonal)
    turn = rotation_generator(off)
    gaps = (diagonal.unsqueeze(-1) - diagonal.unsqueeze(-2)).triu(1)
    moving = turn @ off - off @ turn - (gaps + gaps.mT) * off / 2
    signed = torch.where(off == 0, moving.abs(), off.sign() * moving)
    return signed.sum((-2, -1)) - signed.diagonal(dim1=-2, dim2=-1).sum(-1)
