"""Jing 2020, 4.1, at its own size: the whole net, 32 x 32 pixels, 100 epochs at the released code's learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.data.load import SHAPES
from implicit_rank.experiments.kit.autoencoder_run import cost, estimate, size
from implicit_rank.experiments.known_dimension.experiment import KnownDimension, batches, figure_2, run
from implicit_rank.experiments.known_dimension.measures import MEASURES
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option

__all__ = ["MEASURES", "KnownDimensionFull", "batches", "cost", "estimate", "presets", "run", "size"]


@dataclass(frozen=True)
class KnownDimensionFull(KnownDimension):
    """One autoencoder of shapes in the set-up of paper and released code."""

    experiment: ClassVar[str] = "known_dimension_full"

    data: str = option("shapes-official", "rules that draw the shapes", choices=tuple(SHAPES))
    size: int = option(32, "pixels on a side; 0 for 32", least=0)
    channel_factor: float = option(1.0, "width of the net relative to the paper's", above=0)
    conv_start: str = option("default", "start of encoder and decoder", choices=("default", "he"))
    epochs: int = option(100, "passes over the images", least=0)
    lr: float = option(1e-4, "learning rate", above=0)
    log_per_epoch: int = option(1, "log entries in an epoch", least=1)
    shuffle: bool = option(False, "a new order of the images every epoch (the released code has none)")


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[KnownDimensionFull]:
    """The five models of Figure 2 as released, and at profile paper the text's net and data besides."""
    if profile != "paper":
        count = {"smoke": 64, "quick": 3200}[profile]
        base = KnownDimensionFull(profile=profile, epochs=1, count=count, evaluate=200, regression=60)
        return [replace(base, depth=2, seed=seed) for seed in seeds or (0,)]
    released = KnownDimensionFull(profile="paper")
    text = replace(released, data="shapes-paper", architecture="shapes-paper", shuffle=True)
    models = [*figure_2(released), *figure_2(text)]
    return [replace(spec, seed=seed) for seed in seeds or (0, 1, 2) for spec in models]


EXPERIMENT = Experiment(
    KnownDimensionFull, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size
)
