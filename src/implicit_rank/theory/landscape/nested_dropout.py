"""Deterministic nested dropout (6) in closed form, its Hessian on and off the k zero modes, priors and bounds.

A prior is a distribution over b = 1..k, the number of units kept; `tails` c_a = P(b >= a) is the chance
that unit a is kept. Loss (6) has the factor one half of the paper; the official code leaves it out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.theory.landscape.bounds import _top, flattest_shares
from implicit_rank.theory.landscape.losses import spectrum, weights_and_moments

PRIORS = ("geometric", "uniform", "optimal")


def nested_dropout_prior(kind: str, k: int, *, rho: float = 0.9, s: Tensor | None = None, last: float = 0.0) -> Tensor:
    """A prior `(k,)` over b = 1..k.

    "geometric": P(b) = rho^(b-1) (1 - rho) with the rest on k, the official code's with rho = 0.9; "uniform":
    1/k; "optimal": proportional to 1 / (s_b - s_{b+1}) for b < k and `last` on k, for the top k eigenvalues
    `s`. With last = 0 this is the extreme case of the bound only: unit k is never kept, so
    `nested_dropout_loss` refuses it. Raises ValueError for an unknown kind or numbers out of range.

    Book: eq-bao-priors
    """
    if kind not in PRIORS:
        raise ValueError(f"unknown prior {kind!r}; allowed: {', '.join(PRIORS)}.")
    if k < 1:
        raise ValueError(f"a prior needs at least 1 unit, not {k}.")
    if kind == "uniform":
        return torch.full((k,), 1 / k, dtype=torch.float64)
    if kind == "geometric":
        if not 0 < rho < 1:
            raise ValueError(f"rho must lie between 0 and 1, not {rho}.")
        tails = rho ** torch.arange(k + 1, dtype=torch.float64)
        tails[-1] = 0
        return -tails.diff()
    if s is None:
        raise ValueError("the optimal prior needs the top k eigenvalues s.")
    if not 0 <= last < 1:
        raise ValueError(f"last must lie in [0, 1), not {last}.")
    weights = -1 / _top(s, k).diff()
    return torch.cat([(1 - last) * weights / weights.sum(), torch.tensor([last], dtype=torch.float64)])


def checked_prior(prior: Tensor, k: int) -> Tensor:
    """The prior as float64 `(k,)`; ValueError unless it has k positive numbers that sum to 1."""
    prior = torch.as_tensor(prior, dtype=torch.float64)
    if prior.shape != (k,):
        raise ValueError(f"the prior needs one probability for each of the {k} units, not shape {tuple(prior.shape)}.")
    if not (prior > 0).all():
        b = int((prior > 0).logical_not().nonzero()[0]) + 1
        what = f"unit {k} is then never trained" if b == k else f"units {b} and {b + 1} then have the same masks"
        raise ValueError(f"every probability of the prior must be positive, and P(b = {b}) is not: {what}.")
    if abs(prior.sum().item() - 1) > 1e-9:
        raise ValueError(f"the prior must sum to 1, not {prior.sum().item():.6g}.")
    return prior


def kept(prior: Tensor) -> Tensor:
    """The tails `c_a = P(b >= a)` of a prior over b = 1..k, both `(k,)`."""
    return prior.flip(0).cumsum(0).flip(0)


def nested_dropout_loss(W1: Tensor, W2: Tensor, C: Tensor, prior: Tensor) -> Tensor:
    """Loss (6), the expectation over b of `||x - W2 pi_b(W1 x)||^2 / 2` averaged over samples, `(...)`.

    Raises ValueError for shapes that do not fit, and for a prior with zeros or a sum other than 1.

    Book: eq-bao-nested, eq-bao-nested-closed
    """
    W1, W2, C = weights_and_moments(W1, W2, C)
    c = kept(checked_prior(prior, W1.shape[-2]))
    codes = W1 @ C
    both = torch.minimum(c[:, None], c)  # P(b >= max(a, a')), since c descends
    agreement = (c * (codes * W2.mT).sum(-1)).sum(-1)
    return (C.trace() - 2 * agreement + ((W2.mT @ W2) * both * (codes @ W1.mT)).sum((-2, -1))) / 2


def nested_dropout_gradients(W1: Tensor, W2: Tensor, C: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of loss (6) with respect to W1 and W2.

    Book: eq-bao-nested-gradients
    """
    W1, W2, C = weights_and_moments(W1, W2, C)
    c = kept(checked_prior(prior, W1.shape[-2]))
    both = torch.minimum(c[:, None], c)
    codes = W1 @ C
    encoder = -c[:, None] * (W2.mT @ C) + ((W2.mT @ W2) * both) @ codes
    decoder = -codes.mT * c + W2 @ ((codes @ W1.mT) * both)
    return encoder, decoder


