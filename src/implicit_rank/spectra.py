"""Ranks, singular values and distances between subspaces: plain tensors in, tensors out."""

from __future__ import annotations

import torch
from torch import Tensor


def singular_values(matrix: Tensor) -> Tensor:
    """Return the singular values ``(..., k)`` of ``matrix`` ``(..., a, b)``, descending, in float64.

    Rows of non-finite matrices come back as NaN, so that one diverged member does not stop an ensemble.
    """
    matrix = matrix.detach().double()
    healthy = matrix.isfinite().all(dim=(-2, -1))
    values = torch.linalg.svdvals(torch.where(healthy[..., None, None], matrix, torch.zeros_like(matrix)))
    return torch.where(healthy[..., None], values, torch.full_like(values, torch.nan))


def covariance_spectrum(codes: Tensor) -> Tensor:
    """Return the singular values of the centred covariance of ``codes`` ``(..., n, d)``, descending (Jing 2020, 4.1).

    The divisor is n - 1. They are the squares of the singular values of the centred code matrix over n - 1,
    so a threshold t on this spectrum is the threshold sqrt(t) on that matrix.
    """
    centred = codes.detach().double() - codes.double().mean(dim=-2, keepdim=True)
    return singular_values(centred) ** 2 / (codes.shape[-2] - 1)


def numerical_rank(singular_values: Tensor, threshold: float = 0.01) -> Tensor:
    """Count the singular values ``(..., k)`` above ``threshold`` times the largest (Sun 2021, 3.1): integers ``(...)``.

    An all-zero spectrum has rank 0. Raises ValueError for a negative or non-finite value, or a threshold
    outside [0, 1).
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold must lie in [0, 1), not {threshold}.")
    values = torch.as_tensor(singular_values)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError("singular_values needs at least one value along its last axis.")
    if not values.isfinite().all() or (values < 0).any():
        raise ValueError("singular_values must be finite and not negative.")
    return (values > threshold * values.amax(dim=-1, keepdim=True)).sum(dim=-1)


def effective_rank(singular_values: Tensor) -> Tensor:
    """Return the exponential of the entropy of the normalised spectrum ``(..., k)`` (Roy and Vetterli 2007).

    It needs no threshold: k equal values give k, one dominant value gives 1.
    """
    share = singular_values / singular_values.sum(dim=-1, keepdim=True)
    return torch.special.entr(share).sum(dim=-1).exp()
