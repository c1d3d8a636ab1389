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
from implicit_rank.parameters import resolve_device
from implicit_rank.train.batches import Batches
from implicit_rank.train.gradients import vectorised
from implicit_rank.train.graph import stepper
from implicit_rank.train.history import History
from implicit_rank.train.identity import KEYS, difference, identity, recognised
from implicit_rank.train.measure import measure
from implicit_rank.train.memory import available_bytes, check_memory
from implicit_rank.train.optimisers import optimiser, restore_state, state_arrays
from implicit_rank.train.rules import Rule, divergence
from implicit_rank.train.settings import Member, Settings

Progress = Callable[[float, str], None]


class CheckpointFile(Protocol):
    """Where a state is kept between two lives of a run."""

    def load(self) -> dict[str, np.ndarray] | None:
        """The arrays of the last save, or None."""

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
        self.device = checked_device(device)
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
        self.before_log = self.running.clone(), 0
        self.identity: dict[str, np.ndarray] = {}

    def evaluation_width(self) -> int:
        """The width of the codes."""
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
        """Train until every member has stopped; resume first if there is a checkpoint.

        ValueError, one sentence, when the checkpoint is of another training: only its length may have changed.
        """
        if checkpoints is not None:
            rules = self.rules[1:]  # the first is the settings' own
            self.identity = identity(
                self.models, self.members, self.batches.images, self.evaluation, self.settings, rules
            )
            if (arrays := checkpoints.load()) is not None:
                self.resume(arrays, str(getattr(checkpoints, "path", "given")))
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
        self.before_log = self.running.clone(), self.counted
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
        """Everything that is needed to go on, as plain arrays, and what it is the state of."""
        arrays = {f"history/{name}": value for name, value in self.history.to_arrays().items()}
        arrays |= self.identity
        arrays["position"] = np.array([self.step, self.counted, self.before_log[1]], np.int64)
        arrays["running"] = torch.stack([self.running, self.before_log[0]]).cpu().numpy()
        for i, (model, rule) in enumerate(zip(self.models, self.optimisers, strict=True)):
            for name, value in model.state_dict().items():
                arrays[f"model/{i}/{name}"] = value.detach().cpu().numpy()
            for name, value in state_arrays(rule).items():
                arrays[f"optimiser/{i}/{name}"] = value.detach().cpu().numpy()
        return arrays

    def resume(self, arrays: dict[str, np.ndarray], where: str) -> None:
        """Go on from a state of this very training, which may have been shorter (ValueError for any other)."""

        def kept() -> np.ndarray:
            names = [[name for name, _ in model.named_parameters()] for model in self.models]
            return recognised([[arrays[f"model/{i}/{name}"] for name in own] for i, own in enumerate(names)])

        theirs = {key: arrays[key] for key in KEYS if key in arrays}
        why = difference(theirs, self.identity, kept)
        done = int(arrays["position"][0])
        if why is None and done > self.total:
            why = f"steps: {done} done -> {self.total} wanted"
        if why is not None:
            raise ValueError(
                f"the checkpoint {where} is of another training ({why}); keep this one's in another file, or delete it."
            )
        self.identity |= theirs  # models that were trained already are not at their start
        self.restore(arrays)
        self.lengthen()

    def lengthen(self) -> None:
        """Make the state of a shorter training one of this: its end is no end, nor an entry of the log by itself."""
        if self.step >= self.total:
            return
        for i, status in enumerate(self.history.status):
            if status == "finished":
                self.history.status[i], self.history.stopped_at[i] = "running", -1
        if self.history.steps[-1:] == [self.step] and self.step not in self.log_points:
            self.history.drop_last()
            self.running, self.counted = self.before_log[0].clone(), self.before_log[1]

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take up where `state` was taken."""

        def below(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}

        self.history = History.from_arrays(below("history/"))
        self.step, self.counted, counted = (int(v) for v in arrays["position"])
        self.running, running = torch.from_numpy(arrays["running"].copy()).to(self.device)
        self.before_log = running, counted
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
    """Train `models` in place and return what was measured.

    `images` (n, c, h, w) uint8; `evaluation` likewise, else the first of `images`; `rules` stop single members;
    `checkpoints` keeps the state, so that a killed run goes on with the same bits on a CPU at equal thread
    count, and a finished one, asked for more epochs, as if it had been that long from the start; a state of another
    training (data, settings, members, rules, architectures, start weights) is refused. `memory` is how many
    bytes may be used (default: what is free). Raises ValueError, in one sentence, for images or members that
    do not fit, into each other or into memory, and for a checkpoint of another training.
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


def checked_device(device: torch.device | str) -> torch.device:
    """The device, "auto" resolved; ValueError, one sentence, for one that cannot train."""
    if str(device).partition(":")[0] == "mps":
        raise ValueError(
            "device must be 'cpu', 'cuda', 'cuda:<number>' or 'auto', not 'mps': "
            "errors and spectra are measured in float64, which Apple's GPUs lack."
        )
    return resolve_device(str(device))


def check(models, members, images: Tensor, evaluation: Tensor | None) -> None:
    """Refuse, in one sentence, what cannot be trained together."""
    if not models or len(models) != len(members):
        raise ValueError(f"there must be one member for each model, not {len(members)} for {len(models)}.")
    for name, value in (("images", images), ("evaluation", evaluation)):
        if value is None:
            continue
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} must be a tensor (torch.from_numpy makes one), not {type(value).__name__}.")
        if value.ndim != 4 or value.dtype != torch.uint8:
            shape = tuple(value.shape)
            raise ValueError(f"{name} must be uint8 of shape (n, channels, height, width), not {value.dtype} {shape}.")
        if len(value) < 2:
            raise ValueError(f"{name} must be at least two, not {len(value)}.")
    owner: dict[int, int] = {}
    for i, model in enumerate(models):
        twins = {owner.setdefault(id(p), i) for p in model.parameters()} - {i}
        if twins:
            raise ValueError(
                f"models {min(twins)} and {i} of an ensemble are the same or share weights: "
                "each member trains a model of its own, so build it again or take a copy.deepcopy."
            )
    shapes = {
        tuple((name, tuple(p.shape)) for name, p in model.named_parameters() if not name.startswith("chain."))
        for model in models
    }
    if len(shapes) > 1 or len({model.kind for model in models}) > 1:
        raise ValueError("the models of one ensemble must share encoder, decoder and kind; train others separately.")
