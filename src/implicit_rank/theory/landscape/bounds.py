"""Lower bounds on the condition number of the non-uniform l2 loss (3), and the penalties that make it least.

All bounds hold for every admissible choice of penalties, 0 < lambda_1 < ... < lambda_k < s_k, and for every
input width. `s` (k,) are the top k eigenvalues of C, descending and distinct.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from implicit_rank.theory.landscape.hessian import pair_block
from implicit_rank.theory.landscape.losses import spectrum


def l2_bound_printed(s: Tensor) -> Tensor:
    """`2 (k-1)(s_1 - s_k) sum_{i=2}^{k-1} (s_i - s_k) / (s_1 s_k)` (Bao 2020, 4.3.1); 0 for k = 2.

    Book: eq-bao-l2-bound-printed
    """
    s = _top(s)
    return 2 * (len(s) - 1) * (s[0] - s[-1]) * (s[1:-1] - s[-1]).sum() / (s[0] * s[-1])


def l2_bound_quadratic(s: Tensor) -> Tensor:
    """`(k - 1)^2 s_1 / s_k`.

    Book: thm-bao-l2-quadratic
    """
    s = _top(s)
    return (len(s) - 1) ** 2 * s[0] / s[-1]


def l2_bound_rotation(s: Tensor) -> Tensor:
    """`2 (s_1 / s_k) (sum_{i<k} sqrt(a_i + a_{i+1}))^2` with a_i = 1 - s_k / s_i.

    Book: thm-bao-l2-rotation
    """
    s = _top(s)
    a = 1 - s[-1] / s
    return 2 * s[0] / s[-1] * (a[:-1] + a[1:]).sqrt().sum() ** 2


def l2_bound_gap(s: Tensor) -> Tensor:
    """`(s_1 - s_k) / s_k^2 * sum_{i<k} (a_i + a_{i+1}) s_i s_{i+1} / (s_i - s_{i+1})`, a_i = 1 - s_k / s_i.

    It tends to infinity as two eigenvalues above s_k approach each other; the last gap it does not see, since
    there a_{k-1} and a_k vanish as fast.

    Book: thm-bao-l2-gap
    """
    s = _top(s)
    a = 1 - s[-1] / s
    return (s[0] - s[-1]) / s[-1] ** 2 * ((a[:-1] + a[1:]) * s[:-1] * s[1:] / -s.diff()).sum()


def l2_bound_near_tie(s: Tensor) -> Tensor:
    """`max_{i<k} s_1 s_i / (4 s_k (s_i - s_{i+1}))`, which tends to infinity as any two neighbours meet.

    Where neighbours are equal to 12 digits it is infinite, like the condition number itself; all other conditions on
    `s` are those of the other bounds.

    Book: thm-bao-l2-near-tie
    """
    s = spectrum(s)
    if (s > 0).all() and (-s.diff() <= 1e-12 * s[0]).any():
        return torch.tensor(math.inf, dtype=torch.float64)
    s = _top(s)
    return (s[0] * s[:-1] / (4 * s[-1] * -s.diff())).max()


def l2_bound_sharp(s: Tensor) -> Tensor:
    """The largest of the four proved bounds; it is never below `l2_bound_printed`.

    Book: thm-bao-l2-sharp
    """
    return torch.stack([l2_bound_quadratic(s), l2_bound_rotation(s), l2_bound_gap(s), l2_bound_near_tie(s)]).max()


def linear_penalties(s: Tensor, k: int | None = None) -> Tensor:
    """The plain admissible choice `lambda_a = s_k a / (k + 1)`, a = 1..k."""
    s = _top(s, k)
    return s[-1] * torch.arange(1, len(s) + 1, dtype=torch.float64) / (len(s) + 1)


def best_penalties(s: Tensor) -> Tensor:
    """Penalties `(k,)` that (nearly) minimise the exact condition number of loss (3) on the k x k head.

    They are admissible whatever the optimiser did, so their condition number bounds the best one from above.
    """
    s = _top(s)
    first, second = torch.triu_indices(len(s), len(s), 1)

    def eigenvalues(shares: Tensor) -> Tensor:
        lam = s[-1] * shares.cumsum(0)[:-1]
        blocks = pair_block(s[first], s[second], lam[first], lam[second])
        return torch.cat([4 * (s - lam), 4 * lam, torch.linalg.eigvalsh(blocks).flatten()])

    return s[-1] * flattest_shares(eigenvalues, len(s) + 1).cumsum(0)[:-1]


def flattest_shares(eigenvalues: Callable[[Tensor], Tensor], count: int) -> Tensor:
    """`count` positive shares of 1 that (nearly) minimise largest over smallest of `eigenvalues(shares)`.

    The logarithm of the ratio is smoothed by soft maxima of growing sharpness and descended by L-BFGS.
    """

    def spread(z: Tensor, beta: float) -> Tensor:
        values = eigenvalues(torch.softmax(z, 0)).clamp(min=1e-300).log()
        if beta == math.inf:
            return values.max() - values.min()
        return (torch.logsumexp(beta * values, 0) + torch.logsumexp(-beta * values, 0)) / beta

    def value_and_slope(z: np.ndarray, beta: float) -> tuple[float, np.ndarray]:
        z = torch.from_numpy(z).requires_grad_()
        value = spread(z, beta)
        (slope,) = torch.autograd.grad(value, z)
        return float(value.detach()), slope.nan_to_num().numpy()

    best = torch.zeros(count, dtype=torch.float64)
    z = best.numpy()
    for beta in (20.0, 80.0, 320.0, 1280.0):
        z = minimize(value_and_slope, z, args=(beta,), jac=True, method="L-BFGS-B", options={"maxiter": 150}).x
        candidate = torch.from_numpy(z.copy())
        if spread(candidate, math.inf) < spread(best, math.inf):
            best = candidate
    return torch.softmax(best, 0)


def _top(s: Tensor, k: int | None = None) -> Tensor:
    s = torch.as_tensor(s, dtype=torch.float64)
    s = spectrum(s, len(s) if k is None else k)[:k]
    if len(s) < 2:
        raise ValueError("a bound on how slowly units are told apart needs at least 2 units.")
    return s
