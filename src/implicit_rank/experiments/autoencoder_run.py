"""Train what autoencoder specs describe, ensemble by ensemble, measure it, and hand over one result per member."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from implicit_rank.autoencoder import Autoencoder, build
from implicit_rank.data.images import Images
from implicit_rank.data.load import load
from implicit_rank.experiments.autoencoder_spec import SHARED, AutoencoderSpec
from implicit_rank.experiments.result import Progress, Result
from implicit_rank.parameters import resolve_device
from implicit_rank.store.checkpoints import checkpoint_of
from implicit_rank.train import History, Member, Settings, StableRank, TargetError, train
from implicit_rank.train.memory import available_bytes, bytes_per_member, largest_ensemble
from implicit_rank.train.randomness import generator
from implicit_rank.train.stages import train_two_stages

_WEIGHTS = 3    # the word that sets a model's random stream apart from those of order and noise
KEPT = 40    # singular values of which the whole course is stored; at the end all of them are


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained member and what it was trained and is measured on."""

    spec: AutoencoderSpec
    model: Autoencoder
    images: Images
    test: Images
    device: str


Evaluation = Callable[[Trained], tuple[dict[str, float], dict[str, np.ndarray]]]


@functools.lru_cache(maxsize=4)
def data(name: str, split: str, count: int, size: int) -> Images:
    """Return a split of a data set; 0 stands for "all" and "its own"."""
    return load(name, split, size=size or None, count=count or None)


def model_of(spec: AutoencoderSpec, image_shape: tuple[int, int, int]) -> Autoencoder:
    """Return a member's model at its start, drawn from its seed alone."""
    dtype = torch.float64 if spec.precision == "float64" else torch.float32
    chain = {"init": spec.init, "scale": spec.scale, "alpha": spec.alpha, "frozen": spec.frozen == "start"}
    chain |= {name: None if getattr(spec, name) == "none" else getattr(spec, name) for name in ("sharing", "activation")}
    return build(
        spec.architecture, image_shape, spec.code_width, kind=spec.kind, depth=spec.depth, inner=spec.inner or None,
        channel_factor=spec.channel_factor, start=spec.conv_start, generator=generator(_WEIGHTS, spec.seed), dtype=dtype,
        **chain,
    )    # fmt: skip


def settings_of(spec: AutoencoderSpec) -> Settings:
    """Return what a member shares with its ensemble."""
    names = ("epochs", "batch", "optimiser", "loss", "precision", "shuffle", "evaluate")
    return Settings(**{name: getattr(spec, name) for name in names})


def member_of(spec: AutoencoderSpec) -> Member:
    """Return what a member has for itself."""
    own = {name: getattr(spec, name) for name in ("lr", "divide_lr", "weight_decay", "l1", "l2")}
    return Member(order_seed=spec.seed, beta=spec.beta or None, **own)


