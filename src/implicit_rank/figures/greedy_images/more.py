"""Figures of chapters 6 and 7 beyond the paper's: spectra behind ranks, equal error, stopping, divergence, PCA."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from implicit_rank.experiments.greedy_images.measures import gap, settled
from implicit_rank.experiments.kit.run_ranks import count_above
from implicit_rank.figures.greedy_images.figures import ACCURACY, DISTANCE, EMPTY, METHODS, look, method_of
from implicit_rank.figures.kit.style import (
    canvas,
    house,
    legend,
    letter,
    nothing,
    plain_numbers,
    plain_ticks,
    ramp,
    strokes,
)
from implicit_rank.store import filter_records


def spectra(records: Sequence) -> Figure:
    """Draw the final singular values of W_e and of the codes for one depth and several alphas, one seed each.

    A dotted line in a curve's own colour is one per cent of its largest value; a ring is its widest gap.
    """
    chosen = [r for r in records if not r.scalars["diverged"]]
    if not chosen:
        return nothing(EMPTY)
    alphas = sorted({r.spec["alpha"] for r in chosen})
    with house():
        figure, axes = canvas(1, 2, height=3.5)
        for alpha, style in zip(alphas, ramp(alphas), strict=True):
            record = filter_records(chosen, alpha=alpha)[0]
            for axis, name in zip(axes, ("effective", "codes"), strict=True):
                values = record.arrays[f"singular_{name}"]
                places = np.arange(1, len(values) + 1)
                rank = count_above(values)
                axis.plot(places, np.maximum(values, values[0] * 1e-5), label=f"{alpha:g}: rank {rank}", **style)
                axis.plot([1, rank], [0.01 * values[0]] * 2, color=style["color"], linestyle=":", linewidth=1)
                if name == "effective":
                    place, _ = gap(values)
                    axis.plot(place, values[place - 1], "o", color=style["color"], fillstyle="none", markersize=9)
        for axis, title in zip(axes, ("Effective matrix", "Codes"), strict=True):
            axis.set(xscale="log", yscale="log", xlabel="index", ylabel="singular value", title=title)
            plain_numbers(axis.xaxis)
            axis.legend(title=r"$\alpha$", fontsize=8, title_fontsize=8, loc="lower left")
        letter(axes)
    return figure


def at_equal_error(records: Sequence, of: str = "codes") -> Figure:
    """Draw rank against test error along training, one line a member: what a rank costs, whatever the time."""
    chosen = [r for r in records if not r.scalars["diverged"]]
    if not chosen:
        return nothing(EMPTY)
    kinds: dict[str, list] = {}
    for record in sorted(chosen, key=lambda r: (METHODS.index(method_of(r)), r.spec["depth"], r.spec["alpha"])):
        kinds.setdefault(kind_of(record), []).append(record)
    with house():
        figure, axis = canvas(height=4.0)
        for (name, group), style in zip(kinds.items(), strokes(len(kinds)), strict=True):
            for i, record in enumerate(group):
                error, rank = record.arrays["error"], record.arrays[f"rank_{of}"]
                axis.plot(error[1:], rank[1:], label=None if i else name, **(style | {"linewidth": 1.2}))
                axis.plot(error[-1], rank[-1], "o", color=style["color"], markersize=4)
        axis.invert_xaxis()
        axis.set(xscale="log", yscale="log", xlabel="test error, falling from left to right", ylabel="rank of codes")
        plain_numbers(axis.xaxis)
        plain_numbers(axis.yaxis)
        axis.legend(fontsize=8.5, loc="upper left")
    return figure


def kind_of(record) -> str:
    """A member's kind: no chain, the hand-set rank, or N and alpha."""
    spec, method = record.spec, method_of(record)
    if method == METHODS[0]:
        return "no chain"
    if method == METHODS[1]:
        return f"hand-set r = {spec['inner']}"
    return f"standard N = {spec['depth']}" if method == METHODS[2] else f"N = {spec['depth']}, α = {spec['alpha']:g}"


