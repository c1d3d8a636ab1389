"""Figures of chapters 9 to 11: classes of stationary points, Figure 1, condition numbers, and RAG's flow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from implicit_rank.figures.style import COLOURS, MARKERS, canvas, house, letter, strokes
from implicit_rank.theory import landscape, rotation


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


def descents(
    steps: np.ndarray, losses: np.ndarray, s: Tensor, penalties: Tensor, minimum: Sequence[int | None]
) -> Figure:
    """Draw the losses ``(m, t)`` of gradient descent above the minimum, with the losses of all saddles as lines.

    ``minimum`` is the class of the global minimum.
    """
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
    """Draw Figure 1 from above with descent paths ``(m, t, 2)``, and their distances from ring and axis."""
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


def spectrum_by_block(s: Tensor, penalties: Tensor) -> Figure:
    """Draw the Hessian's eigenvalues at the optimum, one row for each kind of block."""
    values = landscape.l2_hessian_eigenvalues(s, penalties)
    k = len(s)
    pairs = torch.cat(landscape.hessian.pair_eigenvalues(s, penalties)).numpy()
    rotations = landscape.rotation_curvature(s, penalties)[np.triu_indices(k, 1)].numpy()
    rows = [
        (r"rescaling, $4(s_a-\lambda_a)$", (4 * (s - penalties)).numpy()),
        (r"imbalance, $4\lambda_a$", (4 * penalties).numpy()),
        ("pairs of units", pairs),
        ("Rayleigh quotients of rotations", rotations),
    ]
    with house():
        figure, axis = canvas(height=2.5)
        for row, ((name, found), colour, marker) in enumerate(zip(rows, COLOURS, MARKERS, strict=False)):
            axis.plot(
                found,
                np.full(len(found), -row),
                marker,
                color=colour,
                label=name,
                clip_on=False,
                markerfacecolor="none" if row == 3 else colour,
            )
        axis.axvline(values[0], color="#444444", linewidth=0.8, linestyle=(0, (2, 2)))
        axis.axvline(values[-1], color="#444444", linewidth=0.8, linestyle=(0, (2, 2)))
        axis.set(xscale="log", xlabel="curvature", yticks=[-row for row in range(4)], ylim=(-3.5, 0.5))
        axis.set_yticklabels([name for name, _ in rows])
    return figure


L2_CURVES = (
    ("l2_linear", "plain penalties"),
    ("l2_best", "best penalties"),
    ("l2_gap", "gap bound"),
    ("l2_rotation", "rotation bound"),
    ("l2_quadratic", "quadratic bound"),
    ("l2_printed", "printed bound"),
)
NESTED_CURVES = (
    ("nested_geometric", "geometric prior"),
    ("nested_uniform", "uniform prior"),
    ("nested_best", "best prior"),
    ("nested_sharp", "sharper bound"),
    ("nested_printed", "printed bound"),
    ("rag", "RAG"),
)


def condition_numbers(records: Sequence, curves: Sequence[tuple[str, str]], limit: float = 1e9) -> Figure:
    """Draw condition numbers and bounds against k, one panel per spectrum; means of logarithms over seeds."""
    names = list(dict.fromkeys(r.spec["spectrum"] for r in records))
    if not names:
        return _nothing()
    with house():
        figure, axes = canvas(1, len(names), height=3.9, sharey=True, squeeze=False)
        for axis, name in zip(axes[0], names, strict=True):
            chosen = [r for r in records if r.spec["spectrum"] == name]
            widths = sorted({r.spec["k"] for r in chosen})
            for (field, label), style in zip(curves, strokes(len(curves), markers=True), strict=True):
                values = [
                    np.exp(np.mean(np.log([max(r.scalars[field], 1e-9) for r in chosen if r.spec["k"] == k])))
                    for k in widths
                ]
                shown = np.where((np.array(values) < limit) & (np.array(values) > 0.3), values, np.nan)
                axis.plot(widths, shown, label=label, markersize=4, **style)
            axis.set(xscale="log", yscale="log", xlabel="k", title=name)
            axis.set_xticks(widths, [str(k) if k in (2, 3, 4, 6, 8, 12, 20, 32) else "" for k in widths])
            axis.minorticks_off()
        axes[0, 0].set_ylabel("condition number")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        letter(axes[0])
    return figure


def _nothing() -> Figure:
    with house():
        figure, axis = canvas(height=1.2)
        axis.text(0.5, 0.5, "no stored run", ha="center", va="center", transform=axis.transAxes)
        axis.set_axis_off()
    return figure


