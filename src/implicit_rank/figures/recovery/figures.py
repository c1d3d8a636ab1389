"""Figures 2, 3 and 4 of Bao 2020, and the chapter's own, drawn from live or stored runs of one experiment."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure

from implicit_rank.experiments.recovery.published import FIGURE_4
from implicit_rank.figures.kit.style import COLOURS, DASHES, MARKERS, canvas, house, letter
from implicit_rank.spectra import random_rotation_axis_distance

NAMES = {
    "rag": "RAG",
    "deterministic_nested_dropout": "deterministic nested dropout",
    "nested_dropout": "nested dropout",
    "nonuniform_l2": "non-uniform ℓ2",
    "vae": "linear VAE",
    "uniform_l2": "uniform ℓ2",
}
OPTIMISERS = {"nesterov": "Nesterov momentum", "adam": "Adam", "gd": "gradient descent"}
STYLES = {model: {"color": COLOURS[i], "linestyle": DASHES[i], "marker": MARKERS[i]} for i, model in enumerate(NAMES)}


def or_empty(draw: Callable) -> Callable:
    """A figure function that says so when there is no run to draw."""

    @functools.wraps(draw)
    def drawn(records: Sequence, *arguments, **options) -> Figure:
        if len(records):
            return draw(records, *arguments, **options)
        with house():
            figure, axis = canvas(height=1.2)
            axis.set_axis_off()
            axis.text(0.5, 0.5, "No stored run is there.", ha="center", va="center")
        return figure

    return drawn


@or_empty
def dynamics(records: Sequence) -> Figure:
    """Draw d_align (top) and d_sub (bottom) against steps, one column an optimiser (Bao 2020, Figure 2).

    Lines are medians over seeds, bands run from the smallest to the largest seed; the dotted grey line is the
    expectation of d_align for a random rotation of the right subspace.
    """
    optimisers = [name for name in OPTIMISERS if any(r.spec["optimiser"] == name for r in records)]
    null = random_rotation_axis_distance(records[0].spec["k"])
    with house():
        figure, axes = canvas(2, len(optimisers), 5.6, sharex=True, sharey="row", squeeze=False)
        for column, optimiser in enumerate(optimisers):
            for model, style in STYLES.items():
                runs = [r for r in records if (r.spec["model"], r.spec["optimiser"]) == (model, optimiser)]
                if not runs:
                    continue
                line = {key: style[key] for key in ("color", "linestyle")}
                for row, name in enumerate(("d_align", "d_sub")):
                    steps, values = _stacked(runs, name)
                    values = np.maximum(values, 1e-16)
                    axes[row, column].plot(steps, np.nanmedian(values, axis=0), label=NAMES[model], **line)
                    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
                    axes[row, column].fill_between(steps, low, high, color=line["color"], alpha=0.15, linewidth=0)
            top, bottom = axes[:, column]
            top.axhline(null, color="#777777", linestyle=":", linewidth=1.2)
            top.annotate(
                "random rotation",
                (0.02, null),
                xycoords=("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                fontsize=8,
                color="#555555",
            )
            top.set(title=OPTIMISERS[optimiser], ylim=(0, 1))
            bottom.set(xlabel="full-batch steps", yscale="log", xscale="log", xlim=(10, None), ylim=(1e-16, 2))
        axes[0, 0].set_ylabel("distance from the axes\n$d_{align}$")
        axes[1, 0].set_ylabel("distance from the subspace\n$d_{sub}$")
        letter(axes[0])
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _stacked(runs: Sequence, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The recorded steps (t,) and the series of all runs (runs, t), cut to the shortest; step 0 left out."""
    shortest = min(len(r.arrays["steps"]) for r in runs)
    steps = runs[0].arrays["steps"][1:shortest]
    return steps, np.stack([r.arrays[name][1:shortest] for r in runs]).astype(float)


@or_empty
def scaling(records: Sequence, level: float = 0.3, limit: int | None = None, paper: bool = True) -> Figure:
    """Draw the steps to d_align <= `level` against the latent width, one panel an optimiser (Bao 2020, Figure 4).

    Points are seeds, lines their medians; a cross at the top marks a width at which no seed got there
    within the steps allowed. Thin grey lines are the values read off the published figure.
    """
    optimisers = [name for name in OPTIMISERS if any(r.spec["optimiser"] == name for r in records)]
    limit = limit or max(r.spec["steps"] for r in records)
    with house():
        figure, axes = canvas(1, len(optimisers), 4.2, sharey=True, squeeze=False)
        for axis, optimiser in zip(axes[0], optimisers, strict=True):
            axis.set(xscale="log", yscale="log")
            for model, style in STYLES.items():
                runs = [r for r in records if (r.spec["model"], r.spec["optimiser"]) == (model, optimiser)]
                if not runs:
                    continue
                _scaling_line(axis, runs, level, limit, NAMES[model], style)
                published = FIGURE_4.get((model, optimiser)) if paper else None
                if published:
                    axis.plot(
                        published.keys(),
                        published.values(),
                        color="#999999",
                        linewidth=0.9,
                        zorder=1,
                        linestyle=style["linestyle"],
                        marker=style["marker"],
                        markersize=2.5,
                    )
            axis.axhline(limit, color="#bbbbbb", linewidth=0.8)
            axis.set(title=OPTIMISERS[optimiser], xlabel="latent width k")
            widths = sorted({r.spec["k"] for r in records})
            axis.set_xticks(widths, [str(k) if k not in (300, 400) else "" for k in widths])
            axis.minorticks_off()
        axes[0, 0].set_ylabel(f"steps to $d_{{align}}$ ≤ {level:g}")
        letter(axes[0])
        # the panel with most models first, so that every model has its entry once
        entries = {}
        for axis in axes[0]:
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                entries.setdefault(label, handle)
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=3)
    return figure


