"""Figures of chapter 2's theory: the clock, starts that go to zero, and when rank is visible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from implicit_rank.experiments.greedy_rank import visibility
from implicit_rank.experiments.greedy_rank.clock import aligned_times, plane_times
from implicit_rank.figures.kit.style import COLOURS, canvas, house, letter, plain_numbers, plain_ticks, ramp, strokes
from implicit_rank.store import filter_records
from implicit_rank.theory.alignment import alignment_delay
from implicit_rank.theory.visibility import bbp_edge, detection_limit, gavish_donoho_threshold


def clock(records: Sequence) -> Figure:
    """Draw measured over predicted emergence times: of an aligned start, of the flow in the plane; and the delay."""
    depths = sorted({r.spec["depth"] for r in records})
    kinds = (("aligned from the start", aligned_times), ("flow in the plane", plane_times))
    with house():
        figure, axes = canvas(1, 2, height=3.2, width_ratios=(3, 2))
        for (label, times), style in zip(kinds, strokes(2, markers=True), strict=True):
            for depth in depths:
                chosen = filter_records(records, depth=depth)
                predicted = np.concatenate([times(r) for r in chosen])
                measured = np.concatenate([r.arrays["half"] for r in chosen])
                axes[0].plot(
                    predicted,
                    measured / predicted,
                    linestyle="none",
                    marker=style["marker"],
                    color=style["color"],
                    markersize=3.5,
                    label=label if depth == depths[0] else None,
                )
        axes[0].axhline(1, color="black", linewidth=0.8, linestyle=":")
        axes[0].set(xscale="log", xlabel="predicted step", ylabel="measured / predicted", title="Each direction")
        axes[0].legend(loc="upper right", bbox_to_anchor=(1, 1.02))
        axes[0].set_ylim(0.8, 2.1)
        many = np.array([3, 4, 6, 8, 12, 16, 24, 32, 64, 128])
        for overlap, style in zip((-0.1, 0.0, 0.1), strokes(3), strict=True):
            curve = [alignment_delay(int(N), overlap) for N in many]
            axes[1].plot(many, curve, label=f"{overlap:g}", **style)
        axes[1].axhline(1.4513692, color="black", linewidth=0.8, linestyle=":")
        axes[1].set(xscale="log", xlabel="number of layers N", ylabel=r"delay $\kappa_N$", title="The delay")
        plain_ticks(axes[1].xaxis, [3, 8, 32, 128])
        axes[1].legend(title="overlap")
        letter(axes)
    return figure


def small_starts(records: Sequence) -> Figure:
    """Draw, against the size of the start, how short a rise is for its wait, and the ratio of last to first time."""
    seeds = sorted({r.spec["seed"] for r in records})
    with house():
        figure, axes = canvas(1, 2, height=2.9)
        for seed, style in zip(seeds, ramp(seeds), strict=True):
            chosen = sorted(filter_records(records, seed=seed), key=lambda r: r.spec["scale"])
            scales = [r.spec["scale"] for r in chosen]
            halves = [r.arrays["half"] for r in chosen]
            first = [int(np.argmin(half)) for half in halves]
            rises = [half[k] / r.arrays["tenth"][k] - 1 for r, half, k in zip(chosen, halves, first, strict=True)]
            axes[0].loglog(scales, rises, marker="o", **style)
            axes[1].semilogx(scales, [half.max() / half.min() for half in halves], marker="o", **style)
        line = np.array([1e-6, 1e-2])
        axes[0].loglog(line, 0.6 * line ** (1 / 3), color="black", linewidth=0.8, linestyle=":")
        axes[0].set(xlabel="size of the start", ylabel="rise / wait", title="Rises become jumps")
        axes[1].set(xlabel="size of the start", ylabel="last time / first time", title="The queue keeps its spacing")
        axes[1].set_ylim(bottom=1)
        letter(axes)
    return figure


def visible(records: Sequence) -> Figure:
    """Draw against the noise the rank that each rule finds, and the singular values beside edge and thresholds."""
    noises = sorted({r.spec["noise"] for r in records})
    rules = (
        ("above the edge", "edge_rank"),
        ("Gavish, Donoho", "known_rank"),
        ("the same, unknown noise", "median_rank"),
        ("1 % of the largest", "data_rank"),
        ("1 %, codes of the chain", "code_rank"),
    )
    groups = [filter_records(records, noise=noise) for noise in noises]
    rank, shape = records[0].spec["true_rank"], visibility.shape(records[0])
    with house():
        figure, axes = canvas(1, 2, height=3.6)
        for (label, name), style in zip(rules, strokes(len(rules), markers=True), strict=True):
            found = [[visibility.MEASURES[name](r) for r in group] for group in groups]
            axes[0].plot(noises, [np.median(values) for values in found], label=label, **style)
        axes[0].axhline(rank, color="black", linewidth=0.8, linestyle=":")
        axes[0].set(ylabel="rank found", title="What each rule finds", yscale="symlog", ylim=(0, 100))
        axes[0].set_yscale("symlog", linthresh=1, base=2)
        axes[0].set_yticks([0, 1, 2, 4, 8, 16, 32, 64], labels=["0", "1", "2", "4", "8", "16", "32", "64"])
        axes[0].yaxis.set_minor_locator(NullLocator())
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        places = np.geomspace(noises[0], noises[-1], 60)
        curves = (
            ("edge of the noise", bbp_edge),
            ("threshold", gavish_donoho_threshold),
            ("detection limit", detection_limit),
        )
        for (label, law), style in zip(curves, strokes(3), strict=True):
            axes[1].plot(places, [law(shape, noise) for noise in places], label=label, **style)
        for index, (marker, colour) in ((rank - 1, ("o", COLOURS[4])), (rank, ("x", COLOURS[6]))):
            values = [np.median([r.arrays["data"][index] for r in group]) for group in groups]
            axes[1].plot(noises, values, linestyle="none", marker=marker, color=colour, label=f"$S_{{{index + 1}}}$")
        axes[1].set(ylabel="singular value of the data", title="Where they part", yscale="log")
        axes[1].legend(loc="lower right")
        for axis in axes:
            axis.set(xscale="log", xlabel="standard deviation of the noise")
            plain_numbers(axis.xaxis)
        letter(axes)
    return figure
