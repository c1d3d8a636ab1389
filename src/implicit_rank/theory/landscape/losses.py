"""The losses of Bao 2020 through the second moment matrix C = X X^T / n, with their gradients.

Encoders `W1` are `(..., k, D)`, decoders `W2` `(..., D, k)`, C is `(D, D)`; the leading axes of a
batch broadcast. Everything is float64. Loss (1) has no factor one half, loss (6) has one; each function
keeps its equation's own.
"""

from __future__ import annotations

import torch
from torch import Tensor


def reconstruction_loss(W1: Tensor, W2: Tensor, C: Tensor) -> Tensor:
    """Loss (1), the mean over samples of `||x - W2 W1 x||^2`, of shape `(...)`.

    Raises ValueError for shapes that do not fit, k >= D, or a C that is not square, symmetric and finite.

    Book: eq-bao-loss, eq-bao-loss-moments
    """
    W1, W2, C = weights_and_moments(W1, W2, C)
    codes = W1 @ C
    agreement = (codes * W2.mT).sum((-2, -1))
    return C.trace() - 2 * agreement + ((W2.mT @ W2) * (codes @ W1.mT)).sum((-2, -1))


def reconstruction_gradients(W1: Tensor, W2: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of loss (1): `-2 W2^T (I - W2 W1) C` and `-2 (I - W2 W1) C W1^T`.

    Book: eq-bao-gradients
    """
    W1, W2, C = weights_and_moments(W1, W2, C)
    unexplained = C - W2 @ (W1 @ C)
    return -2 * W2.mT @ unexplained, -2 * unexplained @ W1.mT


def l2_loss(W1: Tensor, W2: Tensor, C: Tensor, penalties: Tensor | float) -> Tensor:
    """Loss (3), loss (1) plus `sum_a lambda_a (|row a of W1|^2 + |column a of W2|^2)`, `(...)`.

    One number for `penalties` gives loss (2), the uniform case. Raises ValueError for penalties that are not
    positive and finite, one for each unit.

    Book: eq-bao-nonuniform, eq-bao-uniform
    """
    data = reconstruction_loss(W1, W2, C)
    W1, W2 = (torch.as_tensor(W, dtype=torch.float64) for W in (W1, W2))
    squares = W1.square().sum(-1) + W2.square().sum(-2)
    return data + (unit_penalties(penalties, W1.shape[-2]) * squares).sum(-1)


def l2_gradients(W1: Tensor, W2: Tensor, C: Tensor, penalties: Tensor | float) -> tuple[Tensor, Tensor]:
    """The gradients of loss (3), or (2) for one number: those of loss (1) plus 2 Lambda W1 and 2 W2 Lambda.

    Book: eq-bao-l2-gradients
    """
    encoder, decoder = reconstruction_gradients(W1, W2, C)
    weights = unit_penalties(penalties, encoder.shape[-2])
    W1, W2 = (torch.as_tensor(W, dtype=torch.float64) for W in (W1, W2))
    return encoder + 2 * weights[:, None] * W1, decoder + 2 * W2 * weights


def unit_penalties(penalties: Tensor | float, k: int) -> Tensor:
    """The penalties as float64 `(k,)`; ValueError unless there is one positive finite number a unit."""
    values = torch.as_tensor(penalties, dtype=torch.float64)
    values = values.expand(k) if values.ndim == 0 else values
    if values.shape != (k,):
        raise ValueError(f"penalties needs one number for each of the {k} units, not shape {tuple(values.shape)}.")
    if not (values > 0).all() or not values.isfinite().all():
        raise ValueError("penalties must be positive and finite.")
    return values


def weights_and_moments(W1: Tensor, W2: Tensor, C: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Encoder, decoder and second moments as float64, or say in a ValueError what does not fit."""
    W1, W2 = (torch.as_tensor(W, dtype=torch.float64) for W in (W1, W2))
    C = second_moments(C)
    D = len(C)
    if W1.ndim < 2 or W1.shape[-1] != D:
        raise ValueError(f"the encoder must have the shape (..., k, {D}), as C has {D} rows, not {tuple(W1.shape)}.")
    k = latent_width(W1.shape[-2], D)
    if W2.ndim < 2 or W2.shape[-2:] != (D, k):
        raise ValueError(f"the decoder must have the shape (..., {D}, {k}) to fit the encoder, not {tuple(W2.shape)}.")
    return W1, W2, C


def second_moments(C: Tensor) -> Tensor:
    """C as float64; ValueError unless it is a finite, square, symmetric matrix."""
    C = torch.as_tensor(C, dtype=torch.float64)
    if C.ndim != 2 or C.shape[0] != C.shape[1]:
        raise ValueError(f"C must be a square matrix, not one of shape {tuple(C.shape)}.")
    if not C.isfinite().all():
        raise ValueError("C must be finite; it holds NaN or infinity.")
    if (C - C.T).abs().max() > 1e-10 * C.abs().max():
        raise ValueError("C must be symmetric, as every second moment matrix X X^T / n is.")
    return C


def latent_width(k: int, D: int) -> int:
    """K; ValueError unless 1 <= k < D, since Bao 2020 takes codes narrower than the data."""
    if not 1 <= k < D:
        raise ValueError(f"the latent width k must be at least 1 and below the input width {D}, not {k}.")
    return k


def spectrum(s: Tensor, k: int | None = None) -> Tensor:
    """Eigenvalues as float64 `(r,)`; ValueError unless they descend, are not negative, and the top k differ.

    `k` names how many components a model learns: those must be positive and distinct from each other and,
    where there is one, from the next.
    """
    s = torch.as_tensor(s, dtype=torch.float64)
    if s.ndim != 1 or len(s) == 0 or not s.isfinite().all():
        raise ValueError("s must be a vector of finite eigenvalues of C.")
    if (s.diff() > 0).any():
        raise ValueError("the eigenvalues s must be given in descending order.")
    if (s < 0).any():
        raise ValueError("the eigenvalues s of a second moment matrix cannot be negative.")
    if k is None:
        return s
    if not 1 <= k <= len(s):
        raise ValueError(f"k must lie between 1 and the {len(s)} eigenvalues given, not {k}.")
    if not s[k - 1] > 0:
        raise ValueError(f"the top {k} eigenvalues must be positive; number {int((s > 0).sum()) + 1} is zero.")
    equal = (-s[: k + 1].diff() <= 1e-12 * s[0]).nonzero().flatten().tolist()
    if equal:
        i = equal[0] + 1
        what = f"the axes {i} and {i + 1} are not identifiable, only the plane they span"
        if i == k:
            what = f"the last of the top {k} axes is not identifiable"
        raise ValueError(f"eigenvalues {i} and {i + 1} are equal ({s[i]:.6g}), so {what}.")
    return s
