"""Numbers that the prose of chapter 5 needs and no single measure gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from implicit_rank.experiments.ablations.experiment import Ablations
from implicit_rank.experiments.ablations.measures import MEASURES
from implicit_rank.experiments.ablations.predictions import predicted_spectra
from implicit_rank.experiments.kit.autoencoder_training import model_of
from implicit_rank.experiments.kit.run_ranks import at_error, count_above
from implicit_rank.store import Record

LEARNED = 0.045  # a test error to which no model comes that paints the mean image

Groups = Mapping[str, Sequence[Record]]


def predicted(groups: Groups, name: str) -> int | None:
    """The rank that is predicted for a frozen variant (Chapter 5, eq. frozen-spectrum)."""
    spectrum = predicted_spectra(groups["everything"]).get(name)
    return None if spectrum is None else count_above(spectrum)


def late(groups: Groups, measure: str) -> dict[int, float] | None:
    """A measure of the tanh chains that never leave the mean image, by seed."""
    return {record.seed: MEASURES[measure](record) for record in _late(groups)} or None


def late_seeds(groups: Groups) -> int | None:
    """How many tanh chains never leave the mean image."""
    return len(_late(groups)) if groups["tanh"] else None


def epochs_to(groups: Groups, name: str, error: float) -> dict[int, float] | None:
    """The epochs until a group's test error first comes down to `error`, by seed."""
    return {record.seed: at_error(record, error, "epochs", from_start=True) for record in groups[name]} or None


def output_biases(groups: Groups, name: str) -> dict[int, float] | None:
    """The bias that the decoder's last layer, of one channel, was drawn with in a group's runs, by seed."""
    decoders = {r.seed: model_of(Ablations(**r.spec), (1, 32, 32)).decoder for r in groups[name]}
    return {seed: decoder[-2].bias.item() for seed, decoder in decoders.items()} or None


def _late(groups: Groups) -> list[Record]:
    return [r for r in groups["tanh"] if not math.isfinite(at_error(r, LEARNED, "epochs", from_start=True))]
