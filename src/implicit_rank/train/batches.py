"""Batches of images that live on the device as bytes and become numbers only when a step needs them."""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.train.randomness import NOISE_STEPS, epoch_order, noise_block


def scaled(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Uint8 images `(..., c, h, w)` as numbers from 0 to 1."""
    return images.to(dtype).div_(255)


class Batches:
    """Every member's batch of step t: images `(b, c, h, w)` in [0, 1], gathered and scaled on the device.

    `images` (n, c, h, w) uint8 on the device; `seeds` one per member; noise `(b, width)` comes along where
    `noise_width` is given. Members with equal seeds see equal batches.
    """

    def __init__(
        self,
        images: Tensor,
        seeds: list[int],
        batch: int,
        dtype: torch.dtype,
        shuffle: bool = True,
        noise_width: int | None = None,
    ):
        self.images, self.seeds, self.dtype, self.shuffle, self.noise_width = images, seeds, dtype, shuffle, noise_width
        self.batch = min(batch, len(images))
        self.steps_per_epoch = -(-len(images) // self.batch)
        self.epoch = self.block = -1
        self.orders: dict[int, Tensor] = {}
        self.noises: dict[int, Tensor] = {}

    def size(self, step: int) -> int:
        """How many images the batch of a step holds: the last one of an epoch may be smaller."""
        position = step % self.steps_per_epoch
        return min(self.batch, len(self.images) - position * self.batch)

    def at(self, step: int, active: list[int]) -> list[tuple[Tensor, Tensor | None]]:
        """The pair (images, noise) of a step for each member number in `active`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        device = self.images.device
        wanted = {self.seeds[i] for i in active}
        if epoch != self.epoch:
            self.epoch, self.orders = epoch, {}
        for seed in wanted - self.orders.keys():
            self.orders[seed] = epoch_order(seed, epoch, len(self.images), self.shuffle).to(device)
        part = slice(position * self.batch, (position + 1) * self.batch)
        images = {s: scaled(self.images.index_select(0, self.orders[s][part]), self.dtype) for s in wanted}
        if self.noise_width is None:
            return [(images[self.seeds[i]], None) for i in active]
        block, row = divmod(step, NOISE_STEPS)
        if block != self.block:
            self.block, self.noises = block, {}
        for seed in wanted - self.noises.keys():
            self.noises[seed] = noise_block(seed, block, self.batch, self.noise_width, self.dtype, device)
        size = self.size(step)
        return [(images[s], self.noises[s][row, :size]) for s in (self.seeds[i] for i in active)]
