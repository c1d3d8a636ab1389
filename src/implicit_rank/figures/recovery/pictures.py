"""Pictures of what was learned: U^T W2 along the way (Bao 2020, Figure 3) and decoder columns as images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from implicit_rank.data import second_moments
from implicit_rank.figures.kit.style import canvas, house
from implicit_rank.figures.recovery.figures import NAMES, or_empty


@or_empty
def axes_images(records: Sequence) -> Figure:
    """Draw U^T W2 at the stored steps, one row a model, from -1 (black) to 1 (white) (Bao 2020, Figure 3)."""
    chosen = _one_per_model(records, "axes")
    steps = chosen[0].arrays["snapshot_steps"]
    with house():
        figure, axes = canvas(len(chosen), len(steps), 1.45 * len(chosen), squeeze=False)
        for row, record in enumerate(chosen):
            for column, matrix in enumerate(record.arrays["axes"].astype(float)):
                axis = axes[row, column]
                axis.imshow(matrix, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
                _bare(axis)
                if row == 0:
                    axis.set_title(f"step {steps[column]:,}", fontsize=9, loc="center", fontweight="normal")
            label = NAMES[record.spec["model"]].replace(" nested", "\nnested").replace(" ℓ2", "\nℓ2")
            axes[row, 0].set_ylabel(label, fontsize=9)
    return figure


@or_empty
def components(records: Sequence, count: int = 20) -> Figure:
    """Draw the first `count` principal axes of the runs' data (top) and the decoder columns of one run a model below.

    Every picture is scaled to its own largest value and turned to the sign of its best match among the axes.
    """
    moments = second_moments(records[0].spec["data"])
    axes_of_data, shape = moments.top(records[0].spec["k"])[1].numpy(), moments.image_shape
    chosen = _one_per_model(records, "columns")
    count = min(count, chosen[0].spec["k"])
    half = (count + 1) // 2
    rows = [("principal axes", axes_of_data[:, :count])]
    for record in chosen:
        columns = record.arrays["columns"][:, :count].astype(float)
        rows.append((NAMES[record.spec["model"]], _signed(columns, axes_of_data)))
    with house():
        lines = (len(rows) + 1) // 2
        figure, axes = canvas(lines, 2, 1.02 * lines if half > 5 else 1.9 * lines, squeeze=False)
        for spare in axes.flat[len(rows) :]:
            spare.set_axis_off()
        for axis, (label, columns) in zip(axes.flat, rows, strict=False):
            pictures = [(c / max(np.abs(c).max(), 1e-30)).reshape(shape) for c in columns.T]
            pictures += [np.zeros(shape)] * (2 * half - len(pictures))
            padded = [np.pad(p, 1, constant_values=np.nan) for p in pictures]
            sheet = np.vstack([np.hstack(padded[:half]), np.hstack(padded[half:])])
            axis.imshow(sheet, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
            _bare(axis)
            axis.set_title(label, fontsize=9, fontweight="normal")
    return figure


def _bare(axis) -> None:
    """Leave nothing around a picture."""
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    axis.spines[:].set_visible(False)


def _signed(columns: np.ndarray, axes_of_data: np.ndarray) -> np.ndarray:
    agreement = axes_of_data.T @ columns
    best = agreement[np.abs(agreement).argmax(axis=0), np.arange(columns.shape[1])]
    return columns * np.where(best < 0, -1, 1)


def _one_per_model(records: Sequence, needed: str) -> list:
    """The run of the first seed of every model that kept `needed`, in the order of the legend."""
    chosen = []
    for model in NAMES:
        runs = [r for r in records if r.spec["model"] == model and needed in r.arrays]
        if runs:
            chosen.append(min(runs, key=lambda r: r.spec["seed"]))
    if not chosen:
        raise ValueError("none of these runs kept images; run with images = true.")
    return chosen
