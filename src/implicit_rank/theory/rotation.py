"""The rotation augmented gradient of Bao 2020 (6): Algorithm 1, what it conserves, and the Toda flow it contains.

Encoders `W1` are `(..., k, D)`, decoders `W2` `(..., D, k)`, C = X X^T / n is `(D, D)`, and
M = W1 C W1^T = Y Y^T / n `(..., k, k)` are the second moments of the codes. Everything is float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from implicit_rank.parameters.numbers import real
from implicit_rank.theory.landscape.losses import (
    reconstruction_gradients,
    second_moments,
    spectrum,
    weights_and_moments,
)


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
    return M.abs().sum((-2, -1)) - M.diagonal(dim1=-2, dim2=-1).abs().sum(-1)


def smallest_gap(M: Tensor) -> Tensor:
    """G, the smallest difference between two diagonal entries of M, `(...)` (Bao 2020, Theorem 5).

    Book: eq-bao-gap
    """
    diagonal = torch.as_tensor(M, dtype=torch.float64).diagonal(dim1=-2, dim2=-1)
    return -diagonal.sort(-1, descending=True).values.diff().amax(-1)


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
    """A fixed point of RAG that is not axis-aligned: `W1 = D Q S^-1 U^T`, `W2 = U S Q^T D^-1`, S = s^(1/2).

    `U` (D, k), `s` (k,), `rotation` Q (k, k) orthogonal, `scale` the diagonal of D: M = D^2 is diagonal
    already, so nothing turns, and W2 W1 = U U^T, so no gradient is left.

    Book: eq-bao-spurious
    """
    U, Q, s = (torch.as_tensor(x, dtype=torch.float64) for x in (U, rotation, s))
    D = torch.as_tensor(scale, dtype=torch.float64).expand(len(s))
    root = s.sqrt()
    return D[:, None] * Q / root @ U.T, U * root @ Q.T / D


def misalignment(B: Tensor, s: Tensor) -> Tensor:
    """D_align to second order at the fixed point of RAG with imbalance `B` `(..., k, k)`; `s` (k,).

    It is `sum over i < j of B_ij^2 (s_i^2 + s_j^2) / (4 k (s_i - s_j)^2)`: what was unbalanced stays misaligned.

    Book: eq-bao-misalignment
    """
    B, s = symmetric(B), spectrum(s, len(torch.as_tensor(s)))
    i, j = torch.triu_indices(len(s), len(s), 1)
    weights = (s[i].square() + s[j].square()) / (4 * len(s) * (s[i] - s[j]).square())
    return (weights * B[..., i, j].square()).sum(-1)


def gha_step(W: Tensor, C: Tensor, lr: float) -> Tensor:
    """W `(..., k, D)` after a step of the Generalized Hebbian Algorithm (Sanger 1989; Bao 2020, 6.1).

    Book: eq-bao-gha
    """
    W, C = torch.as_tensor(W, dtype=torch.float64), second_moments(C)
    return W + _rate(lr) * (W @ C - (W @ C @ W.mT).tril() @ W)


def rag_as_gha_step(W: Tensor, C: Tensor, lr: float) -> Tensor:
    """The RAG step as 6.1 prints it: GHA's and `-(YY^T - diag(YY^T)) W / 2` beside it.

    It is the *decoder's* half of Algorithm 1 at W1 = W2^T = W, for half of loss (1), and nothing else.

    Book: eq-bao-rag-gha
    """
    W, C = torch.as_tensor(W, dtype=torch.float64), second_moments(C)
    M = W @ C @ W.mT
    off = M - torch.diag_embed(M.diagonal(dim1=-2, dim2=-1))
    return gha_step(W, C, lr) - _rate(lr) / 2 * off @ W


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
