"""How much memory an ensemble takes, asked before it is trained rather than found out after."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from implicit_rank.autoencoder import Autoencoder
from implicit_rank.train.settings import Settings

_COPIES = {"sgd": 2, "momentum": 3, "adam": 4, "adamw": 4, "rmsprop": 3}  # weights, gradients, averages


def bytes_per_member(model: Autoencoder, image_shape: tuple[int, int, int], settings: Settings) -> tuple[int, int]:
    """The bytes of a member's weights with what its optimiser keeps, and of one step's activations.

    Activations are the outputs of all layers at one batch and their gradients; nothing is computed for it.
    """
    size = 8 if settings.precision == "float64" else 4
    weights = sum(p.numel() for p in model.parameters()) * size * _COPIES[settings.optimiser]
    outputs = []
    shadow = copy.deepcopy(model).to("meta")
    for module in shadow.modules():
        if not isinstance(module, nn.Sequential | Autoencoder):
            module.register_forward_hook(lambda m, inputs, output: outputs.append(output.numel()))
    images = torch.empty(settings.batch, *image_shape, device="meta", dtype=next(model.parameters()).dtype)
    with torch.no_grad():
        shadow(images)
    chain = 0 if model.chain is None else len(model.chain.raw_layers()) * settings.batch * model.chain.width
    return weights, 2 * size * (sum(outputs) + chain + images.numel())


def available_bytes(device: torch.device) -> int:
    """The memory that is free on a GPU, or beside a CPU all that this process may use."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return machine_bytes() or 1 << 62  # not every system says: then nothing is refused


def machine_bytes() -> int | None:
    """The machine's memory in bytes, or what its control group may use where that is less; None if nobody says."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # not Linux, or "max"
            total = min(total, int(Path(name).read_text(encoding="ascii")))
    return total


def largest_ensemble(
    model: Autoencoder, image_shape: tuple[int, int, int], settings: Settings, memory: int, together: bool
) -> int:
    """How many such members fit into `memory` bytes; `together` when all take a step at once (vmap)."""
    weights, activations = bytes_per_member(model, image_shape, settings)
    if together:
        # stacking copies the weights and their gradients once more
        return memory // (weights + 2 * weights // _COPIES[settings.optimiser] + activations)
    return max(memory - activations, 0) // weights


def check_memory(
    models: Sequence[Autoencoder], image_shape: tuple[int, int, int], settings: Settings, memory: int, together: bool
) -> None:
    """Raise ValueError, naming the largest ensemble that fits, when the models do not fit into `memory` bytes."""
    largest_member = max(models, key=lambda model: sum(p.numel() for p in model.parameters()))
    fits = largest_ensemble(largest_member, image_shape, settings, memory, together)
    if fits < len(models):
        room = f"{memory / 2**30:.1f} GiB" if memory > 2**30 else f"{memory / 2**20:.0f} MiB"
        raise ValueError(
            f"an ensemble of {len(models)} members does not fit into {room}: at most {fits} of them do, so split it."
        )
