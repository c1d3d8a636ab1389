"""The rotation augmented gradient of Bao 2020 (6): Algorithm 1, its rotation alone, and what its weights conserve.

Encoders `W1` are `(..., k, D)`, decoders `W2` `(..., D, k)`, C = X X^T / n is `(D, D)`, and
M = W1 C W1^T = Y Y^T / n `(..., k, k)` are the second moments of the codes. Everything is float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from implicit_rank.parameters.numbers import real
from implicit_rank.theory.landscape.losses import reconstruction_gradients, second_moments, weights_and_moments


def code_moments(W1: Tensor, C: Tensor) -> Tensor:
    """`M = W1 C W1^T = Y Y^T / n`, `(..., k, k)`.

    Book: eq-bao-code-moments
    """
    W1 = torch.as_tensor(W1, dtype=torch.float64)
    return W1 @ second_moments(C) @ W1.mT


def rotation_generator(M: Tensor) -> Tensor:
    """The skew `(upper - lower) / 2` of M `(..., k, k)`, strict triangles: A / n of Algorithm 1.

    Raises ValueError unless M is square and symmetric.

    Book: eq-bao-generator
    """
    M = symmetric(M)
    return (M.triu(1) - M.tril(-1)) / 2


def rag_step(W1: Tensor, W2: Tensor, C: Tensor, lr: float) -> tuple[Tensor, Tensor]:
    """Encoder and decoder after one step of Algorithm 1, both from the old values.

    Book: eq-bao-rag
    """
    W1, W2, C = weights_and_moments(W1, W2, C)
    rate = _rate(lr)
    A = rotation_generator(code_moments(W1, C))
    encoder, decoder = reconstruction_gradients(W1, W2, C)
    return W1 + rate * (A @ W1 - encoder), W2 - rate * (W2 @ A + decoder)


def rotation_step(W1: Tensor, W2: Tensor, C: Tensor, lr: float, *, exact: bool = False) -> tuple[Tensor, Tensor]:
    """The weights after the rotation of Algorithm 1 alone; `exact` takes the matrix exponential, not 1 + lr A.

    Book: eq-bao-rotation-step
    """
    W1, W2, C = weights_and_moments(W1, W2, C)
    A = _rate(lr) * rotation_generator(code_moments(W1, C))
    if exact:
        turn = torch.linalg.matrix_exp(A)
        return turn @ W1, W2 @ turn.mT
    return W1 + A @ W1, W2 - W2 @ A


def imbalance(W1: Tensor, W2: Tensor) -> Tensor:
    """`B = W1 W1^T - W2^T W2` `(..., k, k)`: gradient flow conserves it, RAG's flow its eigenvalues.

    Book: eq-bao-imbalance
    """
    W1, W2 = (torch.as_tensor(W, dtype=torch.float64) for W in (W1, W2))
    return W1 @ W1.mT - W2.mT @ W2


def gradient_gap(W: Tensor, C: Tensor) -> Tensor:
    """Encoder gradient minus transposed decoder gradient of loss (1) at W1 = W2^T = W.

    It is `2 W (W^T W C - C W^T W)`. Where it is not zero, one step of GD or RAG already breaks W1 = W2^T
    (Bao 2020, footnote 3).

    Book: eq-bao-gradient-gap
    """
    W, C = torch.as_tensor(W, dtype=torch.float64), second_moments(C)
    gram = W.mT @ W
    return 2 * W @ (gram @ C - C @ gram)


def symmetric(M: Tensor) -> Tensor:
    """M as float64; ValueError unless it is a finite symmetric matrix, or a batch of them."""
    M = torch.as_tensor(M, dtype=torch.float64)
    if M.ndim < 2 or M.shape[-1] != M.shape[-2]:
        raise ValueError(f"M must be a square matrix, not one of shape {tuple(M.shape)}.")
    if not M.isfinite().all():
        raise ValueError("M must be finite; it holds NaN or infinity.")
    if (M - M.mT).abs().max() > 1e-9 * M.abs().max():
        raise ValueError("M must be symmetric, as Y Y^T / n is.")
    return M


def _rate(lr: float) -> float:
    if real(lr) is None or not 0 < lr < math.inf:
        raise ValueError(f"the learning rate must be a positive number, not {lr!r}.")
    return real(lr)
