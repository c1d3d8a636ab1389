"""Figures of chapter 2: Sun 2021, Figures 1 and 5(a), and what the book asks beyond them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from implicit_rank.experiments.greedy_rank.measures import (
    emergence_times,
    final_rank,
    rank_series,
    size_over_law,
    time_over_law,
)
from implicit_rank.figures.kit.slider import Html, moving_bars
from implicit_rank.figures.kit.style import COLOURS, canvas, house, legend, letter, nothing, ramp, strokes
from implicit_rank.store import filter_records


def figure_1(records: Sequence, rank_threshold: float | None = None) -> Figure:
    """Draw loss, rank(W_e) and code rank against steps for the four panels of Sun 2021's Figure 1.

    Every curve is the median over seeds; the band spans all of them.
    """
    orthogonal = filter_records(records, start="orthogonal")
    middle = _middle_depth(orthogonal)
    rows = [
        ("vanilla", "none", filter_records(records, start="none"), "depth"),
        ("standard start", "N", filter_records(records, start="default"), "depth"),
        (r"orthogonal, $\alpha=1$", "N", filter_records(orthogonal, alpha=1.0), "depth"),
        (f"orthogonal, N = {middle}", r"$\alpha$", filter_records(orthogonal, depth=middle), "alpha"),
    ]
    rows = [row for row in rows if row[2]]
    if not rows:
        return nothing("No stored run is there.")
    with house():
        figure, axes = canvas(len(rows), 3, height=2.15 * len(rows) + 0.4, squeeze=False, sharex=True)
        for line, (name, key, chosen, field) in zip(axes, rows, strict=True):
            values = sorted({r.spec[field] for r in chosen})
            for value, style in zip(values, ramp(values), strict=True):
                group = filter_records(chosen, **{field: value})
                _band(line[0], group, lambda r: r.arrays["loss"], style, f"{value:g}")
                for axis, matrix in ((line[1], "effective"), (line[2], "codes")):
                    if not (matrix == "effective" and field == "depth" and value == 0):
                        _band(axis, group, lambda r, m=matrix: rank_series(r, m, rank_threshold), style, f"{value:g}")
            line[0].set(yscale="log", ylabel="loss", title=name)
            line[1].set(title=r"rank of $W_e$")
            line[2].set(title="rank of codes")
            true_rank = chosen[0].spec["true_rank"]
            if chosen[0].spec["data"] == "synthetic":
                for axis in line[1:]:
                    axis.axhline(true_rank, color="black", linewidth=0.8, linestyle=":")
                    _counts(axis)
                line[0].axhline(
                    np.median([r.scalars["floor"] for r in chosen]), color="black", linewidth=0.8, linestyle=":"
                )
            if len(values) > 1:
                line[2].legend(title=key, fontsize=8, title_fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
            else:
                line[1].clear()
                line[1].set_axis_off()
                line[1].text(0.5, 0.5, "no chain, no $W_e$", ha="center", va="center", transform=line[1].transAxes)
        for axis in axes[-1]:
            axis.set(xlabel="step")
            axis.locator_params(axis="x", nbins=4)
        letter(axes[:, 0])
    return figure


def figure_5a(records: Sequence) -> Figure:
    """Draw the leading singular values of W_e and of the codes against steps, for one run (Sun 2021, Figure 5(a))."""
    record = records[0]
    steps, count = record.arrays["steps"], record.spec["true_rank"]
    with house():
        figure, axes = canvas(2, 1, height=4.6, sharex=True)
        for axis, name, title in ((axes[0], "effective", "effective matrix"), (axes[1], "codes", "codes")):
            values = record.arrays[name]
            for k, style in zip(range(count), ramp(range(count)), strict=True):
                axis.plot(steps, values[:, k], **style)
                axis.annotate(
                    f"{k + 1}",
                    (steps[-1], values[-1, k]),
                    xytext=(3, 0),
                    textcoords="offset points",
                    fontsize=7.5,
                    va="center",
                )
            axis.plot(steps, values[:, count:], color="#888888", linewidth=0.8)  # the directions that never start
            axis.set(ylabel="singular value", title=title)
        axes[1].set(xlabel="step")
    return figure


def emergence(records: Sequence) -> Figure:
    """Draw the step at which each data mode is half fitted against its singular value, chains beside vanilla."""
    vanilla = filter_records(records, start="none")
    chains = filter_records(records, start="orthogonal")
    depths = sorted({r.spec["depth"] for r in chains})
    if len(depths) > 5:  # more would need markers that nobody can tell apart
        depths = [depths[i] for i in np.linspace(0, len(depths) - 1, 5).round().astype(int)]
    with house():
        figure, axis = canvas(height=3.4)
        styles = strokes(len(depths) + 1, markers=True)
        groups = [("no chain", vanilla)] + [(f"N = {depth}", filter_records(chains, depth=depth)) for depth in depths]
        for (label, group), style in zip(groups, styles, strict=True):
            strength = np.concatenate([r.arrays["data"][: len(emergence_times(r))] for r in group] or [[]])
            times = np.concatenate([emergence_times(r) for r in group] or [[]])
            seen = np.isfinite(times)
            axis.loglog(
                strength[seen], times[seen], linestyle="none", label=label, color=style["color"], marker=style["marker"]
            )
        axis.set(xlabel="singular value of the data mode", ylabel="step at which it is half fitted")
        for minor in (axis.xaxis, axis.yaxis):
            minor.set_minor_formatter("{x:g}" if minor is axis.xaxis else "")
        legend(axis, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def laws(records: Sequence) -> Figure:
    """Draw time over law and size over law against N: both are flat if the laws hold."""
    chains = filter_records(records, start="orthogonal")
    alphas = sorted({r.spec["alpha"] for r in chains})
    depths = sorted({r.spec["depth"] for r in chains})
    panels: list[tuple[str, str, Callable]] = [
        ("Half-time against law", r"half-time $/\,T_N$", time_over_law),
        ("Final size against law", r"$\sigma_1(W_e)\,/$ law", size_over_law),
    ]
    with house():
        figure, axes = canvas(1, 2, height=3.0)
        for axis, (title, label, measure) in zip(axes, panels, strict=True):
            for alpha, style in zip(alphas, strokes(len(alphas), markers=True), strict=True):
                _dots(axis, filter_records(chains, alpha=alpha), "depth", measure, style, rf"$\alpha={alpha:g}$")
            axis.set(xlabel="number of layers N", ylabel=label, title=title, xscale="log")
            axis.set_xticks(depths, labels=[str(depth) for depth in depths])
            axis.xaxis.set_minor_locator(NullLocator())
            axis.set_ylim(bottom=0)
        axes[1].axhline(1, color="black", linewidth=0.8, linestyle=":")
        legend(axes[0])
        letter(axes)
    return figure


def rising(records: Sequence, count: int = 60) -> Html:
    """Bars of the leading singular values of one run, which a slider moves through about `count` of its steps."""
    record = records[0]
    keep = np.unique(np.linspace(0, len(record.arrays["steps"]) - 1, count).astype(int))
    panels = {"effective matrix": record.arrays["effective"][keep], "codes": record.arrays["codes"][keep]}
    words = "Bars of the sixteen leading singular values; eight of them rise one after another as the slider moves."
    return moving_bars(record.arrays["steps"][keep], panels, words, marked=record.spec["true_rank"])


def kinds(records: Sequence) -> dict[str, list]:
    """Runs by kind of model, in the order of the records: "no chain", "standard, N = 4"."""
    names: dict[str, list] = {}
    for record in records:
        start, depth = record.spec["start"], record.spec["depth"]
        name = {"none": "no chain", "default": f"standard, N = {depth}"}.get(start, f"{start}, N = {depth}")
        names.setdefault(name, []).append(record)
    return names


def noise(records: Sequence) -> Figure:
    """Draw, per kind of model, the error against the clean signal on the training data and on fresh samples."""
    groups = kinds(records)
    with house():
        figure, axis = canvas(height=0.55 * len(groups) + 1.1)
        for row, records in enumerate(groups.values()):
            for shift, (split, marker, fill) in enumerate((("clean_error", "o", True), ("fresh_error", "s", False))):
                values = [r.scalars[split] for r in records if split in r.scalars]
                axis.plot(
                    values,
                    [row + 0.22 * (shift - 0.5)] * len(values),
                    linestyle="none",
                    marker=marker,
                    color=COLOURS[shift],
                    fillstyle="full" if fill else "none",
                    label=("training data", "fresh samples")[shift] if row == 0 else None,
                )
        axis.set(xscale="log", xlabel="mean squared error against the clean signal")
        axis.set_yticks(range(len(groups)), labels=list(groups))
        axis.invert_yaxis()
        legend(axis, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def threshold_sensitivity(records: Sequence) -> Figure:
    """Draw the final code rank against the threshold that defines it, the median over seeds, per kind of model."""
    thresholds = np.logspace(-4, -0.7, 60)
    groups = kinds(records)
    with house():
        figure, axis = canvas(height=3.2)
        for (name, records), style in zip(groups.items(), strokes(len(groups)), strict=True):
            ranks = [[final_rank(r, "codes", t) for t in thresholds] for r in records]
            axis.step(thresholds, np.median(ranks, axis=0), where="mid", label=name, **style)
        axis.axvline(0.01, color="black", linewidth=0.8, linestyle=":")
        axis.set(
            xscale="log", yscale="log", xlabel="threshold, as a share of the largest singular value", ylabel="code rank"
        )
        axis.yaxis.set_major_formatter("{x:g}")
        legend(axis)
    return figure


def final_spectra(records: Sequence) -> Figure:
    """Draw the final singular values of W_e, normalised by the largest, per scale of the start; all seeds."""
    groups: dict[str, list] = {}
    for record in records:
        groups.setdefault(f"start at {record.spec['scale']:g}", []).append(record)
    with house():
        figure, axis = canvas(height=3.2)
        for (name, records), style in zip(groups.items(), strokes(len(groups)), strict=True):
            for i, record in enumerate(records):
                values = record.arrays["effective_final"]
                axis.semilogy(
                    np.arange(1, len(values) + 1),
                    np.maximum(values / values.max(), 1e-6),
                    label=None if i else name,
                    **style,
                )
        axis.axhline(0.01, color="black", linewidth=0.8, linestyle=":")
        axis.set(xlabel="index", ylabel=r"$\sigma_r(W_e)\,/\,\sigma_1(W_e)$", xscale="log")
        axis.xaxis.set_major_formatter("{x:g}")
        legend(axis)
    return figure


def queue(records: Sequence, count: int = 8) -> Figure:
    """Draw the fitted share of the leading data modes against steps: together without a chain, in a queue with one."""
    vanilla = next(r for r in records if r.spec["start"] == "none")
    chain = next(r for r in records if r.spec["start"] != "none")
    with house():
        figure, axes = canvas(1, 2, height=3.1, sharey=True)
        depth = chain.spec["depth"]
        for axis, record, title in ((axes[0], vanilla, "no chain"), (axes[1], chain, f"{depth} linear layers")):
            modes = record.arrays["modes"][:, :count]
            for k, style in zip(range(count), ramp(range(count)), strict=True):
                axis.plot(np.maximum(record.arrays["steps"], 1), modes[:, k], label=f"{k + 1}", **style)
            axis.set(xlabel="step", title=title, ylim=(-0.08, 1.12))
        axes[0].set(xscale="log", ylabel="fitted share")  # everything is over early there
        axes[1].legend(title="direction", fontsize=8, title_fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
        letter(axes)
    return figure


def _middle_depth(records: Sequence) -> int:
    """The depth that was run at the most alphas, 0 for no records: the one panel (d) is about."""

    def alphas(depth: int) -> int:
        return len({r.spec["alpha"] for r in filter_records(records, depth=depth)})

    return max(sorted({r.spec["depth"] for r in records}), key=alphas, default=0)


def _counts(axis: Axes) -> None:
    """Give an axis of ranks a base-2 scale with plain numbers."""
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_locator(NullLocator())


def _band(axis: Axes, records: Sequence, series: Callable, style: dict, label: str) -> None:
    steps = records[0].arrays["steps"]
    values = np.array([series(r) for r in records], dtype=float)
    values[values < 0] = np.nan  # after a member was stopped
    axis.plot(steps, np.median(values, axis=0), label=label, **style)
    axis.fill_between(steps, values.min(axis=0), values.max(axis=0), color=style["color"], alpha=0.15, linewidth=0)


def _dots(axis: Axes, records: Sequence, field: str, measure: Callable, style: dict, label: str) -> None:
    places = sorted({r.spec[field] for r in records})
    groups = [[measure(r) for r in filter_records(records, **{field: place})] for place in places]
    axis.plot(places, [np.mean(group) for group in groups], label=label, **style)
    for place, group in zip(places, groups, strict=True):
        axis.scatter([place] * len(group), group, s=10, color=style["color"], marker=style["marker"], alpha=0.5)
