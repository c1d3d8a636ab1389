"""The two-stage method of Sun 2021 (3.2): find the rank with N layers, go on with two layers of that inner width."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from implicit_rank.autoencoder import Autoencoder
from implicit_rank.chain import LinearChain
from implicit_rank.train.history import History
from implicit_rank.train.loop import CheckpointFile, Progress, train
from implicit_rank.train.measure import measure
from implicit_rank.train.rules import StableRank
from implicit_rank.train.settings import Member, Settings


@dataclass(frozen=True)
class TwoStages:
    """What the method did: both histories, the ranks, and the errors right before and after the switch.

    `ranks` (m,); `models` are those of the second stage; `error_before` and `error_after` (m,) are measured on
    the evaluation images. A member that diverged in the first stage is not taken on: rank 0, model None.
    """

    first: History
    second: History | None
    models: list[Autoencoder | None]
    ranks: np.ndarray
    error_before: np.ndarray
    error_after: np.ndarray


def switched(model: Autoencoder, rank: int) -> Autoencoder:
    """A copy of `model` whose chain is two layers of inner width `rank`, from the truncated SVD of W_e.

    Book: eq-switch
    """
    if not isinstance(model.chain, LinearChain):
        raise ValueError("only a model with a linear chain can be switched to two layers.")
    twin = copy.deepcopy(model)
    twin.chain = LinearChain.from_matrix(model.chain.effective_matrix().detach(), rank)
    return twin


def train_two_stages(
    models: Sequence[Autoencoder],
    members: Sequence[Member],
    images: Tensor,
    settings: Settings,
    *,
    second: Settings | None = None,
    rule: StableRank | None = None,
    evaluation: Tensor | None = None,
    device: torch.device | str = "cpu",
    checkpoints: Callable[[str], CheckpointFile] | None = None,
    progress: Progress | None = None,
) -> TwoStages:
    """Train until the rank has settled, replace N layers by two of that inner width, and go on: per member.

    `settings` is the first stage, at most `settings.epochs` long; `second` the other (default: what remains of
    these epochs after the last member has settled). `rule` says when a rank has settled and which rank counts.
    The second stage starts with fresh optimisers and alpha = 1, a point the paper leaves open.
    `checkpoints(stage)` gives the file of the stage "first" or "second".
    """
    rule = rule or StableRank()
    options = {"evaluation": evaluation, "device": device, "progress": progress}
    place = checkpoints or (lambda stage: None)
    first = train(models, members, images, settings, rules=[rule], checkpoints=place("first"), **options)
    looked_at = (images if evaluation is None else evaluation)[: settings.evaluate].to(device)
    count = len(models)
    ranks, before, after = np.zeros(count, np.int64), np.full(count, np.nan), np.full(count, np.nan)
    twins: list[Autoencoder | None] = [None] * count
    for i in range(count):
        if first.diverged(i):
            continue
        ranks[i] = int(first.last(f"rank_{rule.of}", i))
        twins[i] = switched(models[i], int(ranks[i]))
        before[i] = measure(models[i], looked_at, settings.threshold)["error"]
        after[i] = measure(twins[i], looked_at, settings.threshold)["error"]
    alive = [i for i in range(count) if twins[i] is not None]
    if second is None:
        spent = int(np.ceil(first.epochs[-1]))
        second = replace(settings, epochs=max(settings.epochs - spent, 0), steps=None)
    if not alive:
        return TwoStages(first, None, twins, ranks, before, after)
    later = [replace(members[i], divide_lr=False) for i in alive]
    history = train([twins[i] for i in alive], later, images, second, checkpoints=place("second"), **options)
    return TwoStages(first, history, twins, ranks, before, after)
