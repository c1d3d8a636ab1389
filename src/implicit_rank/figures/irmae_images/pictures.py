"""Rows of pictures: side by side, named at the left, without anything around them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

LABEL_INCHES = 0.95  # left of rows of pictures, for the models' names


def picture_rows(rows: list[list[np.ndarray]], labels: list[str], gap_after: int, pairs: int) -> tuple[Figure, list]:
    """A figure with one axis a row of pictures `(c, h, w)`, named at the left, and a gap between groups."""
    side = (7.5 - LABEL_INCHES) / len(rows[0])
    gap, head = 0.12, 0.28
    height = len(rows) * side + (pairs - 1) * gap + head + 0.04
    figure = Figure(figsize=(7.5, height))
    axes, top = [], height - head
    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        top -= gap if i and i % gap_after == 0 else 0
        bottom = top - side
        axis = figure.add_axes((LABEL_INCHES / 7.5, bottom / height, 1 - LABEL_INCHES / 7.5, side / height))
        show(axis, joined(row))
        axis.set_aspect("auto")
        if label:
            axis.set_ylabel(label.replace(", ", "\n"), fontsize=8.5, rotation=0, ha="right", va="center", labelpad=4)
        axes.append(axis)
        top = bottom
    return figure, axes


def joined(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures `(c, h, w)` side by side with a grey pixel between them, as an image `(h, width, c)`."""
    padded = [np.pad(p, ((0, 0), (0, 1), (0, 1)), constant_values=110) for p in pictures]
    return np.concatenate(padded, axis=2).transpose(1, 2, 0)


def show(axis: Axes, sheet: np.ndarray) -> None:
    """Show an image (h, w, 1 or 3) of bytes without anything around it."""
    axis.imshow(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet, cmap="gray", vmin=0, vmax=255)
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    axis.spines[:].set_visible(False)
