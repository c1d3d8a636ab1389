"""Fréchet distances between Gaussians, of full rank or not, and the feature statistics they compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from implicit_rank.evaluate.codes import require_finite, require_tensor


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean `mu` (d,) and covariance `sigma` (d, d), divisor n - 1, of `n` feature vectors; float64 on the CPU."""

    mu: Tensor
    sigma: Tensor
    n: int


@torch.no_grad()
def feature_statistics(features: Tensor | Iterable[Tensor]) -> FeatureStatistics:
    """The statistics of features `(n, d)`, whole or in batches that are read once.

    Raises ValueError for features that are not finite or fewer than two.
    """
    n, shift, total, gram = 0, None, 0.0, 0.0
    for batch in [features] if isinstance(features, Tensor) else features:
        require_tensor("features", batch)
        if batch.ndim != 2:
            raise ValueError(f"features must be (n, d), not of shape {tuple(batch.shape)}.")
        require_finite("features", batch)
        batch = batch.double()
        if shift is None:
            shift = batch.mean(dim=0)  # sums about a point in their middle lose no digits
        n, total = n + len(batch), total + (batch - shift).sum(dim=0)
        gram = gram + (batch - shift).T @ (batch - shift)
    if n < 2:
        raise ValueError(f"statistics need at least two feature vectors, not {n}.")
    return FeatureStatistics((shift + total / n).cpu(), ((gram - total.outer(total) / n) / (n - 1)).cpu(), n)


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """The squared Fréchet distance |mu_a - mu_b|^2 + tr(A + B - 2 (A B)^(1/2)) of two Gaussians.

    The trace of the root is the sum of the singular values of A^(1/2) B^(1/2), that is of the roots of the eigenvalues
    of A^(1/2) B A^(1/2), with A^(1/2) from A's eigenvalues: real and never negative whatever the ranks. Eigenvalues
    below d times the machine precision times the largest count as zero. So a singular covariance (fewer samples than d,
    or features that are always off) needs no offset on its diagonal. Raises ValueError for different widths or
    covariances that are not finite and symmetric. Dowson and Landau 1982; Heusel et al. 2017.

    Book: eq-frechet
    """
    for statistics in (a, b):
        _check(statistics)
    if a.mu.shape != b.mu.shape:
        raise ValueError(f"both statistics must have the same width, not {len(a.mu)} and {len(b.mu)}.")
    cross = torch.linalg.svdvals(_half(a.sigma).T @ _half(b.sigma)).sum()
    # each term is exact to rounding, and so is a distance of zero, but its sign is not
    return max(0.0, float((a.mu - b.mu).square().sum() + a.sigma.trace() + b.sigma.trace() - 2 * cross))


def _half(sigma: Tensor) -> Tensor:
    """F (d, r) with F F^T = sigma: eigenvectors times roots of eigenvalues; zero ones are left out."""
    values, vectors = torch.linalg.eigh(sigma)
    used = values > len(values) * torch.finfo(values.dtype).eps * values[-1].abs()
    return vectors[:, used] * values[used].sqrt()


def _check(statistics: FeatureStatistics) -> None:
    mu, sigma = statistics.mu, statistics.sigma
    if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)):
        raise ValueError(f"mu must be (d,) and sigma (d, d), not {tuple(mu.shape)} and {tuple(sigma.shape)}.")
    require_finite("mu", mu)
    require_finite("sigma", sigma)
    if (sigma - sigma.T).abs().max() > 1e-8 * sigma.abs().max():
        raise ValueError("sigma must be symmetric.")
