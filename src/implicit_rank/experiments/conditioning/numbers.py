"""Numbers that the prose of chapter 10 needs and no single measure gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from implicit_rank.data import second_moments
from implicit_rank.experiments.conditioning.pace import MEASURES
from implicit_rank.store import Record

Groups = Mapping[str, Sequence[Record]]


def exponent(groups: Groups, name: str) -> float | None:
    """The power of k that a condition number follows at equal gaps, fitted to logarithms; None without two widths."""
    records = groups["equal_gaps"]
    if len({record.spec["k"] for record in records}) < 2:
        return None
    points = np.log([[record.spec["k"], record.scalars[name]] for record in records])
    return float(np.polyfit(*points.T, 1)[0])


def pace_exponent(groups: Groups, model: str, measure: str) -> float | None:
    """The power of k that a model's median over seeds follows in the race where it is finite; None below 3 widths."""
    widths: dict[int, list[float]] = {}
    for record in groups["race"]:
        if record.spec["model"] == model:
            widths.setdefault(record.spec["k"], []).append(MEASURES[measure](record))
    medians = {k: float(np.median(values)) for k, values in widths.items()}
    points = np.log([[k, value] for k, value in medians.items() if np.isfinite(value)])
    return float(np.polyfit(*points.T, 1)[0]) if len(points) > 2 else None


def narrowest_gap(groups: Groups) -> float:
    """The smallest gap between the 20 largest eigenvalues of Figure 4's data."""
    return -second_moments("synthetic-official", width=1000).eigenvalues[:20].diff().max().item()
