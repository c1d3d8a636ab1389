"""How fast an ensemble of autoencoders trains here and now: a few of its own steps and one entry of its log, timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from implicit_rank.experiments.kit.autoencoder_spec import AutoencoderSpec
from implicit_rank.experiments.kit.autoencoder_training import data, member_of, model_of, settings_of, stage_file
from implicit_rank.parameters import resolve_device
from implicit_rank.train.graph import WARM_UP, stepper
from implicit_rank.train.loop import Training, precision


@dataclass(frozen=True)
class Pace:
    """Seconds of one step and of one entry of the log of an ensemble, and how many of each its training has."""

    step: float
    entry: float
    steps: int
    entries: int

    @property
    def seconds(self) -> float:
        """The time from the start of the training to its end; no checkpoints, no evaluation."""
        return self.step * self.steps + self.entry * self.entries


def pace_of(specs: Sequence[AutoencoderSpec], device: str, steps: int = 200) -> Pace:
    """The pace of members that are trained together, on fresh models that are thrown away.

    What comes before the timed steps (kernels are loaded, a CUDA graph is captured) is not counted. ValueError where
    the data are not there or the ensemble does not fit into memory.
    """
    first = specs[0]
    images, test = data(first.data, "train", first.count, first.size), data(first.data, "test", 0, first.size)
    models = [model_of(spec, tuple(images.images.shape[1:])) for spec in specs]
    settings = replace(settings_of(first), checkpoint_seconds=1e9)
    options = {"evaluation": test.images, "device": str(resolve_device(device))}
    training = Training(models, [member_of(spec) for spec in specs], images.images, settings, **options)
    active = training.active
    with precision(settings):
        take = stepper(training, active)

        def walk(begin: int, end: int) -> float:
            _wait(training.device)
            began = time.perf_counter()
            for step in range(begin, end):
                training.running[active] += take(training.batches.at(step, active))
            training.counted += end - begin
            _wait(training.device)
            return time.perf_counter() - began

        walk(0, WARM_UP + 2)
        seconds = walk(WARM_UP + 2, WARM_UP + 2 + steps)
        training.log()
        began = time.perf_counter()
        training.log()  # the first one loads kernels
    entry = time.perf_counter() - began
    return Pace(seconds / steps, entry, training.total, len(training.log_points))


def share_done(specs: Sequence[AutoencoderSpec], total: int) -> float:
    """The share of `total` steps that the checkpoint of these members has behind it; 0 where there is none."""
    arrays = stage_file(list(specs), "first").load()
    return 0.0 if arrays is None else min(1.0, int(arrays["position"][0]) / max(total, 1))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
