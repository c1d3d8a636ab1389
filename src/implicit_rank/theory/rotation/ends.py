"""Where the rotation augmented gradient comes to rest, how fast, and how far from the axes (Bao 2020, 6.4 and 8)."""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.theory.landscape.losses import spectrum
from implicit_rank.theory.rotation.steps import symmetric


def rag_decay_rates(s: Tensor, k: int) -> Tensor:
    """The `2 k len(s)` decay rates of RAG's flow linearised at the optimum, ascending.

    Of them k(k+1)/2 are zero, k(k-1)/2 are the rotations' (s_i - s_j) / 2, and the others are the nonzero
    Hessian eigenvalues of loss (1). `s` holds the top k eigenvalues of C or all.

    Book: thm-bao-rag-rates
    """
    s = spectrum(s, k)
    own, rest = s[:k], s[k:]
    i, j = torch.triu_indices(k, k, 1)
    spread = ((own[:, None] - rest).square() + 4 * rest.square()).sqrt()
    outside = torch.stack([own[:, None] + rest - spread, own[:, None] + rest + spread]).flatten()
    zeros = torch.zeros(k * (k + 1) // 2, dtype=torch.float64)
    return torch.cat([zeros, (own[i] - own[j]) / 2, 4 * own, 4 * own[i], 4 * own[j], outside]).sort().values


def spurious_fixed_point(U: Tensor, s: Tensor, rotation: Tensor, scale: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """A fixed point of RAG that is not axis-aligned: `W1 = E O S^-1 U^T`, `W2 = U S O^T E^-1`, S = s^(1/2).

    `U` (D, k), `s` (k,), `rotation` O (k, k) orthogonal, `scale` the diagonal of E: M = E^2 is diagonal
    already, so nothing turns, and W2 W1 = U U^T, so no gradient is left.

    Book: eq-bao-spurious
    """
    U, Q, s = (torch.as_tensor(x, dtype=torch.float64) for x in (U, rotation, s))
    D = torch.as_tensor(scale, dtype=torch.float64).expand(len(s))
    root = s.sqrt()
    return D[:, None] * Q / root @ U.T, U * root @ Q.T / D


def misalignment(B: Tensor, s: Tensor) -> Tensor:
    """The distance d_align to second order at the fixed point of RAG with imbalance `B` `(..., k, k)`; `s` (k,).

    It is `sum over i < j of B_ij^2 (s_i^2 + s_j^2) / (4 k (s_i - s_j)^2)`: what was unbalanced stays misaligned.

    Book: eq-bao-misalignment
    """
    B, s = symmetric(B), spectrum(s, len(torch.as_tensor(s)))
    i, j = torch.triu_indices(len(s), len(s), 1)
    weights = (s[i].square() + s[j].square()) / (4 * len(s) * (s[i] - s[j]).square())
    return (weights * B[..., i, j].square()).sum(-1)


def expected_misalignment(s: Tensor, B0: Tensor) -> Tensor:
    """The mean of `misalignment` over all rotations of the start's imbalance `B0` `(..., k, k)`, `(...)`; `s` (k,).

    Only the eigenvalues of `B0` count, which RAG's flow conserves. Raises ValueError for k = 1, for an imbalance that
    is not symmetric or does not fit s, and for eigenvalues that do not descend strictly.

    Book: thm-bao-expected
    """
    B0 = symmetric(B0)
    s = spectrum(s, len(torch.as_tensor(s)))
    k = len(s)
    if k < 2 or B0.shape[-1] != k:
        raise ValueError(f"B0 must have a row for each of two or more eigenvalues, not {B0.shape[-1]} for {k}.")
    trace = B0.diagonal(dim1=-2, dim2=-1).sum(-1)
    square = (B0.square().sum((-2, -1)) - trace.square() / k) / ((k - 1) * (k + 2))
    return square * _pair_weights(s).sum()


def expected_gaussian_misalignment(s: Tensor, D: int, deviation: float) -> float:
    """The mean of `misalignment` over independent Gaussian starts of this standard deviation, with D inputs; `s` (k,).

    Raises ValueError for fewer than two eigenvalues, or ones that do not descend strictly.

    Book: thm-bao-expected
    """
    s = spectrum(s, len(torch.as_tensor(s)))
    if len(s) < 2:
        raise ValueError("s must hold two or more eigenvalues.")
    return float(2 * D * deviation**4 * _pair_weights(s).sum())


def _pair_weights(s: Tensor) -> Tensor:
    """What the square of each entry of B above the diagonal adds to d_align, `(k (k - 1) / 2,)`."""
    i, j = torch.triu_indices(len(s), len(s), 1)
    return (s[i].square() + s[j].square()) / (4 * len(s) * (s[i] - s[j]).square())