def ensembles(specs: Sequence[AutoencoderSpec], device: str = "cpu", memory: int | None = None) -> list[list]:
    """Return the specs in groups that are trained together: on a CPU one by one, on CUDA as many as fit.

    Nothing is gained on a CPU by training several at once (see tests/benchmarks), and one by one each is stored
    as soon as it is done. Raises ValueError when a single member does not fit into ``memory`` bytes.
    """
    groups: dict[tuple, list[AutoencoderSpec]] = {}
    for spec in specs:
        groups.setdefault(tuple(getattr(spec, name) for name in SHARED), []).append(spec)
    if torch.device(device).type == "cpu":
        return [[spec] for group in groups.values() for spec in group]
    parts = []
    for group in groups.values():
        images = data(group[0].data, "train", group[0].count, group[0].size)
        shape = tuple(images.images.shape[1:])
        deepest = max(group, key=lambda spec: spec.depth)
        room = available_bytes(torch.device(device)) if memory is None else memory
        # half of the memory stays free for convolution workspaces and evaluation
        fit = largest_ensemble(model_of(deepest, shape), shape, settings_of(deepest), room // 2, together=True)
        if not fit:
            raise ValueError(f"not even one member of this ensemble fits into {room / 2**20:.0f} MiB.")
        parts += [group[i : i + fit] for i in range(0, len(group), fit)]
    return parts


def run_autoencoders(
    specs: Sequence[AutoencoderSpec],
    evaluate: Evaluation | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train and measure all members and return their results in the order given.

    ``evaluate(trained)`` adds a family's own measurements. A killed run goes on from its last checkpoint, with the
    same bits on a CPU at the same number of threads; checkpoints are removed once their members are handed over.
    """
    device = str(resolve_device(device))
    parts = ensembles(specs, device)
    weights = [sum(cost(spec) for spec in part) for part in parts]
    total, done, results = sum(weights) or 1.0, 0.0, {}
    for part, weight in zip(parts, weights, strict=True):

        def report(share: float, text: str, part=part, weight=weight, done=done) -> None:
            if progress is not None:
                progress((done + weight * share) / total, f"{describe(part)}: {text}")

        for result in run_ensemble(part, evaluate, device, report):
            results[result.spec] = result
            if on_done is not None:
                on_done(result)
        checkpoint_of(part).remove()
        done += weight
    return [results[spec] for spec in specs]


def run_ensemble(specs: list, evaluate: Evaluation | None, device: str, report: Progress) -> list[Result]:
    """Train members that share their settings, and measure each."""
    first, began = specs[0], time.perf_counter()
    images = data(first.data, "train", first.count, first.size)
    test = data(first.data, "test", 0, first.size)
    shape = tuple(images.images.shape[1:])
    models = [model_of(spec, shape) for spec in specs]
    models, histories, extra = trained(specs, models, images, test, device, report)
    results = []
    for i, spec in enumerate(specs):
        scalars, arrays = summary(histories, i, models[i])
        scalars |= extra[i]
        healthy = models[i] is not None and not any(h.diverged(i) for h in histories)
        if evaluate is not None and healthy:
            more = evaluate(Trained(spec, models[i], images, test, device))
            scalars, arrays = scalars | more[0], arrays | more[1]
        note = histories[-1].status[i]
        seconds = (time.perf_counter() - began) / len(specs) if i == len(specs) - 1 else histories[-1].seconds
        results.append(Result(spec, scalars, arrays, None if note == "finished" else note, seconds))
    return results


def trained(specs, models, images: Images, test: Images, device: str, report: Progress):
    """Train by the way the specs ask for; return models, the histories one after another, and further scalars."""
    settings, members = settings_of(specs[0]), [member_of(spec) for spec in specs]
    options = {"evaluation": test.images, "device": device, "progress": report}
    extra: list[dict[str, float]] = [{} for _ in specs]
    if specs[0].two_stages:
        rule = StableRank(
            epochs=specs[0].settle_epochs, tolerance=specs[0].settle_tolerance, cap=specs[0].settle_cap or None
        )
        done = train_two_stages(models, members, images.images, settings, rule=rule, **options)
        for i in range(len(specs)):
            extra[i] = {
                "settled_rank": float(done.ranks[i]),
                "settled_epoch": float(done.first.stopped_at[i] / max(images.n // settings.batch, 1)),
                "error_before_switch": float(done.error_before[i]),
                "error_after_switch": float(done.error_after[i]),
            }
        return done.models, [done.first] if done.second is None else [done.first, _aligned(done)], extra
    rules = [TargetError(specs[0].target)] if specs[0].target else []
    checkpoints = checkpoint_of(specs)
    if any(spec.frozen == "trained" for spec in specs):
        # a first training makes the maps; then encoder and decoder start anew around them
        train(models, members, images.images, settings, **options)
        shape = tuple(images.images.shape[1:])
        for i, spec in enumerate(specs):
            if spec.frozen == "trained":
                chain, models[i] = models[i].chain, model_of(spec, shape)
                chain.freeze()
                models[i].chain = chain
    history = train(models, members, images.images, settings, rules=rules, checkpoints=checkpoints, **options)
    return models, [history], extra


def _aligned(done) -> History:
    """Return the second stage's history with a row for every member, NaN for those that were not taken on."""
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


def summary(histories: Sequence[History], i: int, model: Autoencoder | None) -> tuple[dict, dict]:
    """Return a member's numbers at the end and the course of its training."""
    last = histories[-1]
    names = ("error", "loss", "rank_effective", "rank_codes", "rank_covariance")
    scalars: dict = {name: last.last(name, i) for name in names}
    parts = [history.of(i) for history in histories]
    offset, epochs = 0.0, []
    for part in parts:
        epochs.append(part["epochs"] + offset)
        offset = epochs[-1][-1]
    arrays = {"epochs": np.concatenate(epochs).astype(np.float32)}
    for name in names:
        arrays[name] = np.concatenate([part[name] for part in parts]).astype(np.float32)
    for name in ("singular_effective", "singular_codes", "spectrum_codes"):
        course = np.concatenate([part[name] for part in parts])
        healthy = ~np.isnan(course[:, 0])
        final = course[healthy][-1] if healthy.any() else course[-1]
        if name == "singular_effective" and not healthy.any():
            continue
        arrays[name] = final.astype(np.float32)
        if name != "spectrum_codes":
            arrays[f"{name}_course"] = course[:, :KEPT].astype(np.float32)
    scalars |= {
        "diverged": any(history.diverged(i) for history in histories),
        "epochs_done": float(np.max(arrays["epochs"][~np.isnan(arrays["error"])], initial=0.0)),
        "status": last.status[i],
        "images_per_second": sum(h.images_seen for h in histories) / max(sum(h.seconds for h in histories), 1e-9),
        "parameters": float(sum(p.numel() for p in model.parameters())) if model is not None else math.nan,
    }
    return scalars, arrays


def cost(spec: AutoencoderSpec) -> float:
    """Return what a member costs relative to others: images seen, weighted by the width of the net."""
    images = spec.count or {"mnist": 60_000, "fashion": 60_000, "cifar10": 50_000}.get(spec.data, 10_000)
    repeated = 2 if spec.frozen == "trained" else 1
    return repeated * spec.epochs * images * (spec.channel_factor**1.5 + 0.01 * spec.depth)


def describe(part: Sequence[AutoencoderSpec]) -> str:
    """Return an ensemble in a few words."""
    first = part[0]
    what = first.kind if not first.depth else f"{first.depth} maps"
    return f"{first.data}, {what}, seed {first.seed}" if len(part) == 1 else f"{first.data}, {len(part)} members"


def size(specs: Sequence[AutoencoderSpec]) -> dict[str, float]:
    """Return how big the largest member is: parameters, training images, bytes while it is trained."""
    largest = max(specs, key=lambda spec: (spec.channel_factor, spec.depth))
    images = data(largest.data, "train", largest.count, largest.size)
    shape = tuple(images.images.shape[1:])
    model = model_of(largest, shape)
    parameters = sum(p.numel() for p in model.parameters())
    return {
        "parameters": parameters,
        "images": images.n,
        "epochs": largest.epochs,
        "bytes per member": sum(bytes_per_member(model, shape, settings_of(largest))),
    }
