"""Numbers that the prose of chapter 12 needs and no single measure gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from implicit_rank.data import second_moments
from implicit_rank.experiments.recovery import settings
from implicit_rank.experiments.recovery.experiment import RATE_GRID
from implicit_rank.linear import regularised
from implicit_rank.spectra import random_rotation_axis_distance
from implicit_rank.store import Record

Groups = Mapping[str, Sequence[Record]]
LARGEST_STEP = 1.357  # times curvature: what Nesterov momentum of 0.9 bears


def null_distance(groups: Groups, width: int) -> float:
    """The expected d_align of a random rotation of the right subspace (Chapter 12, Proposition "Null value")."""
    return random_rotation_axis_distance(width)


def closest_gap(groups: Groups) -> float:
    """The smallest difference of neighbours among MNIST's 20 largest eigenvalues."""
    return -second_moments("mnist").eigenvalues[:20].diff().max().item()


def last_eigenvalue(groups: Groups) -> float:
    """MNIST's twentieth eigenvalue, which every penalty would have to stay below (Bao 2020, Theorem 2)."""
    return second_moments("mnist").eigenvalues[19].item()


def dead_units(groups: Groups) -> str:
    """The units that the official penalties kill on MNIST, counted from 1."""
    eigenvalues = second_moments("mnist").eigenvalues
    official = settings.penalties("paper", "nonuniform_l2", "mnist", eigenvalues, 20)
    return " and ".join(map(str, regularised.dead_units(official, eigenvalues)))


def rate_grid(groups: Groups, optimiser: str) -> str:
    """The learning rates that were tried with an optimiser."""
    return ", ".join(f"{rate:g}" for rate in RATE_GRID[optimiser])


def rate_gap(groups: Groups) -> float:
    """How far the published rate of the non-uniform model is below the stability limit on MNIST (curvature 4 s_1)."""
    largest = second_moments("mnist").eigenvalues[0].item()
    return LARGEST_STEP / (4 * largest) / settings.paper_rate("mnist", "nonuniform_l2", "nesterov", 20)


def draws_per_use(groups: Groups, unit: int) -> float:
    """How many draws of nested dropout's prior, p_b ~ 0.9^b, keep a unit once on average."""
    return 0.9 ** -(unit - 1)
