"""The one training loop of nonlinear autoencoders: an ensemble on one device, resumable to the bit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from implicit_rank.autoencoder import Autoencoder
from implicit_rank.train.batches import Batches
from implicit_rank.train.gradients import vectorised
from implicit_rank.train.graph import stepper
from implicit_rank.train.history import History
from implicit_rank.train.measure import measure
from implicit_rank.train.memory import available_bytes, check_memory
from implicit_rank.train.optimisers import optimiser, restore_state, state_arrays
from implicit_rank.train.rules import Rule, divergence
from implicit_rank.train.settings import Member, Settings

Progress = Callable[[float, str], None]


class CheckpointFile(Protocol):
    """Where a state is kept between two lives of a run."""

    def load(self) -> dict[str, np.ndarray] | None:
        """Return the arrays of the last save, or None."""

    def save(self, arrays: dict[str, np.ndarray]) -> None:
        """Keep the arrays, all or nothing."""


class Training:
    """An ensemble under training: models, their optimisers, where they are, and what was measured."""

    def __init__(
        self,
        models: Sequence[Autoencoder],
        members: Sequence[Member],
        images: Tensor,
        settings: Settings,
        *,
        evaluation: Tensor | None = None,
        rules: Sequence[Rule] = (),
        device: torch.device | str = "cpu",
        memory: int | None = None,
    ):
        check(models, members, images, evaluation)
        self.device = torch.device(device)
        memory = available_bytes(self.device) if memory is None else memory
        together = vectorised(settings, self.device, len(models))
        check_memory(models, tuple(images.shape[1:]), settings, memory, together)
        self.settings, self.members = settings, list(members)
        self.rules = [divergence(settings), *rules]
        dtype = torch.float64 if settings.precision == "float64" else torch.float32
        # a quarter faster for one model on a CPU; grouped convolutions, which vmap makes, want the plain layout
        layout = torch.contiguous_format if together else torch.channels_last
        self.models = [model.to(self.device, dtype, memory_format=layout) for model in models]
        self.evaluation = (images if evaluation is None else evaluation)[: settings.evaluate].to(self.device)
        noise_width = self.evaluation_width() if models[0].kind == "vae" else None
        seeds = [member.order_seed for member in members]
        on_device = images.to(self.device)
        self.batches = Batches(on_device, seeds, settings.batch, dtype, settings.shuffle, noise_width)
        graph = self.device.type == "cuda" and settings.graph
        self.optimisers = [
            optimiser(settings.optimiser, model, member, capturable=graph)
            for model, member in zip(models, members, strict=True)
        ]
        per_epoch = self.batches.steps_per_epoch
        self.total = settings.epochs * per_epoch if settings.steps is None else settings.steps
        self.log_points = self._log_points(per_epoch)
        self.history = History(len(models))
        self.step = 0
        self.running = torch.zeros(len(models), dtype=torch.float64, device=self.device)
        self.counted = 0

    def evaluation_width(self) -> int:
        """Return the width of the codes."""
        with torch.no_grad():
            one = self.evaluation[:1].to(next(self.models[0].parameters()).dtype) / 255
            return self.models[0].encode(one)[1].shape[1]

    def _log_points(self, per_epoch: int) -> set[int]:
        points = {0, self.total, *(s for s in self.settings.log_steps or () if s <= self.total)}
        often = self.settings.log_per_epoch
        if often > 1:
            return points | {i * per_epoch // often for i in range(self.total * often // per_epoch + 1)}
        return points | set(range(0, self.total, per_epoch * self.settings.log_every))

    @property
    def active(self) -> list[int]:
        """Numbers of the members that are still trained."""
        return [i for i, status in enumerate(self.history.status) if status == "running"]

    def run(self, checkpoints: CheckpointFile | None = None, progress: Progress | None = None) -> History:
        """Train until every member has stopped; resume first if there is a checkpoint."""
        if checkpoints is not None and (arrays := checkpoints.load()) is not None:
            self.restore(arrays)
        before, began, saved = self.history.seconds, time.monotonic(), time.monotonic()
        seen_before, told = self.history.images_seen, 0.0
        with precision(self.settings):
            take = None
            while active := self.active:
                if self.step in self.log_points and self.step not in self.history.steps[-1:]:
                    self.log()
                    active, take = self.active, take if active == self.active else None
                    if self.step >= self.total:
                        self.finish()
                    if not self.active:
                        break
                take = take or stepper(self, active)
                self.running[active] += take(self.batches.at(self.step, active))
                self.counted += 1
                self.history.images_seen += self.batches.size(self.step) * len(active)
                self.step += 1
                now = time.monotonic()
                self.history.seconds = before + now - began
                if checkpoints is not None and now - saved > self.settings.checkpoint_seconds:
                    checkpoints.save(self.state())
                    saved = now
                if progress is not None and now - told > 0.5:
                    told = now
                    rate = (self.history.images_seen - seen_before) / (now - began)
                    epoch = self.step / self.batches.steps_per_epoch
                    progress(self.step / self.total, f"epoch {epoch:.1f}, {rate:,.0f} images/s")
        if checkpoints is not None:
            checkpoints.save(self.state())
        return self.history

    def log(self) -> None:
        """Measure all members that are trained, add an entry, and stop those for which a rule says so."""
        active = self.active
        entries = {i: measure(self.models[i], self.evaluation, self.settings.threshold) for i in active}
        shape = {name: value.shape for name, value in entries[active[0]].items()}
        entry = {name: np.full((len(self.models), *form), np.nan) for name, form in shape.items()}
        for i, own in entries.items():
            for name, value in own.items():
                entry[name][i] = value
        mean = (self.running / self.counted).cpu().numpy() if self.counted else np.full(len(self.models), np.nan)
        stopped = [i for i in range(len(self.models)) if i not in active]
        mean[stopped] = np.nan
        self.history.append(self.step, self.step / self.batches.steps_per_epoch, {"loss": mean} | entry)
        self.running.zero_()
        self.counted = 0
        for i in active:
            reasons = (rule(self.history, i) for rule in self.rules)
            if (reason := next(filter(None, reasons), None)) is not None:
                self.stop(i, reason)

    def stop(self, i: int, reason: str) -> None:
        """End one member's training; the others go on."""
        self.history.status[i] = reason
        self.history.stopped_at[i] = self.step

    def finish(self) -> None:
        """Mark whoever came to the end."""
        for i in self.active:
            self.stop(i, "finished")

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that is needed to go on, as plain arrays."""
        arrays = {f"history/{name}": value for name, value in self.history.to_arrays().items()}
        arrays["position"] = np.array([self.step, self.counted], np.int64)
        arrays["running"] = self.running.cpu().numpy()
        for i, (model, rule) in enumerate(zip(self.models, self.optimisers, strict=True)):
            for name, value in model.state_dict().items():
                arrays[f"model/{i}/{name}"] = value.detach().cpu().numpy()
            for name, value in state_arrays(rule).items():
                arrays[f"optimiser/{i}/{name}"] = value.detach().cpu().numpy()
        return arrays

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take up where :meth:`state` was taken."""

        def below(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}

        self.history = History.from_arrays(below("history/"))
        self.step, self.counted = (int(v) for v in arrays["position"])
        self.running = torch.from_numpy(arrays["running"].copy()).to(self.device)
        for i, (model, rule) in enumerate(zip(self.models, self.optimisers, strict=True)):
            weights = {name: torch.from_numpy(value.copy()) for name, value in below(f"model/{i}/").items()}
            model.load_state_dict(weights)
            kept = {name: torch.from_numpy(value.copy()) for name, value in below(f"optimiser/{i}/").items()}
            restore_state(rule, kept)


