"""The bias of the decoder's last layer: what PyTorch draws, what it costs, and how little of it Adam takes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from implicit_rank.autoencoder import Autoencoder
from implicit_rank.experiments.greedy_images.measures import epochs_above
from implicit_rank.experiments.kit.autoencoder_training import model_of
from implicit_rank.experiments.register import experiment
from implicit_rank.store import Record, filter_records

GREY = (1, 32, 32)


def drawn(record: Record) -> float:
    """The output bias that a run on grey images started from: its model is drawn once more from its seed."""
    spec = experiment(record.experiment).spec.from_dict(record.spec)
    return model_of(spec, GREY).decoder[-2].bias.item()


def share(model: Autoencoder, images: Tensor) -> float:
    """The part of the output bias in the first step of Adam on an error that is one for all pixels.

    `images` (b, c, h, w) in [0, 1]; the last layer has one output channel.

    Book: thm-output-bias
    """
    before_tanh = torch.nn.Sequential(*model.encoder, *model.decoder[:-1])
    mean = before_tanh(images).mean()
    gradients = torch.autograd.grad(mean, list(before_tanh.parameters()))
    return 1 / float(sum(gradient.abs().sum() for gradient in gradients))


def beside(records: Sequence[Record]) -> Mapping[int, tuple[float, float, float]]:
    """By seed: the bias drawn, and for how many epochs the error stays above 0.05 from it and from 0."""
    found = {}
    for record in filter_records(records, conv_start="default"):
        for twin in filter_records(records, conv_start="zero-output-bias", seed=record.seed):
            found[record.seed] = (drawn(record), epochs_above(record), epochs_above(twin))
    return dict(sorted(found.items()))
