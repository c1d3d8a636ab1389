"""Numbers that the prose of chapter 1 needs and no run gives: they follow from equation 5 alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from implicit_rank.store import Record
from implicit_rank.theory import effective as theory

Groups = Mapping[str, Sequence[Record]]


def share_of_speed(groups: Groups, size: float, depth: int) -> float:
    """The share mu_rr / mu_11 of the top speed that a direction of `size` times sigma_1 keeps (Sun 2021, eq. 5)."""
    mu = theory.coefficients(torch.tensor([1.0, size], dtype=torch.float64), depth)
    return (mu[1, 1] / mu[0, 0]).item()


def top_over_printed(groups: Groups, depth: int) -> float:
    """The top eigenvalue of P over the printed N sigma_1^2 where training starts, at sigma_1 = 0.001."""
    return theory.coefficients(torch.tensor([1e-3], dtype=torch.float64), depth)[0, 0].item() / (depth * 1e-6)
