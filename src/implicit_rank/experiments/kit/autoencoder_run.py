"""Train what autoencoder specs describe, ensemble by ensemble, measure it, and hand over one result per member."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from implicit_rank.autoencoder import Autoencoder
from implicit_rank.data.images import Images
from implicit_rank.experiments.kit.autoencoder_spec import SHARED, AutoencoderSpec
from implicit_rank.experiments.kit.autoencoder_training import (
    STAGES,
    data,
    member_of,
    model_of,
    settings_of,
    stage_file,
    trained,
)
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.kit.shares import weighted
from implicit_rank.parameters import resolve_device
from implicit_rank.train import History, train
from implicit_rank.train.memory import available_bytes, bytes_per_member, largest_ensemble

STEPS_TIMED = 6
KEPT = 40  # singular values of which the whole course is stored; at the end all of them are


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained member and what it was trained and is measured on."""

    spec: AutoencoderSpec
    model: Autoencoder
    images: Images
    test: Images
    device: str


Evaluation = Callable[[Trained], tuple[dict[str, float], dict[str, np.ndarray]]]


def ensembles(specs: Sequence[AutoencoderSpec], device: str = "cpu", memory: int | None = None) -> list[list]:
    """The specs in groups that are trained together: on a CPU one by one, on CUDA as many as fit.

    Nothing is gained on a CPU by training several at once (see tests/benchmarks), and one by one each is stored
    as soon as it is done. Raises ValueError when a single member does not fit into `memory` bytes.
    """
    if torch.device(device).type == "cpu":  # in the order given: the most important members come first
        return [[spec] for spec in specs]
    groups: dict[tuple, list[AutoencoderSpec]] = {}
    for spec in specs:
        groups.setdefault(tuple(getattr(spec, name) for name in SHARED), []).append(spec)
    room = available_bytes(torch.device(device)) if memory is None else memory
    return [part for group in groups.values() for part in split(group, room)]


def split(specs: list, memory: int) -> list[list]:
    """Members that share their settings in parts that fit into `memory` bytes when they train together.

    Half of the memory stays free for the workspaces of convolutions and for evaluation. ValueError if none fits.
    """
    images = data(specs[0].data, "train", specs[0].count, specs[0].size)
    shape = tuple(images.images.shape[1:])
    deepest = max(specs, key=lambda spec: spec.depth)
    fit = largest_ensemble(model_of(deepest, shape), shape, settings_of(deepest), memory // 2, together=True)
    if not fit:
        raise ValueError(f"not even one member of this ensemble fits into {memory / 2**20:.1f} MiB.")
    return [specs[i : i + fit] for i in range(0, len(specs), fit)]


def run_autoencoders(
    specs: Sequence[AutoencoderSpec],
    evaluate: Evaluation | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train and measure all members and return their results in the order given.

    `evaluate(trained)` adds a family's own measurements. A killed run goes on from its last checkpoint, with the
    same bits on a CPU at the same number of threads. Checkpoints are removed once their members are handed over, except
    those of the profile paper, from which a changed measurement is taken without training again.
    """
    device = str(resolve_device(device))
    results = {}
    for part, within in weighted(ensembles(specs, device), cost, progress):

        def report(share: float, text: str, part=part, within=within) -> None:
            within(share, f"{describe(part)}: {text}")

        for result in run_ensemble(part, evaluate, device, report):
            results[result.spec] = result
            if on_done is not None:
                on_done(result)
        if part[0].profile != "paper":  # a long training is kept for measurements that nobody has thought of yet
            for stage in STAGES:
                stage_file(part, stage).remove()
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
        scalars |= extra[i] | {"images_digest": images.digest()[:16], "test_digest": test.digest()[:16]}
        healthy = models[i] is not None and not any(h.diverged(i) for h in histories)
        if evaluate is not None and healthy:
            more = evaluate(Trained(spec, models[i], images, test, device))
            scalars, arrays = scalars | more[0], arrays | more[1]
        note = histories[-1].status[i]
        seconds = (time.perf_counter() - began) / len(specs) if i == len(specs) - 1 else histories[-1].seconds
        results.append(Result(spec, scalars, arrays, None if note == "finished" else note, seconds))
    return results


def summary(histories: Sequence[History], i: int, model: Autoencoder | None) -> tuple[dict, dict]:
    """A member's numbers at the end and the course of its training; what overflows float32 is inf."""
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
        arrays[name] = _single(np.concatenate([part[name] for part in parts]))
    for name in ("singular_effective", "singular_codes", "spectrum_codes"):
        course = np.concatenate([part[name] for part in parts])
        healthy = ~np.isnan(course[:, 0])
        final = course[healthy][-1] if healthy.any() else course[-1]
        if name == "singular_effective" and not healthy.any():
            continue
        arrays[name] = _single(final)
        if name != "spectrum_codes":
            arrays[f"{name}_course"] = _single(course[:, :KEPT])
    scalars |= {
        "diverged": any(history.diverged(i) for history in histories),
        "epochs_done": float(np.max(arrays["epochs"][~np.isnan(arrays["error"])], initial=0.0)),
        "status": last.status[i],
        "images_per_second": sum(h.images_seen for h in histories) / max(sum(h.seconds for h in histories), 1e-9),
        "parameters": float(sum(p.numel() for p in model.parameters())) if model is not None else math.nan,
    }
    return scalars, arrays


def _single(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def cost(spec: AutoencoderSpec) -> float:
    """What a member costs relative to others: images seen, weighted by the width of the net."""
    images = spec.count or {"mnist": 60_000, "fashion": 60_000, "cifar10": 50_000}.get(spec.data, 10_000)
    repeated = 2 if spec.frozen == "trained" else 1
    return repeated * spec.epochs * images * (spec.channel_factor**1.5 + 0.01 * spec.depth)


def describe(part: Sequence[AutoencoderSpec]) -> str:
    """An ensemble in a few words."""
    first = part[0]
    what = first.kind if not first.depth else f"{first.depth} maps"
    return f"{first.data}, {what}, seed {first.seed}" if len(part) == 1 else f"{first.data}, {len(part)} members"


def size(specs: Sequence[AutoencoderSpec]) -> dict[str, float]:
    """How big the largest member is: parameters, training images, bytes while it is trained."""
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


def estimate(specs: Sequence[AutoencoderSpec], device: str = "cpu") -> float:
    """Roughly how many seconds the members take: a few steps of one of them are timed, here and now.

    The others follow by `cost`; evaluation after the training is not included.
    """
    typical = sorted(specs, key=cost)[len(specs) // 2]
    images = data(typical.data, "train", typical.count, typical.size)
    few = images.images[: STEPS_TIMED * typical.batch]
    model = model_of(typical, tuple(images.images.shape[1:]))
    settings = replace(settings_of(typical), epochs=1, evaluate=2, log_per_epoch=1, strategy="loop")
    options = {"device": str(resolve_device(device)), "evaluation": few[:2]}
    train([model], [member_of(typical)], few[: typical.batch], settings, **options)  # the first step compiles
    began = time.perf_counter()
    train([model], [member_of(typical)], few, settings, **options)
    per_image = (time.perf_counter() - began) / len(few)
    own = per_image * images.n * typical.epochs
    return own * sum(map(cost, specs)) / (cost(typical) or 1.0)
