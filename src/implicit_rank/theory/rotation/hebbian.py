"""The generalised Hebbian algorithm and its kin beside the rotation augmented gradient (Bao 2020, 6.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.theory.landscape.losses import second_moments, spectrum
from implicit_rank.theory.rotation.steps import _rate


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


def gha_extra(W: Tensor, C: Tensor) -> Tensor:
    """What the Generalised Hebbian Algorithm adds to `W C - M W`: the strict upper triangle of M times W `(..., k, D)`.

    Book: eq-bao-gha-extra
    """
    W, C = torch.as_tensor(W, dtype=torch.float64), second_moments(C)
    return (W @ C @ W.mT).triu(1) @ W


def gha_loss_rate(W: Tensor, C: Tensor) -> Tensor:
    """The rate dL/dt of loss (1) that GHA's extra term alone causes at W1 = W2^T = W, `(...)`.

    It is `-2 tr(W^T (M - diag M) W C (I - W^T W))`, zero on the principal subspace and of no fixed sign elsewhere.

    Book: eq-bao-gha-loss
    """
    W, C = torch.as_tensor(W, dtype=torch.float64), second_moments(C)
    M = W @ C @ W.mT
    off = M - torch.diag_embed(M.diagonal(dim1=-2, dim2=-1))
    unexplained = C - C @ W.mT @ W
    return -2 * ((W.mT @ off @ W) * unexplained.mT).sum((-2, -1))


def gha_decay_rates(s: Tensor, k: int) -> Tensor:
    """The `k len(s)` decay rates of GHA's flow linearised at the ordered axes, ascending; `s` are all eigenvalues of C.

    Of every pair i < j of units one rotation decays at the rate s_i - s_j, twice RAG's, and one at s_j.

    Book: thm-bao-rivals
    """
    s = spectrum(s, k)
    own, rest = s[:k], s[k:]
    i, j = torch.triu_indices(k, k, 1)
    outside = (own[:, None] - rest).flatten()
    return torch.cat([2 * own, own[i] - own[j], own[j], outside]).sort().values


def eigengame_decay_rates(s: Tensor, k: int) -> Tensor:
    """The `k (len(s) - 1)` decay rates of EigenGame's flow linearised at the ordered axes, ascending; `s` as for GHA.

    They are twice those of GHA without the k that rescale a unit: a player's vector has length one.

    Book: thm-bao-rivals
    """
    s = spectrum(s, k)
    own, rest = s[:k], s[k:]
    i, j = torch.triu_indices(k, k, 1)
    outside = (own[:, None] - rest).flatten()
    return 2 * torch.cat([own[i] - own[j], own[j], outside]).sort().values


def weighted_oja_decay_rates(s: Tensor, k: int) -> Tensor:
    """The `k len(s)` decay rates of Oja's weighted rule linearised at its axes, ascending; `s` as for GHA.

    The weights are `oja_weights(k)`; a pair of units has the two rates of a 2 x 2 matrix.

    Book: thm-bao-rivals
    """
    s = spectrum(s, k)
    own, rest, theta = s[:k], s[k:], oja_weights(k)
    i, j = torch.triu_indices(k, k, 1)
    ratio = theta[i] / theta[j]
    total = own[j] * ratio + own[i] / ratio
    product = (own[i] - own[j]) * (own[i] / ratio - ratio * own[j] - (own[i] - own[j]))
    spread = (total.square() - 4 * product).sqrt()
    outside = (own[:, None] - rest).flatten()
    return torch.cat([2 * own, (total - spread) / 2, (total + spread) / 2, outside]).sort().values


def oja_weights(k: int) -> Tensor:
    """The weights theta_i = 1 + (i - 1) / k of Oja's weighted rule, `(k,)`: they ascend, which orders the units."""
    return 1 + torch.arange(k, dtype=torch.float64) / k


def field_asymmetry(s: Tensor, k: int) -> Tensor:
    """By how much the Jacobian of RAG's flow at the optimum is not symmetric, `(k (k - 1) / 2,)`, one a pair of units.

    For unit vectors p and q, which give unit i < j some of axis j and unit j some of axis i without a change of W2 W1,
    `p^T J q - q^T J p = (s_i + s_j) / 2`. The Jacobian of a gradient is symmetric.

    Book: eq-bao-asymmetry
    """
    s = spectrum(s, k)[:k]
    i, j = torch.triu_indices(k, k, 1)
    return (s[i] + s[j]) / 2
