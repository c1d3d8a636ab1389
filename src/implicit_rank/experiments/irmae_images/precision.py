"""What bfloat16 products change: AE and IRMAE of chapter 4 once more, weights and measurements in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.irmae_images.experiment import (
    MEASURES,
    IrmaeImages,
    batches,
    cost,
    estimate,
    model_of,
    reduced,
    run,
    size,
)
from implicit_rank.experiments.kit.run_ranks import at_common_error
from implicit_rank.experiments.register import Experiment
from implicit_rank.store import Record, filter_records

__all__ = ["MEASURES", "IrmaePrecision", "batches", "cost", "estimate", "presets", "run", "size"]


@dataclass(frozen=True)
class IrmaePrecision(IrmaeImages):
    """The twin of a member of `irmae_images`: same start, same order of images, products in bfloat16."""

    experiment: ClassVar[str] = "irmae_images_precision"


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[IrmaePrecision]:
    """AE and IRMAE with eight maps (two below "paper"), seed by seed; samplers and probes in small."""
    shared = vars(reduced(profile)) | {"precision": "bfloat16", "samples": 64, "labels": (10,), "draws": 1}
    base = IrmaePrecision(**shared | {"probe_steps": 20})
    models = [model_of(base, name, depth=8 if profile == "paper" else 2) for name in ("ae", "irmae")]
    seeds = seeds or ((0, 1, 2) if profile == "paper" else (0,))
    return [replace(spec, seed=seed) for seed in seeds for spec in models]


def twins_of(twins: Sequence[Record], originals: Sequence[Record]) -> list[tuple[Record, Record]]:
    """The pairs of a run in float32 and its twin with bfloat16 products; twins without such a run are left out."""
    pairs = []
    for twin in twins:
        same = filter_records(originals, kind="ae", depth=twin.spec["depth"], seed=twin.seed, supervised=False)
        pairs += [(original, twin) for original in same[:1]]
    return pairs


def ranks_of_twins(pair: tuple[Record, Record]) -> list[float]:
    """The ranks of two twins where both first have the same error."""
    return at_common_error(pair)


EXPERIMENT = Experiment(
    IrmaePrecision, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size
)