def train(
    models: Sequence[Autoencoder],
    members: Sequence[Member],
    images: Tensor,
    settings: Settings,
    *,
    evaluation: Tensor | None = None,
    rules: Sequence[Rule] = (),
    device: torch.device | str = "cpu",
    checkpoints: CheckpointFile | None = None,
    progress: Progress | None = None,
    memory: int | None = None,
) -> History:
    """Train ``models`` in place and return what was measured.

    ``images`` (n, c, h, w) uint8; ``evaluation`` likewise, else the first of ``images``; ``rules`` stop single members;
    ``checkpoints`` keeps the state, so that a killed run goes on with the same bits on a CPU at equal thread
    count. ``memory`` is how many bytes may be used (default: what is free). Raises ValueError, in one sentence, for
    images or members that do not fit, into each other or into memory.
    """
    training = Training(
        models, members, images, settings, evaluation=evaluation, rules=rules, device=device, memory=memory
    )
    return training.run(checkpoints, progress)


@contextlib.contextmanager
def precision(settings: Settings):
    """Hold TensorFloat-32 products on CUDA at what the settings say, and put them back."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = settings.tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def check(models, members, images: Tensor, evaluation: Tensor | None) -> None:
    """Refuse, in one sentence, what cannot be trained together."""
    if not models or len(models) != len(members):
        raise ValueError(f"there must be one member for each model, not {len(members)} for {len(models)}.")
    for name, value in (("images", images), ("evaluation", evaluation)):
        if value is None:
            continue
        if value.ndim != 4 or value.dtype != torch.uint8:
            shape = tuple(value.shape)
            raise ValueError(f"{name} must be uint8 of shape (n, channels, height, width), not {value.dtype} {shape}.")
        if len(value) < 2:
            raise ValueError(f"{name} must be at least two, not {len(value)}.")
    shapes = {
        tuple((name, tuple(p.shape)) for name, p in model.named_parameters() if not name.startswith("chain."))
        for model in models
    }
    if len(shapes) > 1 or len({model.kind for model in models}) > 1:
        raise ValueError("the models of one ensemble must share encoder, decoder and kind; train others separately.")
