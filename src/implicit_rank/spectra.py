"""Ranks, singular values and distances between subspaces: plain tensors or NumPy arrays in, tensors out."""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.parameters.numbers import real, whole


def singular_values(matrix: Tensor) -> Tensor:
    """The singular values `(..., k)` of `matrix` `(..., a, b)`, descending, in float64.

    Rows of non-finite matrices come back as NaN, so that one diverged member does not stop an ensemble. ValueError for
    a vector.
    """
    matrix = torch.as_tensor(matrix).detach().double()
    if matrix.ndim < 2:
        raise ValueError(f"matrix must be (..., a, b), not of shape {tuple(matrix.shape)}.")
    healthy = matrix.isfinite().all(dim=(-2, -1))
    values = torch.linalg.svdvals(torch.where(healthy[..., None, None], matrix, torch.zeros_like(matrix)))
    return torch.where(healthy[..., None], values, torch.full_like(values, torch.nan))


def covariance_spectrum(codes: Tensor) -> Tensor:
    """The singular values of the centred covariance of `codes` `(..., n, d)`, descending (Jing 2020, 4.1).

    The first min(n, d) of them: the others are zero. The divisor is n - 1. They are the squares of the singular
    values of the centred code matrix over n - 1, so a threshold t on this spectrum is the threshold sqrt(t) on
    that matrix.

    Book: eq-code-covariance
    """
    codes = torch.as_tensor(codes)
    if codes.ndim < 2 or codes.shape[-2] < 2:
        raise ValueError(f"codes must be (..., n, d) with at least two samples, not of shape {tuple(codes.shape)}.")
    centred = codes.detach().double() - codes.double().mean(dim=-2, keepdim=True)
    return singular_values(centred) ** 2 / (codes.shape[-2] - 1)


def numerical_rank(singular_values: Tensor, threshold: float = 0.01) -> Tensor:
    """Count the singular values `(..., k)` above `threshold` times the largest (Sun 2021, 3.1): integers `(...)`.

    An all-zero spectrum has rank 0. Raises ValueError for a negative or non-finite value, a threshold outside [0, 1),
    and several spectra that are not each descending: a matrix goes through `singular_values` first.
    """
    if real(threshold) is None or not 0 <= threshold < 1:
        raise ValueError(f"threshold must lie in [0, 1), not {threshold}.")
    values = _spectra(singular_values)
    if not values.isfinite().all():
        raise ValueError("singular_values must be finite and not negative.")
    return (values > threshold * values.amax(dim=-1, keepdim=True)).sum(dim=-1)


def effective_rank(singular_values: Tensor) -> Tensor:
    """The exponential of the entropy of the normalised spectrum `(..., k)` (Roy and Vetterli 2007).

    It needs no threshold: k equal values give k, one dominant value gives 1; an all-zero spectrum has none (NaN), nor
    has one with NaN. Raises ValueError for a negative value, and for several spectra that are not each descending:
    a matrix goes through `singular_values` first.
    """
    values = _spectra(singular_values)
    share = values / values.sum(dim=-1, keepdim=True)
    return torch.special.entr(share).sum(dim=-1).exp()


def _spectra(singular_values: Tensor) -> Tensor:
    """Spectra `(..., k)`, NaN allowed; ValueError for what cannot be one, such as a matrix of codes."""
    values = torch.as_tensor(singular_values)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError("singular_values needs at least one value along its last axis.")
    if (values < 0).any():
        raise ValueError("singular_values must be finite and not negative.")
    # one spectrum may stand in any order; of several, the order tells them from the rows of a matrix
    if values.ndim > 1 and (values[..., 1:] > values[..., :-1]).any():
        raise ValueError(
            "singular_values must be spectra (..., k), each descending, and not a matrix: "
            "take singular_values(matrix) of it first."
        )
    return values


