"""What a probe classifier is: its protocol, its labelled images, and the errors measured on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from implicit_rank.evaluate.heads import HEADS
from implicit_rank.evaluate.subsets import balanced_subset, first_subset
from implicit_rank.parameters import Parameters, option


@dataclass(frozen=True)
class Protocol(Parameters):
    """How probes are trained (Adam, cross-entropy, shuffled batches) and when they are measured."""

    head: str = option("mlp", "Layers of the head", choices=tuple(HEADS))
    hidden: int = option(128, "Width of the head's hidden layers", least=1)
    epochs: int = option(500, "Passes over the labelled subset", least=1)
    batch: int = option(32, "Samples a step", least=1)
    lr: float = option(1e-3, "Adam's learning rate", above=0)
    every: int = option(10, "Epochs between two measurements", least=1)
    watch_test: bool = option(True, "Measure the test error on the way, not only at the end")
    unit_scale: bool = option(False, "Divide each member's codes by their standard deviation, one number")


# Sun 2021, 3.2: hidden width and how often the test accuracy is read are not stated there
SUN = Protocol(head="mlp", epochs=500, batch=32, lr=1e-3)
# the released code of Jing 2020: the test set chooses the epoch
JING = Protocol(head="official", epochs=500, batch=100, lr=1e-3)
# the same head, but the test set is read only for the end and for the epoch that a validation split chose
CLEAN = Protocol(head="official", epochs=500, batch=100, lr=1e-3, watch_test=False)


@dataclass(frozen=True)
class Probe:
    """One probe: whose codes, which labelled images `(n,)`, its seed, and which images choose its epoch, if any."""

    member: int
    subset: Tensor
    seed: int
    validation: Tensor | None = None


@dataclass(frozen=True)
class ProbeErrors:
    """Test errors (fractions, float64) of P probes; NaN where a protocol does not define them.

    `final` (P,) after the last epoch; `best` (P,) the least measured on the test set, hence optimistic; `chosen`
    (P,) at the epoch of least validation error, the earliest of equals. `epochs` (E,) were measured: `test` (P, E)
    and `validation` (P, E) are the curves.
    """

    final: Tensor
    best: Tensor
    chosen: Tensor
    epochs: Tensor
    test: Tensor
    validation: Tensor


def plan_probes(
    labels: Tensor,
    members: int,
    sizes: Sequence[int],
    draws: int = 1,
    *,
    seed: int = 0,
    subset: str = "balanced",
    validation: int = 0,
) -> list[Probe]:
    """A probe for every member, label size and draw, in this order: reshape results to (members, sizes, draws).

    `labels` `(n,)` of the training images. `subset` is "balanced" (`balanced_subset`) or "first"
    (`first_subset`, where draws differ by the head's start and order alone). `validation` images,
    class-balanced and outside the subset, are labels on top of those counted. Members share subsets and seeds, so
    that they are compared in pairs. Raises ValueError when labels do not suffice.
    """
    if subset not in ("balanced", "first"):
        raise ValueError(f"subset must be 'balanced' or 'first', not {subset!r}.")
    choices = []
    for size in sizes:
        for draw in range(draws):
            own = int(np.random.SeedSequence([seed, size, draw]).generate_state(1, np.uint64)[0] >> 1)
            generator = torch.Generator().manual_seed(own)
            chosen = first_subset(labels, size) if subset == "first" else balanced_subset(labels, size, generator)
            held_out = balanced_subset(labels, validation, generator, exclude=chosen) if validation else None
            choices.append((chosen, own, held_out))
    return [Probe(member, *choice) for member in range(members) for choice in choices]
