"""Order of the images and noise as pure functions of seed and position, so that resuming needs no generator state."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_ORDER, _NOISE = 1, 2
NOISE_STEPS = 64  # steps whose noise is drawn at once


def generator(*words: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator whose seed is a hash of `words`: streams of different words are independent."""
    seed = int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator(device).manual_seed(seed)


def epoch_order(seed: int, epoch: int, n: int, shuffle: bool = True) -> Tensor:
    """The order `(n,)` in which a member sees its images in an epoch; the same on every device."""
    return torch.randperm(n, generator=generator(_ORDER, seed, epoch)) if shuffle else torch.arange(n)


def noise_block(seed: int, block: int, batch: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Standard normal noise `(NOISE_STEPS, batch, width)` for the steps block * NOISE_STEPS and on."""
    stream = generator(_NOISE, seed, block, device=device)
    return torch.randn(NOISE_STEPS, batch, width, generator=stream, dtype=dtype, device=device)