def first_step(record, level: float) -> float:
    """The first recorded step with d_align at most `level`, or infinity."""
    steps = record.arrays["steps"][record.arrays["d_align"] <= level]
    return float(steps[0]) if len(steps) else np.inf


def _scaling_line(axis, runs: Sequence, level: float, limit: int, label: str, style: dict) -> None:
    widths = sorted({r.spec["k"] for r in runs})
    times = {k: [first_step(r, level) for r in runs if r.spec["k"] == k] for k in widths}
    medians = [np.median(np.minimum(times[k], 1e12)) for k in widths]
    done = [(k, t) for k, t in zip(widths, medians, strict=True) if t < 1e11]
    if done:
        axis.plot(*zip(*done, strict=True), label=label, **style)
    for k in widths:
        reached = [t for t in times[k] if np.isfinite(t)]
        axis.plot(
            [k] * len(reached),
            reached,
            linestyle="",
            marker=style["marker"],
            markersize=3,
            alpha=0.45,
            color=style["color"],
        )
    failed = [k for k in widths if not np.isfinite(times[k]).any()]
    axis.plot(
        failed, [limit] * len(failed), linestyle="", marker="x", markersize=8, markeredgewidth=1.8, color=style["color"]
    )


@or_empty
def rates(records: Sequence, level: float = 0.1) -> Figure:
    """Draw the steps to d_align <= `level` against the learning rate, one line a model and its setting."""
    optimisers = [name for name in OPTIMISERS if any(r.spec["optimiser"] == name for r in records)]
    limit = max(r.spec["steps"] for r in records)
    variants = {
        ("deterministic_nested_dropout", "uniform", "paper"): "deterministic nested dropout, uniform prior",
        ("nonuniform_l2", "paper", "linear"): "non-uniform ℓ2, linear penalties",
    }
    keys = list(dict.fromkeys((r.spec["model"], r.spec["prior"], r.spec["penalties"]) for r in records))
    with house():
        figure, axes = canvas(1, len(optimisers), 3.9, sharey=True, squeeze=False)
        for axis, optimiser in zip(axes[0], optimisers, strict=True):
            axis.set(xscale="log", yscale="log")
            for i, key in enumerate(keys):
                runs = [
                    r
                    for r in records
                    if r.spec["optimiser"] == optimiser
                    and (r.spec["model"], r.spec["prior"], r.spec["penalties"]) == key
                ]
                steps = {}
                for r in runs:
                    steps.setdefault(r.scalars["lr"], []).append(first_step(r, level))
                medians = [min(float(np.median(np.minimum(v, 1e12))), 1.6 * limit) for _, v in sorted(steps.items())]
                axis.plot(
                    sorted(steps),
                    medians,
                    label=variants.get(key, NAMES[key[0]]),
                    color=COLOURS[i],
                    linestyle=DASHES[i],
                    marker=MARKERS[i],
                )
            axis.axhline(limit, color="#bbbbbb", linewidth=0.8)
            tried = sorted({r.scalars["lr"] for r in records if r.spec["optimiser"] == optimiser})
            axis.set_xticks(tried, [f"{rate:g}" for rate in tried])
            axis.minorticks_off()
            axis.set(title=OPTIMISERS[optimiser], xlabel="learning rate")
        axes[0, 0].set_ylabel(f"steps to $d_{{align}}$ ≤ {level:g}\n(above the grey line: not reached)")
        letter(axes[0])
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


@or_empty
def two_alignments(records: Sequence) -> Figure:
    """Draw d_align against the ordered d_align at the end, one mark a run, with the null values of both."""
    k = records[0].spec["k"]
    with house():
        figure, axis = canvas(height=4.2)
        for model, style in STYLES.items():
            for optimiser, fill in (("nesterov", "full"), ("gd", "left"), ("adam", "none")):
                runs = [r for r in records if (r.spec["model"], r.spec["optimiser"]) == (model, optimiser)]
                if runs:
                    points = [(r.scalars["d_align"], r.scalars["d_align_ordered"]) for r in runs]
                    label = f"{NAMES[model]}, {optimiser}"
                    axis.plot(
                        *zip(*points, strict=True),
                        linestyle="",
                        marker=style["marker"],
                        fillstyle=fill,
                        color=style["color"],
                        markersize=7,
                        label=label,
                    )
        axis.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        axis.plot(
            random_rotation_axis_distance(k),
            1 - 1 / k,
            marker="*",
            markersize=13,
            linestyle="",
            color="#777777",
            label="random rotation",
        )
        axis.set(
            xlabel="$d_{align}$: best column for each axis",
            ylabel="ordered: column i for axis i",
            xlim=(-0.02, 1),
            ylim=(-0.02, 1.02),
        )
        figure.legend(*axis.get_legend_handles_labels(), loc="outside right center")
    return figure
