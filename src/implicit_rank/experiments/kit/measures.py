"""Measures that read what a run has stored, and the one rule for what it has not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from implicit_rank.store import Record

Measure = Callable[[Record], float]


def scalar(name: str, unless: str | None = None) -> Measure:
    """The measure that reads a stored number; NaN where a run has none (or None), or where its scalar `unless` is true.

    So a number at the end of a training that diverged is none, whatever was stored.
    """

    def read(record: Record) -> float:
        value = record.scalars.get(name)
        return math.nan if value is None or (unless and record.scalars.get(unless)) else float(value)

    return read


def scalars(names: Iterable[str], unless: str | None = None) -> dict[str, Measure]:
    """The measures of several stored numbers, by their names."""
    return {name: scalar(name, unless) for name in names}
