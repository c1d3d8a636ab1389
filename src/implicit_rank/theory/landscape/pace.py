"""What curvature says of pace: the largest stable rate and the factor per step, with and without momentum.

Near a minimum Nesterov's method, in the form of `torch.optim.SGD(nesterov=True)`, moves along an eigenvector of
curvature h by `x_{t+1} = a (1 + m) x_t - a m x_{t-1}` with a = 1 - lr h and momentum m; m = 0 is gradient descent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.parameters.numbers import real


def largest_stable_rate(curvature: Tensor | float, momentum: float = 0.0) -> Tensor:
    """The rate `2 (1 + m) / ((1 + 2 m) h)` beyond which a minimum of largest curvature h is left, 2 / h for m = 0.

    Raises ValueError for a momentum outside [0, 1) or a curvature that is not positive.

    Book: eq-bao-stable-rate
    """
    h, m = _positive(curvature), _momentum(momentum)
    return 2 * (1 + m) / ((1 + 2 * m) * h)


def factor_per_step(curvatures: Tensor, lr: float, momentum: float = 0.0) -> Tensor:
    """The factor by which errors along curvatures `(...)` shrink a step in the long run, of the same shape.

    It is the larger root in magnitude of `z^2 - a (1 + m) z + a m`, a = 1 - lr h.

    Book: eq-bao-momentum-factor
    """
    m = _momentum(momentum)
    if real(lr) is None or not lr > 0:
        raise ValueError(f"the learning rate must be a positive number, not {lr!r}.")
    a = 1 - lr * torch.as_tensor(curvatures, dtype=torch.float64)
    inside = (a * (1 + m)).square() - 4 * a * m
    real_roots = ((a * (1 + m)).abs() + inside.clamp(min=0).sqrt()) / 2
    return torch.where(inside >= 0, real_roots, (a * m).abs().sqrt())


def best_momentum(condition: Tensor | float) -> Tensor:
    """The momentum `(sqrt(kappa) - 1) / (sqrt(kappa) + 1)`, with which rate 1 / h_max gives 1 - 1 / sqrt(kappa) a step.

    Book: eq-bao-best-momentum
    """
    kappa = torch.as_tensor(condition, dtype=torch.float64)
    if not (kappa >= 1).all():
        raise ValueError(f"a condition number is at least 1, not {condition}.")
    return (kappa.sqrt() - 1) / (kappa.sqrt() + 1)


def _positive(curvature: Tensor | float) -> Tensor:
    h = torch.as_tensor(curvature, dtype=torch.float64)
    if not (h > 0).all():
        raise ValueError(f"the largest curvature must be positive, not {curvature}.")
    return h


def _momentum(momentum: float) -> float:
    if real(momentum) is None or not 0 <= momentum < 1:
        raise ValueError(f"momentum must lie in [0, 1), not {momentum!r}.")
    return float(momentum)
