"""What theory predicts for the runs of chapter 5: where their chains start, and the spectra behind frozen maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from implicit_rank.chain import LinearChain
from implicit_rank.experiments.ablations.experiment import VARIANTS, variant
from implicit_rank.spectra import singular_values
from implicit_rank.store import Record
from implicit_rank.theory.ablations import expected_spectrum_behind

SOURCES = {"frozen": "frozen", "frozen trained": "full", "large frozen": "large frozen"}  # whose maps stay as they are


def starting_values(depth: int, width: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The singular values `(width,)` of W_e at the start, by kind of chain (the first draw of a seed)."""
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
    """The predicted code spectrum `(d,)` of each frozen variant: its maps behind the plain model's features.

    Mean over the seeds that have both; variants without such a seed are left out. Maps frozen after training are the
    full model's, whose singular values are taken.
    """
    by_name: dict[str, dict[int, Record]] = {}
    for record in records:
        if "spectrum_features" in record.arrays:
            by_name.setdefault(variant(record.spec), {})[record.seed] = record
    plain, found = by_name.get("ae", {}), {}
    for name, source in SOURCES.items():
        seeds = [seed for seed in by_name.get(source, {}) if seed in plain]
        if seeds:
            maps = [_float64(by_name[source][seed].arrays["singular_effective"]) for seed in seeds]
            features = [_float64(plain[seed].arrays["spectrum_features"]) for seed in seeds]
            found[name] = expected_spectrum_behind(maps, features, seeds).numpy()
    return found


def _float64(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.float64))
