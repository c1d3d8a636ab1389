"""The parameters of chapter 5, and the runs they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from implicit_rank.experiments.ablations.experiment import VARIANTS, Ablations, family, presets, set_up, variant
from implicit_rank.experiments.kit.autoencoder_training import data as images_of
from implicit_rank.experiments.kit.chapter_data import balanced_sizes, checked_name, count_of
from implicit_rank.nets import STARTS
from implicit_rank.parameters import LARGEST_SEED, Parameters, option
from implicit_rank.store import PROFILES, Record


@dataclass(frozen=True)
class AblationsChapter(Parameters):
    """What a reader may change in chapter 5; None stands for the profile's own value."""

    profile: str = option("quick", "how much is run", choices=PROFILES)
    data: str | None = option(None, "images: mnist-12k, mnist, fashion, digits or folder:PATH")
    variants: tuple[str, ...] | None = option(None, "which models", choices=tuple(VARIANTS))
    depth: int | None = option(None, "linear maps N", least=1, most=64)
    code_width: int = option(128, "width d of the codes", least=2, most=4096)
    conv_start: str = option("zero-output-bias", "start of encoder and decoder", choices=STARTS)
    epochs: int | None = option(None, "passes over the data", least=1)
    lr: float | None = option(None, "learning rate", above=0)
    seeds: tuple[int, ...] | None = option(None, "one member a seed", least=0, most=LARGEST_SEED)
    device: str = option("cpu", "cpu, cuda or auto")

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "data", checked_name(self.data))

    def base(self) -> Ablations:
        """What all models share; FileNotFoundError, one sentence, where the images are not on this machine."""
        own = set_up(self.profile)
        given = {name: getattr(self, name) for name in ("data", "depth", "conv_start", "epochs", "lr")}
        base = replace(own, **{name: value for name, value in given.items() if value is not None})
        base = replace(base, code_width=self.code_width, count=count_of(own, base.data))
        labels = images_of(base.data, "train", base.count, base.size).labels
        return base if labels is None else replace(base, labels=balanced_sizes(base.labels, labels, base.data))

    def specs(self) -> list[Ablations]:
        """The members of the live run; all defaults give the profile's own."""
        base, own = self.base(), presets(self.profile)
        names = self.variants or tuple(dict.fromkeys(variant(spec.to_dict()) for spec in own))
        seeds = self.seeds or tuple(dict.fromkeys(spec.seed for spec in own))
        return family(base, names, seeds)

    def models(self, live: Sequence[Record], *names: str) -> list[Record]:
        """The runs of the models of these names."""
        return [record for record in live if variant(record.spec) in names]

    def maps(self, live: Sequence[Record]) -> int:
        """The number of maps of the runs, or what was asked for, or four where none has any."""
        return max((record.spec["depth"] for record in live), default=0) or self.depth or 4
