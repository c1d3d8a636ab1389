"""Numbers that the prose of chapter 3 needs and no single group of runs gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from implicit_rank.experiments.known_dimension.measures import MEASURES
from implicit_rank.experiments.known_dimension.prices import prices
from implicit_rank.store import Record, filter_records

Groups = Mapping[str, Sequence[Record]]
BySeed = dict[int, float] | None  # None: not run yet


def price(groups: Groups, unknown: str) -> float:
    """The price of not knowing a factor of the images that the stored runs have (Chapter 3, eq. price)."""
    return prices("shapes-ours", 16)[unknown]


def swept(groups: Groups, penalty: str, coefficient: float, measure: str = "rank_covariance") -> BySeed:
    """A measure of the plain autoencoder with a penalty "l1" or "l2" on its codes, by seed."""
    return _by_seed(filter_records(groups["unchained"], **{penalty: coefficient}), measure)


def drawn(groups: Groups, rules: str, depth: int, measure: str = "rank_covariance") -> BySeed:
    """A measure of autoencoders of shapes that the rules "paper" or "official" draw, by seed."""
    return _by_seed(filter_records(groups["rules"], data=f"shapes-{rules}", depth=depth), measure)


def _by_seed(records: Sequence[Record], measure: str) -> BySeed:
    return {record.seed: MEASURES[measure](record) for record in records} or None
