"""Figures of chapters 6 and 7: Sun 2021, Figures 2 to 4, 5(b) and 6 to 8, from live and stored members alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from implicit_rank.experiments.greedy_images.measures import MEASURES, by_alpha, mean
from implicit_rank.figures.kit.captions import IMAGES, runs_shown
from implicit_rank.figures.kit.style import (
    COLOURS,
    MARKERS,
    canvas,
    house,
    legend,
    letter,
    nothing,
    plain_numbers,
    ramp,
)
from implicit_rank.store import filter_records

EMPTY = "No stored run is there."
METHODS = ("no chain", "hand-set rank", "standard start", "orthogonal start")
ACCURACY, DISTANCE = "test accuracy, 1,000 labels", "distance of samples"


def method_of(record) -> str:
    """Which of the paper's four ways a member goes; two stages count as their first."""
    spec = record.spec
    if not spec["depth"]:
        return METHODS[0]
    if spec["inner"]:
        return METHODS[1]
    return METHODS[2] if spec["init"] == "default" else METHODS[3]


def look(method: str) -> dict:
    """The colour and the marker of a method, the same in every figure."""
    i = METHODS.index(method)
    return {"color": COLOURS[i], "marker": MARKERS[i]}


def grid(records: Sequence, data: str | None = None) -> list:
    """The members of Figures 2 to 4: study "grid", square or capped maps."""
    kept = filter_records(records, study="grid")
    return filter_records(kept, data=data) if data else kept


def set_up(records: Sequence) -> str:
    """A caption's sentences: how large the runs of autoencoders are, beside the paper's size, and which they are."""
    if not records or "epochs" not in records[0].spec:
        return runs_shown(records)
    spec = records[0].spec
    data = " and ".join(dict.fromkeys(IMAGES.get(r.spec["data"], r.spec["data"]) for r in records))
    epochs = " or ".join(f"{n:g}" for n in sorted({r.spec["epochs"] for r in records}))
    counts = " or ".join(f"{n:,}" if n else "all" for n in sorted({r.spec["count"] for r in records}))
    rates = " or ".join(f"{lr:g}" for lr in sorted({r.spec["lr"] for r in records}))
    return (
        f"{epochs} epochs of {counts} images of {data}, {spec['channel_factor']:g} times the paper's channels, "
        f"learning rate {rates}{_start(records)}. {runs_shown(records)}"
    )


def _start(records: Sequence) -> str:
    starts = {r.spec.get("conv_start", "default") for r in records}
    return {("default",): ", PyTorch's start", ("zero-output-bias",): ", output bias 0 at the start"}.get(
        tuple(starts), ", several starts"
    )


def against_rank(records: Sequence) -> Figure:
    """Draw accuracy and distance against code rank for the standard start, N written beside (Figures 2 and 6)."""
    chosen = [r for r in grid(records) if method_of(r) in (METHODS[0], METHODS[2])]
    if not chosen:
        return nothing(EMPTY)
    with house():
        figure, axes = canvas(1, 2, height=3.2)
        for axis, measure, label in _tasks(axes):
            depths = sorted({r.spec["depth"] for r in chosen})
            groups = [filter_records(chosen, depth=depth) for depth in depths]
            means = [(mean(group, "rank_codes"), mean(group, measure)) for group in groups]
            axis.plot(*zip(*means, strict=True), color=COLOURS[METHODS.index("standard start")], linewidth=1)
            for depth, group, middle in zip(depths, groups, means, strict=True):
                _cloud(axis, group, measure, method_of(group[0]))
                axis.annotate(
                    f"N = {depth}", middle, xytext=(6, 7), textcoords="offset points", fontsize=9, color="#333333"
                )
            axis.set(xscale="log", xlabel="rank of codes", ylabel=label)
            axis.margins(x=0.16, y=0.16)
            plain_numbers(axis.xaxis)
        accuracy_axis(axes[0])
        axes[0].set_title("Classification")
        axes[1].set(title="Sampling (lower is better)", yscale="log")
        plain_numbers(axes[1].yaxis)
        letter(axes)
    return figure


def against_alpha(records: Sequence) -> Figure:
    """Draw both ranks, accuracy and distance against alpha for every N; crosses: diverged (Figures 3 and 7)."""
    chosen = [r for r in grid(records) if method_of(r) == METHODS[3]]
    if not chosen:
        return nothing(EMPTY)
    panels = [("Rank of $W_e$", "rank_effective", "rank"), ("Rank of codes", "rank_codes", "rank")]
    panels += [("Classification", "accuracy_best_codes", ACCURACY), ("Sampling", "distance", DISTANCE)]
    with house():
        figure, axes = canvas(2, 2, height=5.4, sharex=True)
        depths = sorted({r.spec["depth"] for r in chosen})
        lost = sorted({r.spec["alpha"] for r in chosen if r.scalars["diverged"]})
        for axis, (title, measure, label) in zip(axes.flat, panels, strict=True):
            for depth, style, marker in zip(depths, ramp(depths), MARKERS, strict=False):
                group = filter_records(chosen, depth=depth)
                points = [(r.spec["alpha"], MEASURES[measure](r)) for r in group]
                means = [(alpha, mean(same, measure)) for alpha, same in by_alpha(group).items()]
                means = [point for point in means if math.isfinite(point[1])]
                axis.plot([alpha for alpha, _ in means], [middle for _, middle in means], label=f"N = {depth}", **style)
                axis.scatter(*zip(*points, strict=True), s=12, color=style["color"], marker=marker)
                gone = sorted({r.spec["alpha"] for r in group if r.scalars["diverged"]})
                if gone:
                    axis.plot(
                        gone,
                        [1.0] * len(gone),
                        "x",
                        color=style["color"],
                        transform=axis.get_xaxis_transform(),
                        clip_on=False,
                        markersize=7,
                        markeredgewidth=2,
                    )
            if lost:
                axis.axvspan(min(lost) / 1.2, max(lost) * 1.2, color="#000000", alpha=0.08, linewidth=0)
            axis.set(xscale="log", ylabel=label, title=title)
            plain_numbers(axis.xaxis)
            if label == ACCURACY:
                accuracy_axis(axis)
            if measure in ("rank_codes", "distance"):
                axis.set_yscale("log")
                plain_numbers(axis.yaxis)
        for axis in axes[1]:
            axis.set_xlabel(r"$\alpha$")
        legend(axes[0, 0], loc="lower left")
        letter(axes.flat)
    return figure