def stopping(records: Sequence, tolerances: Sequence[int] = (0, 1, 3)) -> Figure:
    """Draw rank(W_e) and code rank at whole epochs, and where "unchanged for 5 epochs" fires for three tolerances."""
    if not records:
        return nothing(EMPTY)
    with house():
        figure, axes = canvas(1, len(records), height=3.4, squeeze=False)
        for axis, record in zip(axes[0], records, strict=True):
            epochs = record.arrays["epochs"]
            whole = np.isclose(epochs, np.round(epochs))
            for name, style in zip(("effective", "codes"), strokes(2), strict=True):
                label = "$W_e$" if name == "effective" else "codes"
                axis.plot(epochs[whole], record.arrays[f"rank_{name}"][whole], label=label, **style)
                for tolerance, marker in zip(tolerances, ("o", "s", "^"), strict=False):
                    epoch, rank = settled(record, tolerance, of=name)
                    if math.isfinite(epoch):
                        ring = {"color": style["color"], "fillstyle": "none", "markersize": 7 + 2 * tolerance}
                        words = f"within {tolerance} for 5 epochs" if name == "effective" else None
                        axis.plot(epoch, rank, marker, label=words, **ring)
            axis.set(yscale="log", xlabel="epoch", ylabel="rank", title=kind_of(record))
            plain_numbers(axis.yaxis)
            legend(axis, fontsize=8)
        letter(axes[0])
    return figure


def stages(records: Sequence) -> Figure:
    """Draw test error and code rank of members of equal length; a dotted line where a chain became two layers."""
    if not records:
        return nothing(EMPTY)
    kinds: dict[str, list] = {}
    for record in records:
        name = "two stages" if record.spec["two_stages"] else kind_of(record)
        kinds.setdefault(name, []).append(record)
    lines = [
        (record, None if i else name, style | {"linewidth": 1.2})
        for (name, group), style in zip(kinds.items(), strokes(len(kinds)), strict=True)
        for i, record in enumerate(group)
    ]
    with house():
        figure, axes = courses(lines, (ERROR, RANK), height=3.3)
        for axis in axes:
            plain_numbers(axis.yaxis)
        for record in kinds.get("two stages", [])[:1]:
            for axis in axes:
                axis.axvline(record.scalars["settled_epoch"], color="black", linestyle=":", linewidth=1)
    return figure


def starts(records: Sequence) -> Figure:
    """Draw test error and code rank against epochs for members that differ in the size of W_e at the start."""
    if not records:
        return nothing(EMPTY)
    styles = strokes(len(records), markers=True)
    lines = [(r, rf"$W_e$ starts at {r.spec['scale']:g}", style) for r, style in zip(records, styles, strict=True)]
    with house():
        figure, axes = courses(lines, (ERROR, RANK), height=3.0)
        for axis in axes:
            plain_numbers(axis.yaxis)
    return figure


def divergence(records: Sequence) -> Figure:
    """Draw test error and the largest singular value of W_e against epochs for members that diverge, or do not."""
    if not records:
        return nothing(EMPTY)
    lines = [(r, kind_of(r), style) for r, style in zip(records, strokes(len(records), markers=True), strict=True)]
    largest = ("One of them tells", r"$\sigma_1(W_e)$", lambda record: record.arrays["singular_effective_course"][:, 0])
    panels = (("All numbers are finite", *ERROR[1:]), largest)
    with house():
        figure, axes = courses(lines, panels, height=3.1)
        plain_numbers(axes[0].yaxis)  # the other one spans too many powers of ten
        axes[1].axhline(1e4, color="black", linestyle=":", linewidth=1)
    return figure


# panels of :func:`courses`: title, label, and the course of a member
ERROR = ("Error", "test error", lambda record: record.arrays["error"])
RANK = ("Rank", "rank of codes", lambda record: record.arrays["rank_codes"])


def courses(lines: Sequence[tuple], panels: Sequence[tuple], height: float):
    """Draw panels side by side against epochs; `lines` are members with their labels and styles."""
    figure, axes = canvas(1, len(panels), height=height)
    for axis, (title, label, course) in zip(axes, panels, strict=True):
        for record, name, style in lines:
            axis.plot(record.arrays["epochs"], course(record), label=name, **style)
        axis.set(yscale="log", xlabel="epoch", ylabel=label, title=title)
    legend(axes[0], fontsize=8.5)
    letter(axes)
    return figure, axes


