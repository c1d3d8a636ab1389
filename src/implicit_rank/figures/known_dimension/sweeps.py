"""Figures of chapter 3 on what a count hangs on: threshold, penalty, number of maps, start and patience."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from implicit_rank.experiments.known_dimension.measures import MEASURES, code_size, count_above
from implicit_rank.figures.kit.style import canvas, house, legend, letter, nothing, plain_numbers, ramp, strokes
from implicit_rank.figures.known_dimension.figures import EMPTY, GREY, by_model, drawn, price_lines
from implicit_rank.store import filter_records


def thresholds(records: Sequence) -> Figure:
    """Draw the final count against the threshold that defines it, the median over seeds, per model."""
    groups = by_model(records)
    if not groups:
        return nothing(EMPTY)
    shares = np.logspace(-5, -0.3, 90)
    with house():
        figure, axis = canvas(height=3.2)
        for (label, group), style in zip(groups.items(), strokes(len(groups)), strict=True):
            counts = [[count_above(r, share) for share in shares] for r in group]
            axis.step(shares, np.median(counts, axis=0), where="mid", label=drawn(label), **style)
        axis.axvline(0.01, color=GREY, linewidth=0.9, linestyle="--")
        axis.axvline(1e-4, color=GREY, linewidth=0.9, linestyle=":")
        axis.axhline(7, color="black", linewidth=0.8, linestyle=":")
        axis.set(xscale="log", xlabel=r"threshold, as a share of $\lambda_1$", ylabel="count", ylim=(0, None))
        legend(axis, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def penalties(records: Sequence) -> Figure:
    """Draw count, error and size of the codes against the penalty's coefficient; runs without one are lines."""
    penalised = [r for r in records if r.spec["l1"] or r.spec["l2"]]
    if not penalised:
        return nothing(EMPTY)
    panels: list[tuple[str, Callable, str]] = [
        ("Count", MEASURES["rank_covariance"], "linear"),
        ("Error", MEASURES["error"], "log"),
        ("Size of the codes", code_size, "log"),
    ]
    lines = {label: group for label, group in by_model(records).items() if label in ("AE", "l = 2")}
    with house():
        figure, axes = canvas(1, 3, height=3.1)
        for axis, (title, measure, scale) in zip(axes, panels, strict=True):
            for kind, style in zip(("l1", "l2"), strokes(2, markers=True), strict=True):
                _points(axis, [r for r in penalised if r.spec[kind]], kind, measure, style, f"AE + {kind.upper()}")
            for (label, group), dash in zip(lines.items(), ("--", ":"), strict=False):
                value = np.mean([measure(r) for r in group])
                axis.axhline(value, color="black", linewidth=1, linestyle=dash, label=drawn(label))
            axis.set(title=title, xscale="log", yscale=scale, xlabel="coefficient")
            if scale == "log":
                plain_numbers(axis.yaxis)
        axes[0].set_ylim(bottom=0)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
        letter(axes)
    return figure


def depths(records: Sequence) -> Figure:
    """Draw both counts, the error and R^2 of factors against l."""
    if not records:
        return nothing(EMPTY)
    panels = [
        ("Counts", {"covariance": "rank_covariance", "code matrix": "rank_codes"}),
        ("Error", {"": "error"}),
        ("R² on the codes", {"hue": "r2_hue", "size": "r2_size", "position": "r2_position", "shape": "r2_shape"}),
    ]
    with house():
        figure, axes = canvas(1, 3, height=3.0)
        for axis, (title, measures) in zip(axes, panels, strict=True):
            for (label, measure), style in zip(measures.items(), strokes(len(measures), markers=True), strict=True):
                _points(axis, records, "depth", MEASURES[measure], style, label)
            axis.set(title=title, xlabel="linear maps $l$", xticks=sorted({r.spec["depth"] for r in records}))
            axis.set_ylim(bottom=0 if title != "R² on the codes" else -0.1)
        axes[0].axhline(7, color="black", linewidth=0.8, linestyle=":")
        legend(axes[0])
        legend(axes[2], loc="best", fontsize=8)
        letter(axes)
    return figure


def stuck(records: Sequence) -> Figure:
    """Draw courses of error (top) and count (below), and what a plain autoencoder makes of the same function after.

    One column a start; the dashed branches begin where the chain was folded away.
    """
    if not records:
        return nothing(EMPTY)
    columns = {"He's start": filter_records(records, conv_start="he")}
    columns |= {"PyTorch's start": filter_records(records, conv_start="default")}
    names = list(by_model(records))
    styles = dict(zip(names, ramp(names), strict=True))
    with house():
        figure, axes = canvas(2, 2, height=5.0, sharex="col", squeeze=False)
        for column, (title, started) in enumerate(columns.items()):
            top, bottom = axes[:, column]
            for label, group in by_model(started).items():
                for i, record in enumerate(sorted(group, key=lambda r: -r.spec["epochs"])):
                    _course(top, bottom, record, styles[label]["color"], None if i else drawn(label))
            price_lines(top, records)
            top.set(title=title, yscale="log", ylim=(4e-4, 0.012))
            plain_numbers(top.yaxis)
            bottom.set(xlabel="epochs", ylim=(0, None))
            bottom.yaxis.set_major_locator(MaxNLocator(integer=True))
            bottom.axhline(7, color="black", linewidth=0.8, linestyle=":")
        axes[0, 0].set(ylabel="error")
        axes[1, 0].set(ylabel="count")
        drawn_lines = [axis.get_legend_handles_labels() for axis in axes[0]]
        found = {label: line for lines, labels in drawn_lines for line, label in zip(lines, labels, strict=True)}
        handles = {drawn(name): found[drawn(name)] for name in names}
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, fontsize=9)
        letter(axes[0])
    return figure


def _course(top: Axes, bottom: Axes, record, colour, label: str | None) -> None:
    arrays = record.arrays
    epochs = arrays["epochs"]
    top.plot(epochs[1:], arrays["error"][1:], color=colour, linewidth=1.1, label=label)
    bottom.plot(epochs[1:], arrays["rank_covariance"][1:], color=colour, linewidth=1.1)
    if "released_error" in arrays:
        after = epochs[-1] + arrays["released_epochs"]
        dashed = {"color": colour, "linewidth": 1.1, "linestyle": (0, (2, 1.2))}
        top.plot(after, arrays["released_error"], **dashed)
        bottom.plot(after, arrays["released_rank_covariance"], **dashed)
        for axis, name in ((top, "error"), (bottom, "rank_covariance")):
            axis.plot(epochs[-1], arrays[name][-1], "o", color=colour, markersize=3.5)


def _points(axis: Axes, records: Sequence, field: str, measure: Callable, style: dict, label: str) -> None:
    places = sorted({r.spec[field] for r in records})
    groups = [[measure(r) for r in records if r.spec[field] == place] for place in places]
    axis.plot(places, [np.mean(group) for group in groups], label=label or None, **style)
    for place, group in zip(places, groups, strict=True):
        axis.scatter([place] * len(group), group, s=9, color=style["color"], marker=style["marker"], alpha=0.5)
