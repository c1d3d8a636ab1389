"""The training of what autoencoder specs describe: models, settings, stages, checkpoints; no measurement of a family.

A checkpoint belongs to the code of this module and what it reaches, so that a new measurement can be taken of
a member that was trained before.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from implicit_rank.autoencoder import Autoencoder, build
from implicit_rank.data.images import Images
from implicit_rank.data.load import load
from implicit_rank.experiments.kit.autoencoder_spec import AutoencoderSpec
from implicit_rank.experiments.kit.result import Progress
from implicit_rank.store.checkpoints import Checkpoints, checkpoint_of
from implicit_rank.train import History, Member, Settings, StableRank, TargetError, train
from implicit_rank.train.randomness import generator
from implicit_rank.train.stages import train_two_stages
from implicit_rank.tree import folder_state, printable

_WEIGHTS = 3  # the word that sets a model's random stream apart from those of order and noise


def data(name: str, split: str, count: int, size: int) -> Images:
    """A split of a data set; 0 stands for "all" and "its own". ValueError when it has a single image."""
    return _data(name, split, count, size, folder_state(name))


@functools.lru_cache(maxsize=4)
def _data(name: str, split: str, count: int, size: int, state: str) -> Images:
    found = load(name, split, size=size or None, count=count or None)
    if found.n < 2:
        raise ValueError(
            f"{printable(name)} gives one {split} image, and a training needs two of either split: in a folder without "
            "sub-folders train and test each fifth image is a test image, so it must hold ten."
        )
    return found


def model_of(spec: AutoencoderSpec, image_shape: tuple[int, int, int]) -> Autoencoder:
    """A member's model at its start, drawn from its seed alone."""
    dtype = torch.float64 if spec.precision == "float64" else torch.float32
    chain = {"init": spec.init, "scale": spec.scale, "alpha": spec.alpha, "frozen": spec.frozen == "start"}
    chain |= {"sharing": _or_none(spec.sharing), "activation": _or_none(spec.activation), "inner": spec.inner or None}
    net = {"channel_factor": spec.channel_factor, "start": spec.conv_start, "dtype": dtype}
    net |= {"kind": spec.kind, "depth": spec.depth, "generator": generator(_WEIGHTS, spec.seed)}
    return build(spec.architecture, image_shape, spec.code_width, **net, **chain)


def _or_none(name: str) -> str | None:
    return None if name == "none" else name


def settings_of(spec: AutoencoderSpec) -> Settings:
    """What a member shares with its ensemble."""
    names = ("epochs", "batch", "optimiser", "loss", "precision", "shuffle", "evaluate", "log_per_epoch")
    return Settings(**{name: getattr(spec, name) for name in names})


def member_of(spec: AutoencoderSpec) -> Member:
    """What a member has for itself."""
    own = {name: getattr(spec, name) for name in ("lr", "divide_lr", "weight_decay", "l1", "l2")}
    return Member(order_seed=spec.seed, beta=spec.beta or None, **own)


STAGES = ("maps", "first", "second")


def stage_file(specs: list, stage: str) -> Checkpoints:
    """The checkpoint file of an ensemble's stage: "maps" (to be frozen later), "first" or "second"."""
    return checkpoint_of(specs, stage=stage, code=__name__)


def trained(specs, models, images: Images, test: Images, device: str, report: Progress):
    """Train by the way the specs ask for; return models, the histories one after another, and further scalars.

    Every stage has its checkpoint, see `stage_file`.
    """
    settings, members = settings_of(specs[0]), [member_of(spec) for spec in specs]
    options = {"evaluation": test.images, "device": device, "progress": report}
    extra: list[dict[str, float]] = [{} for _ in specs]
    if specs[0].two_stages:
        rule = StableRank(
            epochs=specs[0].settle_epochs, tolerance=specs[0].settle_tolerance, cap=specs[0].settle_cap or None
        )
        place = functools.partial(stage_file, specs)
        done = train_two_stages(models, members, images.images, settings, rule=rule, checkpoints=place, **options)
        for i in range(len(specs)):
            extra[i] = {
                "settled_rank": float(done.ranks[i]),
                "settled_epoch": float(done.first.epochs[done.first.steps.index(done.first.stopped_at[i])]),
                "error_before_switch": float(done.error_before[i]),
                "error_after_switch": float(done.error_after[i]),
            }
        return done.models, [done.first] if done.second is None else [done.first, _aligned(done)], extra
    rules = [TargetError(specs[0].target)] if specs[0].target else []
    if any(spec.frozen == "trained" for spec in specs):
        # a first training makes the maps; then encoder and decoder start anew around them
        train(models, members, images.images, settings, checkpoints=stage_file(specs, "maps"), **options)
        shape = tuple(images.images.shape[1:])
        for i, spec in enumerate(specs):
            if spec.frozen == "trained":
                chain, models[i] = models[i].chain, model_of(spec, shape)
                chain.freeze()
                models[i].chain = chain
    file = stage_file(specs, "first")
    history = train(models, members, images.images, settings, rules=rules, checkpoints=file, **options)
    return models, [history], extra


def _aligned(done) -> History:
    """The second stage's history with a row for every member, NaN for those that were not taken on."""
    alive = [i for i, model in enumerate(done.models) if model is not None]
    if len(alive) == len(done.models):
        return done.second
    whole = History(len(done.models), list(done.second.steps), list(done.second.epochs))
    for name, rows in done.second.rows.items():
        for row in rows:
            wide = np.full((len(done.models), *row.shape[1:]), np.nan)
            wide[alive] = row
            whole.rows.setdefault(name, []).append(wide)
    whole.status = list(done.first.status)
    for i, status, stop in zip(alive, done.second.status, done.second.stopped_at, strict=True):
        whole.status[i], whole.stopped_at[i] = status, stop
    return whole
