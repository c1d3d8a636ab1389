"""When a direction emerges and how large it grows: laws for a chain at a bottleneck, beyond Sun 2021.

Both follow from equation 5 on one mode, with the subnetwork's learning rate divided by N and times alpha^2.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq


def growth_time(start: float, depth: int) -> float:
    """T_N, the integral of `s^{-2(N-1)/N}` from `start` to 1: the time to emerge, up to a factor.

    The factor is 1 / (lr alpha^2 g) for a signal of constant strength g, and does not depend on N.

    Book: eq-growth-time
    """
    if not 0 < start < 1:
        raise ValueError(f"start must lie in (0, 1), not {start}.")
    if not 1 <= depth < math.inf:
        raise ValueError(f"depth must be at least 1, not {depth}.")
    if depth == 2:
        return -math.log(start)
    exponent = 1 - 2 / depth
    return (start**-exponent - 1) / exponent


def final_singular_value(gain: float, start: float, depth: int, alpha: float = 1.0) -> float:
    """X with `x (gain + (N / alpha^2)(x^{2/N} - start^{2/N})) = 1`: where a fitted mode of W_e ends.

    `gain` is the squared norm that the encoder's (and the decoder's) start gives the mode.

    Book: eq-final-size
    """

    if not (gain > 0 and alpha > 0 and 1 <= depth < math.inf):
        raise ValueError(f"gain and alpha must be above 0 and depth at least 1, not {gain}, {alpha} and {depth}.")
    if not 0 < start * gain < 1:
        raise ValueError(f"start must lie between 0 and 1 / gain ({1 / gain:g}), or nothing grows, not {start}.")

    def excess(x: float) -> float:
        return x * (gain + depth / alpha**2 * (x ** (2 / depth) - start ** (2 / depth))) - 1

    return brentq(excess, start, max(1 / gain, 1.0) + 1.0)
