"""Figures of chapter 9: classes of stationary points, descents past saddles, and Figure 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from implicit_rank.figures.kit.interactive import turning_surface
from implicit_rank.figures.kit.slider import Html
from implicit_rank.figures.kit.style import COLOURS, MARKERS, canvas, house, letter, strokes
from implicit_rank.linear.loop import Descent
from implicit_rank.theory import landscape


def classes(s: Tensor, penalties: Tensor) -> Figure:
    """Draw every class of stationary points by its loss and its number of directions down, named by its components."""
    rows = [
        (float(landscape.class_loss(s, penalties, a)), landscape.class_index(s, penalties, a), a)
        for a in landscape.stationary_classes(s, penalties)
    ]
    with house():
        figure, axis = canvas(height=3.6)
        for live, marker, colour in zip(range(len(penalties), -1, -1), MARKERS, COLOURS, strict=False):
            chosen = [row for row in rows if sum(i is not None for i in row[2]) == live]
            axis.plot(
                [row[0] for row in chosen],
                [row[1] for row in chosen],
                marker,
                color=colour,
                markersize=7,
                label=f"{live} live unit{'s' if live != 1 else ''}",
                clip_on=False,
            )
        if len(rows) <= 40:
            span, last = max(row[0] for row in rows) - min(row[0] for row in rows), {}
            for loss, index, assignment in sorted(rows, key=lambda row: row[:2]):
                name = " ".join("–" if i is None else str(i + 1) for i in assignment)
                crowded = loss - last.get(index, (-np.inf, False))[0] < 0.05 * span and not last[index][1]
                axis.annotate(
                    name,
                    (loss, index),
                    (0, -15 if crowded else 7),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8.5,
                )
                last[index] = (loss, crowded)
        top = max(row[1] for row in rows)
        axis.set(xlabel="loss (3)", ylabel="directions down", yticks=range(top + 1), ylim=(-0.25, top + 0.6))
        axis.legend(loc="upper left")
    return figure


def descents(descent: Descent, s: Tensor, penalties: Tensor, minimum: Sequence[int | None]) -> Figure:
    """The losses of gradient descent above the minimum, one line a start, with the losses of all saddles as lines.

    `minimum` is the class of the global minimum.
    """
    steps, losses = descent.steps.numpy(), descent.series["loss"].numpy()
    best = float(landscape.class_loss(s, penalties, minimum))
    saddles = {float(landscape.class_loss(s, penalties, a)) - best for a in landscape.stationary_classes(s, penalties)}
    with house():
        figure, axis = canvas(height=3.2)
        for height in sorted(saddles):
            if height > 1e-9:
                axis.axhline(height, color="#888888", linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
        for loss in losses:
            axis.plot(np.maximum(steps, 1), np.maximum(loss - best, 1e-14), color=COLOURS[0], linewidth=1.0, alpha=0.7)
        axis.plot([], [], color="#888888", linewidth=0.9, linestyle=(0, (2, 2)), label="losses of the saddles")
        axis.plot([], [], color=COLOURS[0], label="gradient descent, one line a start")
        axis.set(xscale="log", yscale="log", xlabel="step", ylabel="loss above the minimum", ylim=(1e-10, None))
        axis.legend(loc="lower left")
    return figure


def plane(s: Tensor, penalties: Tensor, steps: np.ndarray, paths: np.ndarray) -> Figure:
    """Draw Figure 1 from above with descent paths `(m, t, 2)`, and their distances from ring and axis."""
    with house():
        figure, (left, right) = canvas(1, 2, height=3.5, gridspec_kw={"width_ratios": [1, 1.15]})
        x, y = np.meshgrid(np.linspace(-1.3, 1.3, 131), np.linspace(-1.3, 1.3, 131))
        radius, angle = torch.from_numpy(np.hypot(x, y)), torch.from_numpy(np.arctan2(y, x))
        loss = landscape.plane_loss(s, penalties, radius, angle).numpy()
        high = float(landscape.plane_loss(s, penalties, torch.tensor(0.0), torch.tensor(0.0)))
        loss = np.where(np.hypot(x, y) < 1.3, loss, np.nan)
        low = np.nanmin(loss)
        levels = low + (high - low) * np.linspace(0, 1, 15) ** 2
        left.contourf(x, y, np.minimum(loss, high), levels, cmap="Greys")
        left.contour(x, y, loss, levels, colors="white", linewidths=0.4)
        left.set(aspect="equal", xlabel=r"$\alpha\cos\theta$", ylabel=r"$\alpha\sin\theta$", title="from above")
        left.grid(False)
        for path, style, marker in zip(paths, strokes(len(paths)), MARKERS, strict=False):
            left.plot(*path.T, **style)
            left.plot(*path[0], marker, color=style["color"], markersize=6, markeredgecolor="white")
            ring = np.abs(np.hypot(*path.T) - 1)
            axis = np.arctan2(np.abs(path[:, 1]), np.abs(path[:, 0]))
            right.plot(np.maximum(steps, 0.7), np.maximum(ring, 1e-4), color=style["color"], linestyle=(0, (1, 1.2)))
            right.plot(np.maximum(steps, 0.7), np.maximum(axis, 1e-4), color=style["color"], linestyle="-")
        right.plot([], [], color="#444444", linestyle=(0, (1, 1.2)), label="distance from the ring")
        right.plot([], [], color="#444444", linestyle="-", label="angle to the axis")
        right.set(xscale="log", yscale="log", xlabel="step", title="first the ring, then the axis")
        right.legend(loc="lower left")
        letter((left, right))
    return figure


def turning_plane(s: Tensor, penalties: Tensor, steps: np.ndarray, paths: np.ndarray) -> Html:
    """Figure 1 as a surface that can be turned, with descent paths `(m, t, 2)` that grow with a slider."""
    radii = torch.linspace(0, 1.25, 22, dtype=torch.float64)
    angles = torch.arange(48, dtype=torch.float64) * 2 * torch.pi / 48
    points = torch.from_numpy(paths)
    along = landscape.plane_loss(s, penalties, points.norm(dim=-1), torch.atan2(points[..., 1], points[..., 0]))
    return turning_surface(
        radii.tolist(),
        landscape.plane_loss(s, penalties, radii[:, None], angles[None, :]).numpy(),
        paths,
        along.numpy(),
        steps.tolist(),
        "Figure 1 of Bao 2020: a bowl with a hill in the middle; three paths drop into the ring and creep along it.",
        float(landscape.plane_loss(s, penalties, torch.tensor(0.0), torch.tensor(0.0))),
    )
