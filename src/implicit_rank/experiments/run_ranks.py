"""Ranks read off a run: by a threshold, and at equal error, since a deeper chain is also a slower one."""

from __future__ import annotations

import math

import numpy as np

from implicit_rank.spectra import numerical_rank
from implicit_rank.store import Record


def count_above(singular_values: np.ndarray, threshold: float = 0.01) -> int:
    """Return how many stored values ``(k,)`` exceed ``threshold`` times the largest (:func:`numerical_rank`)."""
    return int(numerical_rank(np.array(singular_values), threshold))  # a copy: stored arrays cannot be written to


def at_error(record: Record, error: float, course: str = "rank_covariance", *, from_start: bool = False) -> float:
    """Return a stored course where the test error first falls to ``error``, on a line in its logarithm between entries.

    NaN when it never does, and when it does before the first entry after the start: the rank of a start, when nothing
    is learned yet, has no part in it. ``from_start`` lets the start count, for courses that mean something there.

    Book: eq-rank-at-error, eq-equal-error
    """
    if "error" not in record.arrays:
        return math.nan
    errors, values = np.asarray(record.arrays["error"], float), np.asarray(record.arrays[course], float)
    below = np.flatnonzero(errors <= error)
    if not len(below) or (below[0] <= 1 and not from_start):
        return math.nan
    i = int(below[0])
    if i == 0:
        return float(values[0])
    share = math.log(errors[i - 1] / error) / math.log(errors[i - 1] / errors[i])
    return float(values[i - 1] + share * (values[i] - values[i - 1]))
