"""Numbers that the prose of chapter 10 needs and no single measure gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from implicit_rank.store import Record

Groups = Mapping[str, Sequence[Record]]


def exponent(groups: Groups, name: str) -> float | None:
    """The power of k that a condition number follows at equal gaps, fitted to logarithms; None without two widths."""
    records = groups["equal_gaps"]
    if len({record.spec["k"] for record in records}) < 2:
        return None
    points = np.log([[record.spec["k"], record.scalars[name]] for record in records])
    return float(np.polyfit(*points.T, 1)[0])