def stationarity_gap(W1: Tensor, W2: Tensor, C: Tensor, prior: Tensor) -> Tensor:
    """The largest entry of `Pi N (M o T) - (N o T) M Pi`, N = W2^T W2, M = W1 C W1^T, which vanishes where (6) is flat.

    Together with live units it makes N and M diagonal, the step by which every minimum is found.

    Book: eq-bao-nested-stationary
    """
    W1, W2, C = weights_and_moments(W1, W2, C)
    c = kept(checked_prior(prior, W1.shape[-2]))
    both = torch.minimum(c[:, None], c)
    N, M = W2.mT @ W2, W1 @ C @ W1.mT
    return (c[:, None] * (N @ (M * both)) - (N * both) @ M * c).abs().amax((-2, -1))


def nested_dropout_hessian_eigenvalues(s: Tensor, prior: Tensor, gauge: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The Hessian spectrum of loss (6) at its minimum off the zero modes, ascending, and on them.

    The minima are `W1 = G U^T`, `W2 = U G^-1` for any scales G, the diagonal `gauge` (k,), all ones by default.
    The tensors are `(2 k len(s) - k,)` and `(k,)`, the zeros of rescaling a unit. `s` holds the top k
    eigenvalues or all of C's. A prior that gives b = k no chance is allowed here, where it is a limit.

    Book: thm-bao-nested-blocks
    """
    prior = torch.as_tensor(prior, dtype=torch.float64)
    k = len(prior)
    if prior[-1] == 0:
        checked_prior(prior[:-1], k - 1)
    else:
        checked_prior(prior, k)
    s, c = spectrum(s, k), kept(prior)
    g = torch.ones(k, dtype=torch.float64) if gauge is None else torch.as_tensor(gauge, dtype=torch.float64)
    if g.shape != (k,) or not g.isfinite().all() or (g == 0).any():
        raise ValueError(f"gauge must hold {k} finite numbers other than zero.")
    own, rest, g = s[:k], s[k:], g.abs()
    first, second = torch.triu_indices(k, k, 1)
    pairs = torch.linalg.eigvalsh(nested_dropout_pair_block(own, c, g, first, second))
    # outside: c_a [[t / g^2, -t], [-t, s g^2]], determinant c_a^2 t (s - t)
    x, y, t = rest / g[:, None] ** 2, (own * g**2)[:, None], rest[None, :]
    large = (x + y) / 2 + ((x - y).square() / 4 + t.square()).sqrt()
    outside = c[:, None] * torch.stack([t * (own[:, None] - t) / large, large])
    values = torch.cat([c * own * (g**2 + g**-2), pairs.flatten(), outside.flatten()])
    return values.sort().values, torch.zeros(k, dtype=torch.float64)


def nested_dropout_pair_block(s: Tensor, c: Tensor, g: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """The Hessian blocks `(..., 4, 4)` of units i < j: (encoder, decoder) of i along j, then of j along i.

    Book: eq-bao-nested-pair-block
    """
    zero, ratio = torch.zeros_like(s[i]), g[i] / g[j]
    away = -s[j] * (c[i] - c[j])
    rows = [
        [s[j] * c[i] / g[i] ** 2, away, zero, s[j] * c[j] / ratio],
        [away, s[i] * c[i] * g[i] ** 2, s[i] * c[j] * ratio, zero],
        [zero, s[i] * c[j] * ratio, s[i] * c[j] / g[j] ** 2, zero],
        [s[j] * c[j] / ratio, zero, zero, s[j] * c[j] * g[j] ** 2],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def nested_dropout_condition_number(s: Tensor, prior: Tensor, gauge: Tensor | None = None) -> Tensor:
    """Largest over smallest Hessian eigenvalue of loss (6) off its k zero modes; with them it is infinite.

    Book: eq-bao-nested-condition
    """
    off, _ = nested_dropout_hessian_eigenvalues(s, prior, gauge)
    return off[-1] / off[0].clamp(min=0)


def best_prior(s: Tensor) -> Tensor:
    """A usable, all positive prior `(k,)` that (nearly) minimises the condition number off the zero modes."""
    s = _top(s)
    i, j = torch.triu_indices(len(s), len(s), 1)
    ones = torch.ones_like(s)

    def eigenvalues(prior: Tensor) -> Tensor:
        c = kept(prior)
        return torch.cat([2 * c * s, torch.linalg.eigvalsh(nested_dropout_pair_block(s, c, ones, i, j)).flatten()])

    return flattest_shares(eigenvalues, len(s))


def nested_dropout_bound_printed(s: Tensor) -> Tensor:
    """`8 s_1 (k - 1)^2 / (s_1 - s_k)` (Bao 2020, 5), which holds off the zero modes.

    Book: eq-bao-nested-bound-printed
    """
    s = _top(s)
    return 8 * s[0] * (len(s) - 1) ** 2 / (s[0] - s[-1])


def nested_dropout_bound_sharp(s: Tensor) -> Tensor:
    """`8 s_1 sum_{i<k} 1 / (s_i - s_{i+1})`, never below the printed bound and equal to it at equal gaps.

    Book: thm-bao-nested-bound
    """
    s = _top(s)
    return 8 * s[0] * (-1 / s.diff()).sum()
