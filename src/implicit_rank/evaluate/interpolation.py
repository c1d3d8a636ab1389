"""Paths between codes and grids along principal axes, to be decoded into pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from implicit_rank.evaluate.codes import require_tensor
from implicit_rank.evaluate.samplers import principal_coordinates


@dataclass(frozen=True)
class Grid:
    """Codes on a grid along the first two principal axes.

    `codes` (steps, steps, d): the first index moves along the first axis. `coordinates` (2, steps) in standard
    deviations; `explained` (2,) shares of the codes' variance; `axes` (d, 2) unit vectors.
    """

    codes: Tensor
    coordinates: Tensor
    explained: Tensor
    axes: Tensor


def interpolate(start: Tensor, end: Tensor, steps: int = 10, *, released: bool = False) -> Tensor:
    """Codes `(..., steps, d)` on straight lines from `start` to `end` `(..., d)`, both ends included.

    `released` takes the factors 0, 1/steps, ..., (steps - 1)/steps of the released code of Jing 2020, which never
    reaches the end. Raises ValueError for shapes that differ or fewer than two steps.
    """
    for name, value in (("start", start), ("end", end)):
        require_tensor(name, value)
    if start.shape != end.shape or start.ndim < 1:
        raise ValueError(f"both ends must have one shape (..., d), not {tuple(start.shape)} and {tuple(end.shape)}.")
    if steps < 2:
        raise ValueError(f"steps must be at least 2, not {steps}.")
    last = (steps - 1) / steps if released else 1.0
    t = torch.linspace(0, last, steps, dtype=torch.float64, device=start.device).to(start.dtype)[:, None]
    return (1 - t) * start[..., None, :] + t * end[..., None, :]


def principal_grid(codes: Tensor, steps: int = 10, extent: float = 2.0, *, released: bool = False) -> Grid:
    """A grid of codes around the mean of `codes` `(n, d)`, within `extent` deviations (Jing 2020, Fig. 8).

    `released` takes the released code's grid instead: steps of 2 extent / steps, from -extent on the first axis, and
    one step further on the second, which therefore ends at +extent while the first does not. The sign of an axis makes
    its largest entry positive. Raises ValueError for codes that vary in fewer than two directions.
    """
    if steps < 2:
        raise ValueError(f"steps must be at least 2, not {steps}.")
    mean, axes, along = principal_coordinates(codes)
    if axes.shape[1] < 2:
        raise ValueError(f"a grid needs codes that vary in two directions, not {axes.shape[1]}.")
    variance = along.square().sum(dim=0) / (len(along) - 1)
    total = (codes.detach().cpu().double() - mean).square().sum() / (len(along) - 1)
    axes = axes[:, :2] * axes[:, :2].gather(0, axes[:, :2].abs().argmax(dim=0, keepdim=True)).sign()
    if released:
        first = -extent + torch.arange(steps, dtype=torch.float64) * (2 * extent / steps)
        coordinates = torch.stack([first, first + 2 * extent / steps])
    else:
        coordinates = torch.linspace(-extent, extent, steps, dtype=torch.float64).expand(2, steps)
    moves = coordinates[:, :, None] * (axes * variance[:2].sqrt()).T[:, None, :]
    grid = mean + moves[0][:, None, :] + moves[1][None, :, :]
    return Grid(grid.to(codes.dtype), coordinates.clone(), variance[:2] / total, axes)
