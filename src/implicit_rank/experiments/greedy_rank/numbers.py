"""Numbers that the prose of chapter 2 needs and no single measure gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from implicit_rank.experiments.greedy_rank.measures import emergence_order, final_rank, half_time
from implicit_rank.store import Record, filter_records
from implicit_rank.theory import greedy

Groups = Mapping[str, Sequence[Record]]


def waiting(groups: Groups, depth: int) -> float:
    """T_N of a direction that starts at 0.001 (Chapter 2, eq. growth-time)."""
    return greedy.growth_time(1e-3, depth)


def strictly_in_order(groups: Groups) -> int:
    """How many chains learn the directions of the data in the order of their strength without an exception."""
    return sum(int(emergence_order(record)) for record in groups["chains"])


def ranks_from(groups: Groups, scale: float) -> str | None:
    """The final ranks of W_e from a start of this scale, seed by seed; None where none was run."""
    found = filter_records(groups["scales"], scale=scale)
    return ", ".join(f"{final_rank(record, 'effective'):.0f}" for record in found) or None


def without_the_rule(groups: Groups, depth: int) -> str | None:
    """What becomes of chains whose rate is not divided by N: how many diverged, and half-times of the others."""
    found = filter_records(groups["undivided"], depth=depth)
    lost = sum(bool(record.scalars["stopped"]) for record in found)
    halves = [half_time(record) for record in found if not record.scalars["stopped"]]
    times = ", ".join(f"{steps:,.0f}" if math.isfinite(steps) else "never" for steps in halves)
    return f"{lost} of {len(found)} diverged" + (f", half-times {times}" if times else "") if found else None