def comparison(records: Sequence) -> Figure:
    """Draw accuracy and distance against code rank for all four methods, every seed a point (Figures 4 and 8)."""
    chosen = [r for r in records if r.spec["study"] in ("grid", "stages") and not r.scalars["diverged"]]
    if not chosen:
        return nothing(EMPTY)
    with house():
        figure, axes = canvas(1, 2, height=3.9)
        for axis, measure, label in _tasks(axes):
            for method in METHODS:
                group = [r for r in chosen if method_of(r) == method]
                plain = [r for r in group if not r.spec["two_stages"]]
                _cloud(axis, plain, measure, method, label=method)
                staged = [r for r in group if r.spec["two_stages"]]
                if staged:
                    _cloud(axis, staged, measure, method, label="two stages", marker="*", size=60)
            ranks = sorted({r.spec["inner"] for r in chosen if r.spec["inner"] and r.spec["study"] == "grid"})
            hands = [filter_records(chosen, inner=rank, study="grid") for rank in ranks]
            means = [(mean(group, "rank_codes"), mean(group, measure)) for group in hands]
            if means:
                axis.plot(*zip(*means, strict=True), color=look(METHODS[1])["color"], linewidth=1)
            axis.set(xscale="log", xlabel="rank of codes", ylabel=label)
            plain_numbers(axis.xaxis)
        axes[0].set_title("Classification")
        accuracy_axis(axes[0])
        axes[1].set(title="Sampling (lower is better)", yscale="log")
        plain_numbers(axes[1].yaxis)
        letter(axes)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, columnspacing=1.2, handletextpad=0.2)
    return figure


def course(records: Sequence, count: int = 24) -> Figure:
    """Draw the leading singular values of W_e and of the codes against epochs, for the first member (Figure 5(b))."""
    if not records:
        return nothing(EMPTY)
    record = records[0]
    epochs = record.arrays["epochs"]
    with house():
        figure, axes = canvas(2, 1, height=4.8, sharex=True)
        for axis, name, title in ((axes[0], "effective", "effective matrix"), (axes[1], "codes", "codes")):
            values = record.arrays[f"singular_{name}_course"][:, :count]
            for k, style in zip(range(values.shape[1]), ramp(range(values.shape[1])), strict=True):
                axis.plot(epochs, values[:, k], **(style | {"linestyle": "-", "linewidth": 1.2}))
            axis.plot(epochs, 0.01 * values[:, 0], color="black", linestyle=":", linewidth=1.2)
            axis.set(yscale="log", ylabel="singular value", title=title)
        axes[1].set_xlabel("epoch")
        letter(axes)
    return figure


def pictures(records: Sequence, originals: np.ndarray | None = None, kind: str = "sampled", count: int = 8) -> Figure:
    """Draw pictures of several members, one row each, under `originals` (n, c, h, w) uint8 if given.

    `kind` is "sampled" or "reconstructed".
    """
    rows = [("images", originals)] if originals is not None else []
    for record in records:
        if (stored := record.arrays.get(f"pictures_{kind}")) is not None:
            rows.append((label_of(record), stored))
    if not rows:
        return nothing(EMPTY)
    with house():
        figure, axes = canvas(len(rows), count, 0.72 * len(rows) + 0.1, squeeze=False)
        for line, (label, images) in zip(axes, rows, strict=True):
            for column, axis in enumerate(line):
                image = images[column]
                axis.imshow(image[0] if len(image) == 1 else image.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=255)
                axis.set(xticks=[], yticks=[])
                axis.grid(False)
                axis.spines[:].set_visible(False)
            line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    return figure


def label_of(record) -> str:
    """A member's name with what was chosen: N and alpha, or r, and its rank."""
    spec, method = record.spec, method_of(record)
    rank = f"rank {record.scalars['rank_codes']:g}"
    if method == METHODS[0]:
        return f"no chain, {rank}"
    if method == METHODS[1]:
        return f"hand-set {spec['inner']}"
    name = f"standard N = {spec['depth']}" if method == METHODS[2] else f"N = {spec['depth']}, α = {spec['alpha']:g}"
    return f"{name}{', two stages' if spec['two_stages'] else ''}\n{rank}"


def _tasks(axes) -> list[tuple[Axes, str, str]]:
    return [(axes[0], "accuracy_best_codes", ACCURACY), (axes[1], "distance", DISTANCE)]


def _cloud(axis: Axes, records: Sequence, measure: str | Callable, method: str, *, label=None, marker=None, size=22):
    if not records:
        return
    points = [(MEASURES["rank_codes"](r), MEASURES[measure](r)) for r in records]
    style = look(method) | ({"marker": marker} if marker else {})
    axis.scatter(*zip(*points, strict=True), s=size, alpha=0.75, linewidth=0, label=label, **style)


def accuracy_axis(axis: Axes) -> None:
    """Stretch accuracies towards 1, where they crowd: a logit scale with plain numbers."""
    axis.set_yscale("logit")
    shares = [0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98]
    axis.yaxis.set_major_locator(FixedLocator(shares))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_locator(NullLocator())
