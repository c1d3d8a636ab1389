"""How long a direction of a flat start takes to turn towards the data before it grows.

A scaled orthogonal start has no direction of its own: `u^T W_e v` is the start's size times an overlap that is about
`1 / sqrt d` for random u and v. All that happens stays in the plane of v and of what the start maps to u.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq

from implicit_rank.parameters.numbers import whole


def residual_size(depth: int, overlap: float = 0.0) -> float:
    """What is left of the plane's second singular value, in units of the start, when the first has taken off (N > 1).

    It is `b^{N/2}` for the root b of `PV int_b^inf x^{-N/2} / (x - 1) dx = ln((1 + overlap) / (1 - overlap))`.
    Raises ValueError for an overlap that does not lie in (-1, 1).

    Book: eq-residual
    """
    if whole(depth) is None or depth < 2:
        raise ValueError(f"depth must be an integer of at least 2, not {depth!r}.")
    if not -1 < overlap < 1:
        raise ValueError(f"overlap must lie in (-1, 1), not {overlap}.")
    half, wanted = whole(depth) / 2, math.log((1 + overlap) / (1 - overlap))

    # over x = e^y, where the factor 1 / (x - 1) dx is y / (1 - e^{-y}) dy / y: what is left beside the pole is smooth
    def smooth(y: float) -> float:
        return math.exp(-half * y) * (y / -math.expm1(-y) if y else 1.0)

    def excess(w: float) -> float:  # for b = exp(-e^w)
        size = math.exp(w)
        around = quad(lambda y: (smooth(y) - smooth(-y)) / y if y else -2 * half + 1, 0, size, epsrel=1e-11)[0]
        # smooth(y) / y dy over y = e^w; at 50 / half nothing is left
        return around + quad(lambda v: smooth(math.exp(v)), w, max(w, math.log(50 / half)), epsrel=1e-11)[0] - wanted

    low = high = -math.log(half)
    while excess(low) < 0:
        low -= 1
    while excess(high) > 0:
        high += 1
    return math.exp(-half * math.exp(brentq(excess, low, high, xtol=1e-13)))


def alignment_delay(depth: int, overlap: float = 0.0) -> float:
    """By which factor a direction of a small flat start emerges later than one that is aligned from the start (N > 2).

    `residual_size^{-(1 - 2/N)}`, for outer gains that stand still and a start that goes to zero. For the overlap 0 it
    is 1.28 for N = 4 and tends to the Ramanujan-Soldner constant 1.4514, the zero of the logarithmic integral.

    Book: eq-delay
    """
    if whole(depth) is None or depth < 3:
        raise ValueError(
            f"depth must be an integer of at least 3, not {depth!r}: two layers are late by a time, not by a factor."
        )
    return residual_size(depth, overlap) ** -(1 - 2 / whole(depth))


def emergence_time(
    start: float,
    depth: int,
    gains: tuple[float, float],
    overlap: float = 0.0,
    *,
    alpha: float = 1.0,
    share: float = 0.5,
) -> float:
    """The time until a direction is fitted to `share` from a flat start, by its whole flow in the plane.

    Equation 5 for the plane's 2 x 2 part of W_e together with the encoder's and the decoder's vector, whose lengths at
    the start are `gains`; nothing is left to fit. Unit as in `theory.greedy`. Raises ValueError for what never emerges.

    Book: eq-plane
    """
    if whole(depth) is None or depth < 1:
        raise ValueError(f"depth must be an integer of at least 1, not {depth!r}.")
    encoder, decoder = gains
    if not (encoder > 0 and decoder > 0 and alpha > 0 and 0 < share < 1 and -1 < overlap < 1):
        raise ValueError(
            f"gains and alpha must be above 0, share in (0, 1) and overlap in (-1, 1), "
            f"not {gains}, {alpha}, {share} and {overlap}."
        )
    if not 0 < start * encoder * decoder < share:
        raise ValueError(f"start must lie between 0 and {share / encoder / decoder:g}, or it is there, not {start}.")
    sine = math.sqrt(1 - overlap**2)
    flat = start * np.array([[overlap, -sine], [sine, overlap]])

    def fitted(_, state: np.ndarray, *given) -> float:
        return state[6:] @ state[:4].reshape(2, 2) @ state[4:6] - share

    fitted.terminal = True
    begin = np.array([*flat.flat, encoder, 0.0, decoder, 0.0])
    # no direction waits longer than one that grows from its residual with the gains it has
    longest = 1e3 * (1 + start ** (2 / depth - 1)) / (alpha**2 * encoder * decoder) / (1 + overlap)
    flow = solve_ivp(
        _plane, (0, longest), begin, args=(depth, alpha), method="LSODA", rtol=1e-9, atol=1e-13, events=fitted
    )
    if not len(flow.t_events[0]):
        raise ValueError(f"the direction does not emerge within {longest:.3g} units of time.")
    return float(flow.t_events[0][0])


def _plane(_, state: np.ndarray, depth: int, alpha: float) -> np.ndarray:
    M, encoder, decoder = state[:4].reshape(2, 2), state[4:6], state[6:]
    U, s, Vh = np.linalg.svd(M)
    a, b = np.maximum(s, 1e-300) ** (2 / depth)
    powers = np.arange(depth)
    off = (a ** powers[::-1] * b**powers).sum()
    mu = np.array([[depth * a ** (depth - 1), off], [off, depth * b ** (depth - 1)]])
    miss = 1 - decoder @ M @ encoder
    move = alpha**2 / depth * U @ (mu * (U.T @ np.outer(decoder, encoder) @ Vh.T)) @ Vh
    return miss * np.concatenate([move.ravel(), M.T @ decoder, M @ encoder])
