"""The parameters of chapter 5, the runs they ask for, and the ranks that theory predicts for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from implicit_rank.chain import LinearChain
from implicit_rank.experiments.ablations import experiment as ablations
from implicit_rank.experiments.ablations.experiment import VARIANTS, Ablations, family, presets, set_up, variant
from implicit_rank.experiments.kit.autoencoder_training import data as images_of
from implicit_rank.experiments.kit.chapter_data import balanced_sizes, checked_name, count_of
from implicit_rank.experiments.kit.result import Result
from implicit_rank.nets import STARTS
from implicit_rank.parameters import Parameters, option, resolve_device
from implicit_rank.spectra import singular_values
from implicit_rank.store import PROFILES, Record
from implicit_rank.theory.ablations import spectrum_behind


@dataclass(frozen=True)
class AblationsChapter(Parameters):
    """What a reader may change in chapter 5; None stands for the profile's own value."""

    profile: str = option("quick", "how much is run", choices=PROFILES)
    data: str | None = option(None, "images: mnist-12k, mnist, fashion, digits or folder:PATH")
    variants: tuple[str, ...] | None = option(None, "which models", choices=tuple(VARIANTS))
    depth: int | None = option(None, "linear maps N", least=1, most=64)
    code_width: int = option(128, "width d of the codes", least=2)
    conv_start: str | None = option(None, "start of encoder and decoder", choices=STARTS)
    epochs: int | None = option(None, "passes over the data", least=1)
    lr: float | None = option(None, "learning rate", above=0)
    seeds: tuple[int, ...] | None = option(None, "one member a seed", least=0)
    device: str = option("cpu", "cpu, cuda or auto")

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "data", checked_name(self.data))

    def base(self) -> Ablations:
        """Return what all models share; FileNotFoundError, one sentence, where the images are not on this machine."""
        own = set_up(self.profile)
        given = {name: getattr(self, name) for name in ("data", "depth", "conv_start", "epochs", "lr")}
        base = replace(own, **{name: value for name, value in given.items() if value is not None})
        base = replace(base, code_width=self.code_width, count=count_of(own, base.data))
        labels = images_of(base.data, "train", base.count, base.size).labels
        return base if labels is None else replace(base, labels=balanced_sizes(base.labels, labels, base.data))

    def specs(self) -> list[Ablations]:
        """Return the members of the live run; all defaults give the profile's own."""
        base, own = self.base(), presets(self.profile)
        names = self.variants or tuple(dict.fromkeys(variant(spec.to_dict()) for spec in own))
        seeds = self.seeds or tuple(dict.fromkeys(spec.seed for spec in own))
        return family(base, names, seeds)

    def results(self) -> list[Result]:
        """Return what the members of the live run come to, in the order of their specs; trained group by group."""
        device, specs = str(resolve_device(self.device)), self.specs()
        groups = ablations.batches(specs, device=device)
        found = {result.spec: result for group in groups for result in ablations.run(group, device)}
        return [found[spec] for spec in specs]


def starting_values(depth: int, width: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return the singular values ``(width,)`` of W_e at the start, by kind of chain (the first draw of a seed)."""
    names = ("full", "shared", "pairs", "transpose", "large")
    options = {
        name: {"sharing": VARIANTS[name].get("sharing"), "init": VARIANTS[name].get("init", "default")}
        for name in names
    }
    return {
        name: singular_values(
            LinearChain(width, depth, generator=torch.Generator().manual_seed(seed), **own).effective_matrix()
        ).numpy()
        for name, own in options.items()
    }


def predicted_spectra(records: Sequence[Record]) -> dict[str, np.ndarray]:
    """Return the predicted code spectrum ``(d,)`` of each frozen variant: its maps behind the plain model's features.

    Mean over the seeds that have both; variants without such a seed are left out. Maps frozen after training are the
    full model's, whose singular values are taken.
    """
    by_name: dict[str, dict[int, Record]] = {}
    for record in records:
        if "spectrum_features" in record.arrays:
            by_name.setdefault(variant(record.spec), {})[record.seed] = record
    plain = by_name.get("ae", {})
    sources = {
        "frozen": ("frozen", "singular_effective"),
        "frozen trained": ("full", "singular_effective"),
        "large frozen": ("large frozen", "singular_effective"),
    }
    found = {}
    for name, (source, key) in sources.items():
        spectra = []
        for seed, record in by_name.get(source, {}).items():
            if seed in plain:
                maps = torch.from_numpy(np.asarray(record.arrays[key], np.float64))
                features = torch.from_numpy(np.asarray(plain[seed].arrays["spectrum_features"], np.float64))
                features = torch.cat([features, features.new_zeros(len(maps) - len(features))])  # test images were few
                values = spectrum_behind(maps, features.clamp_min(0), torch.Generator().manual_seed(seed))
                spectra.append((values / values[0]).numpy())
        if spectra:
            found[name] = np.mean(spectra, axis=0)
    return found
