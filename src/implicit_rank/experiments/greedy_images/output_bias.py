"""The bias of the decoder's last layer: what PyTorch draws, and how long Adam needs to undo it. Nobody printed this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from implicit_rank.experiments.greedy_images.measures import epochs_above
from implicit_rank.experiments.kit.autoencoder_training import model_of
from implicit_rank.experiments.register import experiment
from implicit_rank.store import Record, filter_records

SHAPES = {"cifar10": (3, 32, 32)}  # of images; any other set here is grey


def drawn(record: Record) -> list[float]:
    """The output bias that a run started from, one number a channel: its model is drawn once more from its seed."""
    spec = experiment(record.experiment).spec.from_dict(record.spec)
    return model_of(spec, SHAPES.get(spec.data, (1, 32, 32))).decoder[-2].bias.tolist()


def least_epochs(bias: float, lr: float, steps_per_epoch: float) -> float:
    """How long Adam needs to bring a bias to 0 if every step moves it by the whole learning rate.

    Book: eq-output-bias
    """
    return abs(bias) / (lr * steps_per_epoch)


def beside(records: Sequence[Record]) -> Mapping[int, tuple[float, float, float]]:
    """By seed: the bias drawn, and for how many epochs the error stays above 0.05 from it and from 0."""
    found = {}
    for record in filter_records(records, conv_start="default"):
        for twin in filter_records(records, conv_start="zero-output-bias", seed=record.seed):
            found[record.seed] = (drawn(record)[0], epochs_above(record), epochs_above(twin))
    return dict(sorted(found.items()))