def elbow(records: Sequence, principal: tuple[Sequence[int], Sequence[float]] | None = None) -> Figure:
    """Draw test error against rank: hand-set ranks, the method, no chain, and principal components if given."""
    chosen = [r for r in records if not r.scalars["diverged"] and not r.spec["two_stages"]]
    if not chosen:
        return nothing(EMPTY)
    with house():
        figure, axis = canvas(height=3.6)
        if principal:
            axis.plot(*principal, color="#777777", label="principal components", linewidth=1.2)
        for method in METHODS:
            group = [r for r in chosen if method_of(r) == method]
            points = [(r.scalars["rank_codes"], r.scalars["error"]) for r in group]
            if points:
                axis.scatter(*zip(*points, strict=True), s=20, label=method, alpha=0.75, linewidth=0, **look(method))
        axis.set(xscale="log", yscale="log", xlabel="rank of codes", ylabel="test error")
        plain_numbers(axis.xaxis)
        plain_numbers(axis.yaxis)
        legend(axis, fontsize=8.5)
    return figure


def why(records: Sequence) -> Figure:
    """Draw distance of samples against that of reconstructions, and accuracy against test error, every seed a point."""
    chosen = [r for r in records if "distance" in r.scalars and "accuracy_best_codes" in r.scalars]
    if not chosen:
        return nothing(EMPTY)
    with house():
        figure, axes = canvas(1, 2, height=3.5)
        pairs = (("distance_reconstructed", "distance"), ("error", "accuracy_best_codes"))
        for axis, (across, up) in zip(axes, pairs, strict=True):
            for method in METHODS:
                group = [r for r in chosen if method_of(r) == method]
                points = [(r.scalars[across], r.scalars[up]) for r in group]
                if points:
                    style = look(method) | {"s": 22, "alpha": 0.75, "linewidth": 0}
                    axis.scatter(*zip(*points, strict=True), label=method, **style)
            axis.set_xscale("log")
        plain_numbers(axes[0].xaxis)
        plain_ticks(axes[1].xaxis, (0.002, 0.003, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2))
        axes[0].set(yscale="log", xlabel="distance of reconstructions", ylabel=DISTANCE, title="Sampling")
        plain_numbers(axes[0].yaxis)
        axes[1].set(xlabel="test error", ylabel=ACCURACY, title="Classification")
        letter(axes)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def thresholds(records: Sequence) -> Figure:
    """Draw the rank of the codes against the threshold that defines it, one line a member."""
    chosen = [r for r in records if not r.scalars["diverged"]]
    if not chosen:
        return nothing(EMPTY)
    levels = np.logspace(-4, -0.7, 60)
    kinds: dict[str, list] = {}
    for record in chosen:
        kinds.setdefault(kind_of(record), []).append(record)
    with house():
        figure, axis = canvas(height=3.2)
        for (name, group), style in zip(kinds.items(), strokes(len(kinds)), strict=True):
            ranks = [[count_above(r.arrays["singular_codes"], level) for level in levels] for r in group]
            axis.step(levels, np.median(ranks, axis=0), where="mid", label=name, **style)
        axis.axvline(0.01, color="black", linewidth=0.8, linestyle=":")
        axis.set(xscale="log", yscale="log", ylabel="rank of codes")
        axis.set_xlabel("threshold, as a share of the largest singular value")
        plain_numbers(axis.yaxis)
        legend(axis, fontsize=8.5)
    return figure


def powers_of_alpha(records: Sequence) -> Figure:
    """Draw W_e's singular values after a few steps: re-parameterised, at lr times alpha, at lr times alpha squared."""
    if not records:
        return nothing(EMPTY)
    chosen = sorted(records, key=lambda r: r.spec["optimiser"])[:2]
    names = {
        "start": "start",
        "scaled": r"$W = \alpha \hat W$",
        "once": r"lr times $\alpha$",
        "squared": r"lr times $\alpha^2$",
    }
    with house():
        figure, axes = canvas(1, len(chosen), height=3.2, squeeze=False)
        for axis, record in zip(axes[0], chosen, strict=True):
            for (key, name), style in zip(names.items(), strokes(len(names)), strict=True):
                values = np.abs(record.arrays[key]) - (1 if record.spec["optimiser"] == "sgd" else 0)
                thick = {"linewidth": 4, "alpha": 0.35} if key == "scaled" else {"linewidth": 1.4}
                axis.plot(np.arange(1, 33), np.maximum(values[:32], 1e-12), label=name, **(style | thick))
            sgd = record.spec["optimiser"] == "sgd"
            axis.set(yscale="log", xlabel="index", title="gradient descent" if sgd else "Adam")
            axis.set_ylabel("singular value" + (" minus 1" if sgd else ""))
            if sgd:
                axis.set_ylim(bottom=1e-9)
        legend(axes[0, 0], fontsize=8.5)
        letter(axes[0])
    return figure
