"""Chapter 2's parameters, and the members of `implicit_rank.experiments.greedy_rank.deep_linear` they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from implicit_rank.experiments.greedy_rank.deep_linear import DeepLinear, grid, small, vanilla
from implicit_rank.parameters import LARGEST_SEED, Parameters, option
from implicit_rank.store import Record, filter_records


@dataclass(frozen=True)
class GreedyRankChapter(Parameters):
    """What a reader may change in chapter 2; None stands for the profile's own choice."""

    profile: str = option("quick", "how much is run", choices=("smoke", "quick", "paper"))
    data: str = option("synthetic", "what to encode", choices=("synthetic", "digits"))
    seeds: tuple[int, ...] | None = option(None, "seeds of data and weights", least=0, most=LARGEST_SEED)
    depths: tuple[int, ...] | None = option(None, "numbers N of layers in Figure 1", least=1, most=64)
    depth: int | None = option(None, "number N of layers looked at closely", least=1, most=64)
    alpha: float = option(2.0, "re-parameterisation W = alpha What of the chains looked at closely", above=0, most=100)
    init: str = option("orthogonal", "start of the chains looked at closely", choices=("orthogonal", "default", "he"))
    scale: float = option(0.001, "scale of the product at an orthogonal start", least=1e-6, below=1)
    steps: int | None = option(None, "full-batch gradient steps", least=1)
    rank_threshold: float = option(0.01, "share of the largest singular value that counts", above=0, below=1)
    device: str = option("cpu", "cpu, cuda or auto")

    def base(self, data: str | None = None) -> DeepLinear:
        """The set-up that all members share."""
        base = DeepLinear(profile="paper") if self.profile == "paper" else small(self.profile)
        chosen = data or self.data
        if chosen == "digits":
            latent = 64 if self.profile == "paper" else 24
            base = replace(base, data="digits", samples=1797, features=64, latent=latent)
        steps = base.steps if self.steps is None else self.steps
        return replace(base, scale=self.scale, steps=steps, rank_threshold=self.rank_threshold)

    def closely(self) -> int:
        """The depth looked at closely."""
        return self.depth or (4 if self.profile == "smoke" else 16)

    def figure_1(self) -> list[DeepLinear]:
        """The members of Figure 1: vanilla, standard and own starts over depths, one depth over alphas."""
        base = self.base()
        own = {"smoke": (2, 4), "quick": (4, 8, 16, 32), "paper": (2, 4, 8, 12, 16, 20, 24, 28, 32)}
        depths = self.depths or own[self.profile]
        seeds = self.seeds or {"smoke": (0,), "quick": (0, 1), "paper": (0, 1, 2)}[self.profile]
        alphas = sorted({1.0, self.alpha, *((1.5, 3.0) if self.profile != "smoke" else ())})
        members = [*vanilla(base, seeds), *grid(base, "default", depths, (1.0,), seeds)]
        members += grid(base, self.init, depths, (1.0, self.alpha), seeds)
        members += grid(base, self.init, (self.closely(),), alphas, seeds)
        return list(dict.fromkeys(members))

    def on_digits(self) -> list[DeepLinear]:
        """A vanilla member and one with a chain on scikit-learn's digits."""
        base = self.base("digits")
        return [*vanilla(base, (0,)), *grid(base, self.init, (self.closely(),), (self.alpha,), (0,))]

    def looked_at(self, live: Sequence[Record], alpha: float | None = None) -> list[Record]:
        """The runs of the depth looked at closely, one a seed."""
        alpha = self.alpha if alpha is None else alpha
        return filter_records(live, start=self.init, depth=self.closely(), alpha=alpha)

    def queues(self, live: Sequence[Record]) -> list[Record]:
        """The runs without a chain, and those of every depth at the alpha looked at closely."""
        return [r for r in live if r.spec["start"] == "none" or r.spec["alpha"] == self.alpha]

    def under_the_laws(self, live: Sequence[Record], *alphas: float) -> list[Record]:
        """The runs from the orthogonal start, of alpha 1 and 2 unless others are named."""
        return [r for r in filter_records(live, start="orthogonal") if r.spec["alpha"] in (alphas or (1.0, 2.0))]

    def three_kinds(self, live: Sequence[Record]) -> list[Record]:
        """The runs without a chain, of four layers from the standard start, and those looked at closely."""
        standard = filter_records(live, start="default", depth=4)
        return filter_records(live, start="none") + standard + self.looked_at(live)
