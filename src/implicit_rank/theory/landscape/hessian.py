"""The exact Hessian spectrum of the non-uniform l2 loss (3) at any of its stationary points, block by block.

In the eigenbasis of C the 2 D k second derivatives fall into blocks of sizes 1, 2 and 4, so nothing larger
than O(D k) is ever held.
"""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.theory.landscape.losses import spectrum, unit_penalties
from implicit_rank.theory.landscape.stationary import Assignment, check_assignment, optimal_assignment

PAIRS_AT_ONCE = 16_384


def l2_hessian_eigenvalues(s: Tensor, penalties: Tensor, k: int | None = None) -> Tensor:
    """All eigenvalues of the Hessian of loss (3) at its global minimum, ascending.

    `s` holds the top k eigenvalues of C or all D of them, descending: `2 k len(s)` eigenvalues come back.
    Memory is O(len(s) k). Penalties that reach their eigenvalue leave dead units: a warning names them. Raises
    ValueError for eigenvalues that repeat in the top k, or penalties that do not ascend or fit k.

    Book: thm-bao-blocks
    """
    penalties = unit_penalties(penalties, len(torch.as_tensor(penalties)) if k is None else k)
    return class_hessian_eigenvalues(s, penalties, optimal_assignment(s, penalties))


def class_hessian_eigenvalues(s: Tensor, penalties: Tensor, assignment: Assignment) -> Tensor:
    """All `2 k len(s)` eigenvalues of the Hessian of loss (3) at a class of stationary points, ascending.

    Book: thm-bao-blocks
    """
    s, penalties = spectrum(s), unit_penalties(penalties, len(assignment))
    check_assignment(s, penalties, assignment)
    units = [a for a, i in enumerate(assignment) if i is not None]
    carried = [i for i in assignment if i is not None]
    free = torch.ones(len(s), dtype=torch.bool)
    free[carried] = False
    lam, own = penalties[units], s[carried]
    dead = penalties[[a for a, i in enumerate(assignment) if i is None]]
    parts = [
        4 * (own - lam),
        4 * lam,
        *pair_eigenvalues(own, lam),
        outside_eigenvalues(own, lam, s[free]).flatten(),
        (2 * (dead[:, None] + lam)).flatten(),
        (2 * (dead[:, None] - lam)).flatten(),
        (2 * (dead[:, None] + s[free])).flatten(),
        (2 * (dead[:, None] - s[free])).flatten(),
    ]
    return torch.cat(parts).sort().values


def pair_eigenvalues(s: Tensor, penalties: Tensor) -> list[Tensor]:
    """The 4 eigenvalues of each pair of live units `(r,)` as flat tensors, in pieces of bounded size."""
    first, second = torch.triu_indices(len(s), len(s), 1)
    return [
        torch.linalg.eigvalsh(pair_block(s[a], s[b], penalties[a], penalties[b])).flatten()
        for a, b in zip(first.split(PAIRS_AT_ONCE), second.split(PAIRS_AT_ONCE), strict=True)
    ]


def pair_block(s: Tensor, t: Tensor, lam: Tensor, mu: Tensor) -> Tensor:
    """The block `(..., 4, 4)` of two live units: one of penalty lam on s, one of penalty mu on t.

    The order is (encoder, decoder) of the first unit along the second's component, then of the second
    along the first's.

    Book: eq-bao-pair-block
    """
    d2, e2 = 1 - lam / s, 1 - mu / t
    de = (d2 * e2).sqrt()
    zero = torch.zeros_like(de)
    rows = [
        [t * d2 + lam, -mu, zero, t * de],
        [-mu, s, s * de, zero],
        [zero, s * de, s * e2 + mu, -lam],
        [t * de, zero, -lam, t],
    ]
    return 2 * torch.stack([torch.stack(row, -1) for row in rows], -2)


def outside_eigenvalues(s: Tensor, penalties: Tensor, outside: Tensor) -> Tensor:
    """The 2 eigenvalues `(2, r, q)` of every live unit `(r,)` against every uncarried component `(q,)`.

    Book: eq-bao-outside-block
    """
    s, lam, t = s[:, None], penalties[:, None], outside[None, :]
    a = t * (1 - lam / s) + lam
    root = ((a - s).square() / 4 + t.square()).sqrt()
    large = (a + s) / 2 + root
    # by the determinant (s - t)(t + lam): the difference would lose the digits of a small eigenvalue
    return 2 * torch.stack([(s - t) * (t + lam) / large, large])


def l2_condition_number(s: Tensor, penalties: Tensor) -> Tensor:
    """Largest over smallest Hessian eigenvalue of loss (3) at its minimum, with `s` as for the spectrum.

    Book: eq-bao-condition
    """
    values = l2_hessian_eigenvalues(s, penalties)
    return values[-1] / values[0]


def scaling_curvature(s: Tensor, penalties: Tensor) -> Tensor:
    """The Rayleigh quotient `(k,)` of rescaling unit i at the minimum, the eigenvalue `4 (s_i - lambda_i)`.

    Book: eq-bao-scaling
    """
    return 4 * (torch.as_tensor(s, dtype=torch.float64)[: len(penalties)] - penalties)


def rotation_curvature(s: Tensor, penalties: Tensor) -> Tensor:
    """The Rayleigh quotient `(k, k)` of rotating units i and j into each other at the minimum, symmetric.

    It is `2 (lambda_j - lambda_i)(d_i^2 - d_j^2) / (d_i^2 + d_j^2)`, d_i^2 = 1 - lambda_i / s_i; zero for i = j.

    Book: eq-bao-rotation-rayleigh
    """
    penalties = torch.as_tensor(penalties, dtype=torch.float64)
    d2 = 1 - penalties / torch.as_tensor(s, dtype=torch.float64)[: len(penalties)]
    return -2 * (penalties[:, None] - penalties) * (d2[:, None] - d2) / (d2[:, None] + d2)
