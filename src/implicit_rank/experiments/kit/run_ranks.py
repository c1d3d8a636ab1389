"""Ranks read off a run: by a threshold, and at equal error, since a deeper chain is also a slower one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from implicit_rank.spectra import numerical_rank
from implicit_rank.store import Record


def count_above(singular_values: np.ndarray, threshold: float = 0.01) -> int:
    """How many stored values `(k,)` exceed `threshold` times the largest (`numerical_rank`)."""
    return int(numerical_rank(np.array(singular_values), threshold))  # a copy: stored arrays cannot be written to


def at_error(record: Record, error: float, course: str = "rank_covariance", *, from_start: bool = False) -> float:
    """A stored course where the test error first falls to `error`, on a line in its logarithm between entries.

    NaN when it never does, and when it does before the first entry after the start: the rank of a start, when nothing
    is learned yet, has no part in it. `from_start` lets the start count, for courses that mean something there.

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


def at_common_error(records: Sequence[Record], course: str = "rank_covariance") -> list[float]:
    """A stored course of several runs, each where it first reaches the largest of the least errors they reach.

    The run that came least far is read at its best, the others on their way there (`at_error`): no target is
    chosen by hand, and none is out of reach.

    Book: eq-common-error
    """
    if any("error" not in record.arrays for record in records):
        return [math.nan] * len(records)
    level = max(float(np.min(record.arrays["error"])) for record in records)
    return [at_error(record, level, course) for record in records]