def squared_cosines(W2: Tensor, U: Tensor) -> Tensor:
    """Cos^2 of the angle between axis i and decoder column j, `(..., k, k)`.

    W2 is `(..., D, k)`; U is `(D, k)` with unit columns. A zero column of W2 has no direction and
    scores 0 against every axis.
    """
    W2, U = torch.as_tensor(W2), torch.as_tensor(U)
    if W2.shape[-2:] != U.shape[-2:]:
        raise ValueError(f"W2 and U must share their shape (D, k): {tuple(W2.shape)} and {tuple(U.shape)}.")
    W2, U = W2.detach().double(), U.double()
    norms = torch.linalg.vector_norm(W2, dim=-2, keepdim=True)
    # dividing first keeps columns of norm 1e-200 from underflowing to a false zero
    return (U.mT @ (W2 / torch.where(norms > 0, norms, torch.ones_like(norms)))).square()


def axis_distance(W2: Tensor, U: Tensor) -> Tensor:
    """D_align `(...)` of decoders `(..., D, k)` from axes `(D, k)` (Bao 2020, Definition 7.1).

    The maximum over columns ignores order, and two axes may choose the same column. float64; 0 is best.

    Book: eq-axis-distance
    """
    return 1 - squared_cosines(W2, U).amax(dim=-1).mean(dim=-1)


def ordered_axis_distance(W2: Tensor, U: Tensor) -> Tensor:
    """D_align `(...)` with column i held against axis i; never below `axis_distance`.

    Book: eq-ordered-distance
    """
    return 1 - squared_cosines(W2, U).diagonal(dim1=-2, dim2=-1).mean(dim=-1)


def subspace_distance(W2: Tensor, U: Tensor) -> Tensor:
    """D_sub `(...)` between decoders `(..., D, k)` and axes `(D, k)` (Bao 2020, Definition 7.2).

    Computed in float64 from the part outside span(U) of an orthonormal basis of the columns scaled to length
    one, so that it neither turns negative nor loses columns that are merely short. Columns that are zero, or
    dependent to 1e-12, span nothing: each adds 1/k.

    Book: eq-subspace-distance
    """
    W2, U = torch.as_tensor(W2), torch.as_tensor(U)
    if W2.shape[-2:] != U.shape[-2:]:
        raise ValueError(f"W2 and U must share their shape (D, k): {tuple(W2.shape)} and {tuple(U.shape)}.")
    W2, U = W2.detach().double(), U.double()
    healthy = W2.isfinite().all(dim=(-2, -1))
    W2 = torch.where(healthy[..., None, None], W2, torch.zeros_like(W2))
    norms = torch.linalg.vector_norm(W2, dim=-2, keepdim=True)
    Q, R = torch.linalg.qr(W2 / torch.where(norms > 0, norms, torch.ones_like(norms)))
    spans = R.diagonal(dim1=-2, dim2=-1).abs() > 1e-12
    outside = (Q - U @ (U.mT @ Q)).square().sum(dim=-2)
    distance = torch.where(spans, outside, torch.ones_like(outside)).mean(dim=-1)
    return torch.where(healthy, distance, torch.full_like(distance, torch.nan))


def random_rotation_axis_distance(k: int) -> float:
    """The expected d_align of a uniformly random rotation inside the right subspace: its null value.

    An axis sees a random point of the unit sphere in R^k, whose largest squared coordinate is the largest
    of k chi-squared variables (one degree of freedom) over their sum; length and direction are independent,
    so its mean is the integral of 1 - erf(sqrt(x / 2))^k, over k. The ordered distance has the null value 1
    - 1/k.

    Book: eq-null-alignment
    """
    if whole(k) is None or k < 1:
        raise ValueError(f"k must be an integer of at least 1, not {k!r}.")
    k = whole(k)
    x = torch.linspace(0, 12, 200_001, dtype=torch.float64)  # the tail beyond 12 deviations is nil
    integrand = 2 * x * (1 - torch.erf(x / 2**0.5) ** k)
    return 1 - float(torch.trapezoid(integrand, x)) / k
