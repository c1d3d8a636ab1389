"""Numbers that the prose of chapter 4 needs and no single measure gives."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from implicit_rank.experiments.irmae_images.measures import MEASURES
from implicit_rank.experiments.irmae_images.precision import ranks_of_twins, twins_of
from implicit_rank.experiments.kit.run_ranks import at_common_error
from implicit_rank.store import Record

Groups = Mapping[str, Sequence[Record]]


def equal_rank(groups: Groups, name: str, beside: str) -> float | None:
    """The mean rank of one group's runs where they and the other group's of the same seed first have the same error.

    None where the groups share no seed.
    """
    ranks = [
        at_common_error([record, other])[0]
        for record in groups[name]
        for other in groups[beside]
        if other.seed == record.seed
    ]
    return statistics.fmean(ranks) if ranks else None


def twins_apart(groups: Groups) -> float | None:
    """How far apart the ranks of two twins are at most, where both first have the same error; None without a pair."""
    pairs = twins_of(groups["twins"], groups["usual"])
    return max((abs(exact - rounded) for exact, rounded in map(ranks_of_twins, pairs)), default=None)


def twins_ahead(groups: Groups) -> int:
    """How many of the eight-map twins with bfloat16 products end at a lower error than those without."""
    error = MEASURES["test_error"]
    return sum(error(rounded) < error(exact) for exact, rounded in twins_of(groups["twins_of_eight"], groups["usual"]))
