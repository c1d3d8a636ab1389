"""When the rank of a signal in noise can be seen: random-matrix edges and hard thresholds for an n x D matrix.

The data are a low-rank matrix plus independent Gaussian noise of standard deviation `noise`; `shape` is (n, D).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.integrate import quad
from scipy.optimize import brentq


def bbp_edge(shape: Sequence[int], noise: float) -> float:
    """The largest singular value of noise alone, `noise (sqrt n + sqrt D)`: the edge of Marchenko and Pastur's bulk.

    Book: eq-edge
    """
    n, D = _shape(shape)
    return _noise(noise) * (math.sqrt(n) + math.sqrt(D))


def detection_limit(shape: Sequence[int], noise: float) -> float:
    """The least singular value of a signal that leaves the bulk, `noise (nD)^{1/4}` (Baik, Ben Arous and Peche 2005).

    Book: eq-detection
    """
    n, D = _shape(shape)
    return _noise(noise) * (n * D) ** 0.25


def noisy_singular_value(strength: float, shape: Sequence[int], noise: float) -> float:
    """Where a signal's singular value shows in the noisy matrix: above the detection limit pushed up, else the edge.

    `sqrt((S^2 + n noise^2)(S^2 + D noise^2)) / S` for large matrices (Benaych-Georges and Nadakuditi 2012).

    Book: eq-spike
    """
    n, D = _shape(shape)
    if not 0 <= strength < math.inf:
        raise ValueError(f"strength must be a finite number that is not negative, not {strength}.")
    if strength <= detection_limit(shape, noise):
        return bbp_edge(shape, noise)
    return math.sqrt((strength**2 + n * noise**2) * (strength**2 + D * noise**2)) / strength


def gavish_donoho_threshold(shape: Sequence[int], noise: float | None = None) -> float:
    """The optimal hard threshold of singular values (Gavish and Donoho 2014), non-square matrices included.

    For known noise the threshold itself, `lambda(beta) sqrt(max(n, D)) noise` with beta = min / max of the shape, which
    is 4 / sqrt 3 for square ones; without `noise` the factor `omega(beta)` by which the *median* singular value is to
    be multiplied, 2.858 for square ones.

    Book: eq-hard-threshold
    """
    n, D = _shape(shape)
    beta = min(n, D) / max(n, D)
    factor = math.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + math.sqrt(beta**2 + 14 * beta + 1)))
    if noise is None:
        return factor / math.sqrt(marchenko_pastur_median(beta))
    return factor * math.sqrt(max(n, D)) * _noise(noise)


def marchenko_pastur_median(beta: float) -> float:
    """The median of Marchenko and Pastur's law for the eigenvalues of a noise covariance of aspect ratio `beta`.

    The density is `sqrt((b - x)(x - a)) / (2 pi beta x)` on [a, b], with a, b = (1 -+ sqrt beta)^2, 0 < beta <= 1.
    """
    if not 0 < beta <= 1:
        raise ValueError(f"beta must lie in (0, 1], not {beta}.")
    low, radius = (1 - math.sqrt(beta)) ** 2, 2 * math.sqrt(beta)

    def density(t: float) -> float:  # over x = low + 2 radius sin^2(t / 2): no root is left at the ends
        sine, cosine = math.sin(t / 2) ** 2, math.cos(t / 2) ** 2
        x = low + 2 * radius * sine
        return 2 * radius**2 * sine * cosine / (math.pi * beta * x) if x else radius / (math.pi * beta)

    half = brentq(lambda t: quad(density, 0, t, epsabs=1e-12)[0] - 0.5, 1e-6, math.pi, xtol=1e-13)
    return low + 2 * radius * math.sin(half / 2) ** 2


def noise_delay(strengths: Sequence[float], rank: int) -> float:
    """How much later than the last signal a chain starts the first direction of noise: `(S_r / S_{r+1})^2`.

    `strengths` are the singular values of the noisy data, descending. It is the length of the plateau on which the
    rank is `rank`, in units of the time at which it begins.

    Book: eq-noise-plateau
    """
    if not 1 <= rank < len(strengths) or not 0 < strengths[rank] <= strengths[rank - 1]:
        raise ValueError(f"rank must be from 1 to {len(strengths) - 1}, with descending strengths above 0, not {rank}.")
    return float((strengths[rank - 1] / strengths[rank]) ** 2)


def _shape(shape: Sequence[int]) -> tuple[int, int]:
    n, D = shape
    if n < 1 or D < 1:
        raise ValueError(f"shape must be two numbers of at least 1, not {tuple(shape)}.")
    return n, D


def _noise(noise: float) -> float:
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise must be a finite number that is not negative, not {noise}.")
    return noise
