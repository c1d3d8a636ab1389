"""How far a whole run is, told by its parts as they go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from implicit_rank.experiments.kit.result import Progress


def weighted(
    parts: Sequence[Sequence[Any]], cost: Callable[[Any], float], progress: Progress | None
) -> Iterator[tuple[Sequence[Any], Progress]]:
    """Each part of a run and the function by which it reports its own share from 0 to 1 and a text.

    What reaches `progress` is the share of the whole run, the parts weighted by the `cost` of their members.
    """
    weights = [sum(map(cost, part)) for part in parts]
    total, done = sum(weights) or 1.0, 0.0
    for part, weight in zip(parts, weights, strict=True):

        def report(share: float, text: str = "", weight=weight, done=done) -> None:
            if progress is not None:
                progress((done + weight * share) / total, text)

        yield part, report
        done += weight
