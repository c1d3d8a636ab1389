"""When a direction emerges and how large it grows: laws for a chain at a bottleneck, beyond Sun 2021.

All follow from equation 5 on one direction of the data, with the chain's learning rate divided by N and times
alpha^2. Times are in the direction's own unit: of `nD / (2 lr S^2)` steps, for a singular value S of the n x D data.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq


def growth_time(
    start: float, depth: int, *, alpha: float = 1.0, gain: float | None = None, level: float = 1.0
) -> float:
    """The time that an aligned direction of W_e takes to grow from `start` to `level`, far from fitted.

    It is the integral of `1 / (alpha^2 s^{2(N-1)/N} g(s))` over s, with the outer gains' product
    `g(s) = gain + (N / alpha^2)(s^{2/N} - start^{2/N})` that gradient flow's conservation law ties to s. Without
    `gain` they are held still at g = 1, which leaves `T_N / alpha^2` in closed form, the limit of `gain` times the time
    for large `gain`. Raises ValueError for a start that does not lie in (0, level).

    Book: eq-growth-time, eq-clock
    """
    if not (0 < start < level < math.inf):
        raise ValueError(f"start must lie in (0, {level:g}), not {start}.")
    if not 1 <= depth < math.inf:
        raise ValueError(f"depth must be at least 1, not {depth}.")
    if not 0 < alpha < math.inf or not (gain is None or 0 < gain < math.inf):
        raise ValueError(f"gain and alpha must be above 0, not {gain} and {alpha}.")
    if gain is None:
        if depth == 2:
            return math.log(level / start) / alpha**2
        exponent = 1 - 2 / depth
        return (start**-exponent - level**-exponent) / exponent / alpha**2
    return _wait(start, level, depth, alpha, gain, saturating=False)


def fitting_time(start: float, depth: int, gain: float, *, alpha: float = 1.0, share: float = 0.5) -> float:
    """The time until an aligned direction is fitted to `share`, the signal's own decay included.

    `growth_time` up to where `s g(s) = share`, with the factor `1 - s g(s)` by which the signal falls on the way.
    Raises ValueError for a share that the start has already or that is never reached.

    Book: eq-fitting-time
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie in (0, 1), not {share}.")
    end = final_singular_value(gain, start, depth, alpha, share)
    return _wait(start, end, depth, alpha, gain, saturating=True)


def _wait(start: float, end: float, depth: int, alpha: float, gain: float, saturating: bool) -> float:
    def slowness(u: float) -> float:  # over u = ln s, where it is tame down to small starts
        s = math.exp(u)
        product = gain + depth / alpha**2 * (s ** (2 / depth) - start ** (2 / depth))
        signal = product * (1 - s * product) if saturating else product
        return math.exp(u * (2 / depth - 1)) / (alpha**2 * signal)

    return quad(slowness, math.log(start), math.log(end), epsrel=1e-10, limit=500)[0]


def final_singular_value(gain: float, start: float, depth: int, alpha: float = 1.0, share: float = 1.0) -> float:
    """X with `x (gain + (N / alpha^2)(x^{2/N} - start^{2/N})) = share`: where a mode of W_e fitted to `share` stands.

    `gain` is the squared norm that the encoder's (and the decoder's) start gives the mode; with the share 1, where it
    ends.

    Book: eq-final-size
    """

    if not (gain > 0 and alpha > 0 and 1 <= depth < math.inf):
        raise ValueError(f"gain and alpha must be above 0 and depth at least 1, not {gain}, {alpha} and {depth}.")
    if not 0 < start * gain < share:
        allowed = f"{'1' if share == 1 else f'{share:g}'} / gain ({share / gain:g})"
        raise ValueError(f"start must lie between 0 and {allowed}, or nothing grows, not {start}.")

    def excess(x: float) -> float:
        return x * (gain + depth / alpha**2 * (x ** (2 / depth) - start ** (2 / depth))) - share

    return brentq(excess, start, max(1 / gain, 1.0) + 1.0)


def exact_size(time: float | np.ndarray, start: float, depth: int, target: float = 1.0) -> float | np.ndarray:
    """The size of a direction at `time` between outer layers that stand still, for one and two layers in closed form.

    The solution of `ds/dt = s^{2(N-1)/N} (target - s)`: exponential relaxation for N = 1, the logistic curve of Saxe
    and others (2014) for N = 2. Same shape as `time`; ValueError for other depths.

    Book: eq-exact-one, eq-exact-two
    """
    if depth not in (1, 2):
        raise ValueError(f"depth must be 1 or 2, which have closed forms, not {depth}.")
    if not (0 < start < math.inf and 0 < target < math.inf):
        raise ValueError(f"start and target must be above 0, not {start} and {target}.")
    time = np.asarray(time, dtype=float)
    if depth == 1:
        return target - (target - start) * np.exp(-time)
    return target / (1 + (target / start - 1) * np.exp(-target * time))


def emergence_ratio(strengths: tuple[float, float], gains: tuple[float, float], delays: tuple[float, float]) -> float:
    """The limit, for starts that go to zero, of the second direction's emergence time over the first's, for N > 2.

    `delay_2 S_1^2 gain_1 / (delay_1 S_2^2 gain_2)`, with singular values S of the data, products of the outer gains at
    the start, and the delays of `alignment.alignment_delay` (1 for aligned directions).

    Book: eq-separation
    """
    (s1, s2), (g1, g2), (k1, k2) = strengths, gains, delays
    if not all(0 < value < math.inf for value in (s1, s2, g1, g2, k1, k2)):
        raise ValueError("strengths, gains and delays must be finite numbers above 0.")
    return k2 * s1**2 * g1 / (k1 * s2**2 * g2)
