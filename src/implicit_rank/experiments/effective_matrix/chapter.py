"""Chapter 1's parameters, the chains they ask for, and how far equation 2 is off about actual steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from implicit_rank.experiments.effective_matrix.effective_update import EffectiveUpdate, update_error
from implicit_rank.parameters import LARGEST_SEED, ParameterError, Parameters, option
from implicit_rank.theory import effective as theory


@dataclass(frozen=True)
class EffectiveMatrixChapter(Parameters):
    """What a reader may change in chapter 1."""

    profile: str = option("quick", "how much is run", choices=("smoke", "quick", "paper"))
    depths: tuple[int, ...] = option((1, 2, 3, 5, 8), "numbers N of linear layers", least=1, most=16)
    width: int = option(6, "width d of the chains", least=4, most=8)
    seeds: tuple[int, ...] = option((0, 1), "seeds", least=0, most=LARGEST_SEED)
    alpha: float = option(3.0, "re-parameterisation W = alpha What", least=0.1, most=4)

    def __post_init__(self):
        super().__post_init__()
        if max(self.depths[:2]) < 2:  # the profile smoke runs the first two
            raise ParameterError("depths must have a number above 1 among the first two: one layer changes nothing.")
        if 0 < abs(self.alpha - 1) < 0.01:
            raise ParameterError(f"alpha must be 1, or differ from it by 0.01 or more, not {self.alpha:g}.")

    def specs(self) -> list[EffectiveUpdate]:
        """The members of the chapter's live run; smoke keeps two depths and one seed."""
        small = self.profile == "smoke"
        depths, seeds = (self.depths[:2], self.seeds[:1]) if small else (self.depths, self.seeds)
        return [
            EffectiveUpdate(profile=self.profile, depth=depth, width=self.width, alpha=self.alpha, seed=seed)
            for depth in depths
            for seed in seeds
        ]

    def rounding(self, usual: float, at_most: float) -> float:
        """The rounding error that a check allows: `usual` for the chapter's own chains, `at_most` for a reader's.

        Long chains, and singular values that nearly coincide by chance of a seed, magnify it.
        """
        return usual if self == EffectiveMatrixChapter(profile=self.profile) else at_most

    def update_errors(self, step_sizes: Sequence[float]) -> dict[int, list[float]]:
        """The relative errors of equation 2 about one actual step of each size, by depth.

        The chains are balanced and have generic spectra.
        """
        generator = torch.Generator().manual_seed(self.seeds[0])
        errors = {}
        for depth in self.depths:
            W_e, gradient = torch.randn(2, self.width, self.width, generator=generator, dtype=torch.float64)
            layers = theory.balanced_chain(W_e, depth, generator)
            errors[depth] = [update_error(layers, gradient, size) for size in step_sizes]
        return errors
