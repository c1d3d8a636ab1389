"""One step of training as a function; on CUDA, after a warm-up, as the replay of a captured graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from implicit_rank.train.gradients import AllAtOnce, Batch, gradients

WARM_UP = 3  # eager steps on a side stream before the capture, as torch.cuda.graph asks for


def stepper(training, active: list[int]) -> Callable[[Batch], Tensor]:
    """A function that takes a step of the active members, given their batches, and returns their losses."""
    models = [training.models[i] for i in active]
    members = [training.members[i] for i in active]
    rules = [training.optimisers[i] for i in active]
    take = gradients(models, members, training.settings, training.device)

    def step(batch: Batch) -> Tensor:
        losses = take(batch)
        for rule in rules:
            rule.step()
        return losses.double()

    if training.device.type == "cuda" and training.settings.graph and isinstance(take, AllAtOnce):
        return Replayed(step)
    return step


class Replayed:
    """A step that is captured once and replayed: no kernel is launched one by one, nothing waits for the host.

    The first steps run as they are; then one is captured with fixed buffers for its batch. A batch of another
    shape (the last of an epoch) runs as it is.
    """

    def __init__(self, step: Callable[[Batch], Tensor]):
        self.step, self.taken, self.graph = step, 0, None
        self.stream = torch.cuda.Stream()

    def __call__(self, batch: Batch) -> Tensor:
        """Take one step, by replay where possible; the losses are a copy."""
        if self.graph is not None and self._fits(batch):
            self._fill(batch)
            self.graph.replay()
            return self.losses.clone()
        if self.taken < WARM_UP or self.graph is not None:
            self.taken += 1
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                losses = self.step(batch)
            torch.cuda.current_stream().wait_stream(self.stream)
            return losses
        self.buffers = [(images.clone(), None if noise is None else noise.clone()) for images, noise in batch]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.losses = self.step(self.buffers)
        self.graph.replay()  # a capture only records
        return self.losses.clone()

    def _fits(self, batch: Batch) -> bool:
        return batch[0][0].shape == self.buffers[0][0].shape

    def _fill(self, batch: Batch) -> None:
        for (images, noise), (buffer, noise_buffer) in zip(batch, self.buffers, strict=True):
            buffer.copy_(images)
            if noise is not None:
                noise_buffer.copy_(noise)
