"""Figures of chapter 11: how the flow of RAG sorts, and what stays misaligned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from implicit_rank.figures.kit import interactive
from implicit_rank.figures.kit.slider import Html
from implicit_rank.figures.kit.style import COLOURS, canvas, house, letter, strokes
from implicit_rank.theory import rotation


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


def sorting_matrix(M0: Tensor, times: Tensor) -> Html:
    """The flow from `M0` (k, k) at some `times` (t,) as a square of cells, moved by a slider and a play button."""
    return interactive.sorting_matrix(
        times.tolist(),
        rotation.toda_flow(M0, times).numpy(),
        "The matrix M as a square of coloured cells: in time the cells off the diagonal fade "
        "and the diagonal descends.",
    )
