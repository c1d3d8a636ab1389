"""What is left of the rotations: the cosine that unequal penalties make of each pair, and the SVD that undoes any."""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.theory.landscape.losses import unit_penalties


def rotation_cosine(W1: Tensor, W2: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
    """The `(..., k, k)` amplitudes A_ij and B_ij with `L(theta) - L(0) = A_ij (cos 2 theta - 1) + B_ij sin 2 theta`.

    Theta turns units i and j of any encoder `(..., k, D)` and decoder `(..., D, k)` into each other: row i becomes
    cos row i - sin row j, and likewise the columns. L is loss (3); its reconstruction does not change. Zero for i = j.

    Book: eq-bao-pair-cosine
    """
    W1, W2 = (torch.as_tensor(W, dtype=torch.float64) for W in (W1, W2))
    lam = unit_penalties(penalties, W1.shape[-2])
    gram = W1 @ W1.mT + W2.mT @ W2
    squares = gram.diagonal(dim1=-2, dim2=-1)
    apart = lam[:, None] - lam
    return apart * (squares[..., :, None] - squares[..., None, :]) / 2, -apart * gram


def axes_by_svd(W2: Tensor) -> Tensor:
    """The left singular vectors `(..., D, k)` of decoders, by descending singular value.

    At a minimum of loss (2) they are the principal axes in their order, since `W2 = U (I - lambda S^-2)^(1/2) O^T`
    there (Kunin et al. 2019). Raises ValueError for a decoder that is not a finite matrix.

    Book: eq-bao-svd
    """
    W2 = torch.as_tensor(W2, dtype=torch.float64)
    if W2.ndim < 2 or not W2.isfinite().all():
        raise ValueError("a decoder must be a finite matrix (..., D, k).")
    return torch.linalg.svd(W2, full_matrices=False).U