def sorting(M0: Tensor, end: float) -> Figure:
    """Draw the diagonal of M(t), its sums of leading entries, and its non-diagonality with the rates g and g / 2."""
    times = torch.linspace(0, end, 241, dtype=torch.float64)
    M = rotation.toda_flow(M0, times)
    s = torch.linalg.eigvalsh(M0).flip(0)
    g = float(rotation.smallest_gap(torch.diag(s)))
    Nd = rotation.non_diagonality(M).numpy()
    k, t = len(M0), times.numpy()
    early = torch.linspace(0, end / 5, 200, dtype=torch.float64)
    diagonal = rotation.toda_flow(M0, early).diagonal(dim1=1, dim2=2)
    with house():
        figure, axes = canvas(1, 3, height=3.0)
        for i, style in enumerate(strokes(k)):
            axes[0].plot(early, diagonal[:, i], label=f"$M_{{{i + 1}{i + 1}}}$", **style)
            axes[0].axhline(s[i], color="#bbbbbb", linewidth=0.7, zorder=1)
            if i < k - 1:
                axes[1].plot(early, diagonal[:, : i + 1].sum(1), label=f"first {i + 1}", **style)
        axes[0].set(xlabel="$t$", title="the diagonal")
        axes[0].legend(fontsize=8, loc="upper right", bbox_to_anchor=(1, 0.93), labelspacing=0.2)
        axes[1].set(xlabel="$t$", title="leading sums")
        axes[1].legend(fontsize=8, loc="lower right", labelspacing=0.2)
        axes[1].set_ylim(bottom=0)
        axes[2].plot(t, Nd, color=COLOURS[0], label="Nd(M)")
        last = Nd[-1] if Nd[-1] > 1e-13 else 1e-13
        for rate, dash, label in ((g / 2, (0, (5, 1.5)), "rate $g/2$"), (g, (0, (1, 1.2)), "rate $g$ (printed)")):
            start = last * np.exp(g / 2 * (t[-1] - t[len(t) // 2]))
            axes[2].plot(
                t[len(t) // 2 :],
                start * np.exp(-rate * (t[len(t) // 2 :] - t[len(t) // 2])),
                color="#D55E00",
                linestyle=dash,
                label=label,
            )
        axes[2].set(yscale="log", xlabel="$t$", title="non-diagonality")
        axes[2].legend(fontsize=8)
        letter(axes)
    return figure


def misalignment(records: Sequence) -> Figure:
    """Draw RAG's final distance from the axes against what its imbalance predicts, and against the start's scale."""
    looks = {"gd": (COLOURS[2], "s"), "nesterov": (COLOURS[0], "o"), "adam": (COLOURS[1], "^")}
    with house():
        figure, (left, right) = canvas(1, 2, height=3.3)
        low = 1e-10
        left.plot([low, 2], [low, 2], color="#888888", linewidth=0.8, linestyle=(0, (2, 2)))
        base = [r for r in records if r.spec["optimiser"] == "nesterov"]
        lr = max({r.spec["lr"] for r in base}, key=lambda value: sum(r.spec["lr"] == value for r in base), default=None)
        for name, (colour, marker) in looks.items():
            chosen = [r for r in records if r.spec["optimiser"] == name]
            if chosen:
                left.plot(
                    [max(r.scalars["predicted_d_align"], low) for r in chosen],
                    [max(r.scalars["d_align"], low) for r in chosen],
                    marker,
                    color=colour,
                    markerfacecolor="none",
                    label={"gd": "gradient descent"}.get(name, name.title()),
                )
        scaled = sorted((r for r in base if r.spec["lr"] == lr), key=lambda r: r.spec["start"])
        right.plot(
            [r.spec["start"] for r in scaled],
            [r.scalars["d_align"] for r in scaled],
            "o",
            color=COLOURS[0],
            markerfacecolor="none",
        )
        left.set(
            xscale="log",
            yscale="log",
            xlabel="predicted from the imbalance",
            ylabel="final $d_{align}$",
            title="what stays misaligned",
        )
        if left.get_legend_handles_labels()[0]:
            left.legend()
        right.set(
            xscale="log",
            yscale="log",
            xlabel="standard deviation of the start",
            ylabel="final $d_{align}$",
            title=f"Nesterov, rate {lr:g}" if lr else "no run",
        )
        letter((left, right))
    return figure
