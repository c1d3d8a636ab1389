"""The parameters of chapter 12, and the runs they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from implicit_rank.data.archives import find_archive
from implicit_rank.experiments.recovery.experiment import DATA, Recovery, figure_2
from implicit_rank.experiments.recovery.settings import best_rate, is_synthetic, paper_rate
from implicit_rank.linear.optimisers import OPTIMISERS
from implicit_rank.linear.regularised import MODELS
from implicit_rank.parameters import LARGEST_SEED, ParameterError, Parameters, option, unknown_name
from implicit_rank.store import PROFILES, Record
from implicit_rank.tree import absolute_folder

SIZES = {  # data, k, steps, seeds of the live run
    "smoke": ("digits", 4, 200, (0,)),
    "quick": ("digits", 10, 3000, (0, 1)),
    "paper": ("mnist", 20, 30_000, (0, 1, 2)),
}


@dataclass(frozen=True)
class RecoveryChapter(Parameters):
    """What a reader may change in chapter 12; None stands for the profile's own value."""

    profile: str = option("quick", "how much is run", choices=PROFILES)
    data: str | None = option(None, "mnist, digits, synthetic-paper, synthetic-official or folder:PATH")
    k: int | None = option(None, "latent width", least=1)
    models: tuple[str, ...] = option(MODELS, "which autoencoders", choices=MODELS)
    optimisers: tuple[str, ...] = option(("nesterov", "adam"), "which optimisers", choices=tuple(OPTIMISERS))
    lr: float | str = option("paper", "'paper', 'best' or a number", above=0, choices=("paper", "best"))
    steps: int | None = option(None, "full-batch steps", least=1)
    seeds: tuple[int, ...] | None = option(None, "one member a seed", least=0, most=LARGEST_SEED)
    penalties: tuple[float, ...] | str = option(
        "paper", "'paper', 'admissible', 'linear' or a list", above=0, choices=("paper", "admissible", "linear")
    )
    prior: tuple[float, ...] | str = option(
        "paper", "'paper', 'uniform' or a list", above=0, choices=("paper", "uniform")
    )
    device: str = option("cpu", "cpu, cuda or auto")
    dtype: str = option("float64", "precision of the weights", choices=("float64", "float32"))

    def __post_init__(self):
        super().__post_init__()
        if self.data is not None and self.data not in DATA and not self.data.startswith("folder:"):
            raise ParameterError(unknown_name("data", self.data, [*DATA, "folder:PATH"]))
        object.__setattr__(self, "data", None if self.data is None else absolute_folder(self.data))

    def specs(self) -> list[Recovery]:
        """The members of the live run; all defaults give the profile's own runs, so stored ones fit."""
        data, k, steps, seeds = SIZES[self.profile]
        base = Recovery(
            profile=self.profile,
            data=self.data or data,
            k=self.k or k,
            steps=self.steps or steps,
            prior=self.prior,
            dtype=self.dtype,
            images=not is_synthetic(self.data or data),
        )
        return [
            replace(
                base,
                model=model,
                optimiser=optimiser,
                seed=seed,
                lr=self._rate(base, model, optimiser),
                penalties=self.penalties,
                mask_batch=256 if model == "nested_dropout" and base.data == "mnist" else 0,
            )
            for optimiser in self.optimisers
            for model in self.models
            for seed in (self.seeds or seeds)
        ]

    def _rate(self, base: Recovery, model: str, optimiser: str) -> float | str:
        if self.lr != "best":
            return self.lr
        best = best_rate(base.data, model, optimiser)
        return best or paper_rate(base.data, model, optimiser, base.k)


def without_missing_samples(specs: Sequence[Recovery]) -> tuple[list[Recovery], str]:
    """The members that can run on this machine, and a sentence on those that cannot (or an empty one)."""
    there = find_archive("train-images-idx3-ubyte.gz") is not None
    kept = [s for s in specs if there or s.data != "mnist" or not (s.model == "nested_dropout" or s.batch)]
    if len(kept) == len(specs):
        return kept, ""
    return kept, (
        "Stochastic nested dropout is left out of the live run: its noise needs MNIST's images, which are not on this "
        "machine (every other model needs only the second moments in the package)."
    )


def with_images(live: Sequence[Record]) -> list[Record]:
    """The runs that kept pictures: with Nesterov momentum, or with whatever there is; none on synthetic data."""
    kept = [record for record in live if "axes" in record.arrays]
    return [record for record in kept if record.spec["optimiser"] == "nesterov"] or kept


def small_mnist(profile: str) -> list[Recovery]:
    """Short live runs on MNIST's exact moments: the first steps of Figure 2, without a download."""
    steps = {"smoke": 20, "quick": 500, "paper": 1000}[profile]
    return [
        replace(spec, profile=profile, steps=steps, images=False)
        for spec in figure_2("quick", (0,), "mnist", 20)
        if spec.model != "nested_dropout"
        and spec.penalties == "paper"
        and (spec.optimiser == "nesterov" or spec.model in ("deterministic_nested_dropout", "rag"))
    ]


def small_scaling(profile: str) -> list[Recovery]:
    """A live Figure 4 in small: 100 inputs instead of 1,000 and 2,000 steps instead of 50,000."""
    widths = (2, 4) if profile == "smoke" else (2, 5, 10, 20)
    base = Recovery(
        profile=profile, data="synthetic-official", width=100, steps=100 if profile == "smoke" else 2000, stop_at=0.3
    )
    return [
        replace(base, model=model, optimiser=optimiser, k=k)
        for model in ("rag", "deterministic_nested_dropout", "nonuniform_l2")
        for optimiser in ("nesterov", "adam")
        for k in widths
    ]


def small_batches(profile: str) -> list[Recovery]:
    """Live runs on the digits with full batches and with mini-batches (Bao 2020, App. I.2)."""
    base = Recovery(profile=profile, data="digits", k=10, steps=100 if profile == "smoke" else 1000)
    return [
        replace(base, model=model, batch=batch)
        for model in ("rag", "deterministic_nested_dropout", "nested_dropout")
        for batch in (0, 256)
    ]
