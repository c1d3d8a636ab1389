"""Chapter 10's parameters, and the spectra they ask for."""

from __future__ import annotations

from dataclasses import dataclass

from implicit_rank.experiments.conditioning.experiment import SPECTRA, Conditioning
from implicit_rank.parameters import LARGEST_SEED, Parameters, option


@dataclass(frozen=True)
class ConditioningChapter(Parameters):
    """What a reader may change in chapter 10."""

    profile: str = option("quick", "how much is run", choices=("smoke", "quick", "paper"))
    widths: tuple[int, ...] = option((2, 3, 4, 6, 8), "latent widths k", least=2, most=128)
    spectra: tuple[str, ...] = option(("equal", "random"), "shapes of the top k eigenvalues", choices=SPECTRA)
    eigenvalues: tuple[float, ...] = option((5.0, 4.0, 2.5, 1.5), "top k eigenvalues of the small example", above=0)
    seed: int = option(0, "seed of the random spectra", least=0, most=LARGEST_SEED)

    def specs(self) -> list[Conditioning]:
        """The members of the chapter's live run; smoke keeps widths up to 4, or the smallest."""
        small = [k for k in self.widths if k <= 4] or [min(self.widths)]
        widths = small if self.profile == "smoke" else self.widths
        return [
            Conditioning(profile=self.profile, spectrum=spectrum, k=k, seed=self.seed)
            for spectrum in self.spectra
            for k in widths
        ]
