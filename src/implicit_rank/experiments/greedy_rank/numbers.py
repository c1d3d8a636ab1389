"""Numbers that the prose of chapter 2 needs and no single measure gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from implicit_rank.experiments.greedy_rank.measures import emergence_order, final_rank, half_time
from implicit_rank.store import Record, filter_records
from implicit_rank.theory import alignment, greedy, visibility

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


def gain_at(groups: Groups, size: float, depth: int, alpha: float) -> float:
    """The product of the outer gains when the chain has grown from 0.001 to `size`, from 1.28 at the start."""
    return 1.28 + depth / alpha**2 * (size ** (2 / depth) - 1e-3 ** (2 / depth))


def quickening(groups: Groups, depth: int, slow: float, fast: float) -> float:
    """How much sooner a direction reaches a tenth at alpha `fast` than at `slow`, by the clock (eq. clock)."""
    times = [greedy.growth_time(1e-3, depth, alpha=alpha, gain=1.28, level=0.1) for alpha in (slow, fast)]
    return times[0] / times[1]


def delay(groups: Groups, depth: int) -> float:
    """The factor by which a direction without overlap is late (eq. delay)."""
    return alignment.alignment_delay(depth)


def threshold(groups: Groups) -> float:
    """Gavish and Donoho's threshold for 64 x 256 data, in units of the noise."""
    return visibility.gavish_donoho_threshold((64, 256), 1.0)


def edge(groups: Groups) -> float:
    """The edge of the noise in 64 x 256 data, in units of the noise."""
    return visibility.bbp_edge((64, 256), 1.0)


def limit(groups: Groups) -> float:
    """The weakest signal that can be detected in 64 x 256 data, in units of the noise."""
    return visibility.detection_limit((64, 256), 1.0)
