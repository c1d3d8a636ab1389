"""Figures of chapter 10: curvatures at the optimum, block by block, and condition numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from implicit_rank.experiments.conditioning.pace import MEASURES
from implicit_rank.figures.kit import tables
from implicit_rank.figures.kit.slider import Html
from implicit_rank.figures.kit.style import COLOURS, MARKERS, canvas, house, letter, nothing, strokes
from implicit_rank.store import Record
from implicit_rank.theory import landscape


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
        return nothing("no stored run")
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


def l2_condition_numbers(records: Sequence[Record]) -> Figure:
    """Condition numbers of unequal penalties and all bounds against k, one panel per spectrum."""
    return condition_numbers(records, L2_CURVES)


def nested_condition_numbers(records: Sequence[Record]) -> Figure:
    """Condition numbers of nested dropout off its zero modes, its bounds, and RAG against k, a panel per spectrum."""
    return condition_numbers(records, NESTED_CURVES)


RACERS = (("l2_plain", "plain penalties"), ("nested_geometric", "geometric prior"), ("rag", "RAG"))
LEVELS = (0.01, 0.03, 0.1, 0.3)


def pace(records: Sequence[Record]) -> Figure:
    """Steps to four distances against k, a panel a method: medians over seeds, and the condition number's own slope."""
    if not records:
        return nothing("no stored run")
    with house():
        figure, axes = canvas(1, len(RACERS), height=3.9, sharey=True)
        for axis, (model, title) in zip(axes, RACERS, strict=True):
            chosen = [r for r in records if r.spec["model"] == model]
            widths = sorted({r.spec["k"] for r in chosen})
            middle = lambda name: np.array(  # noqa: E731
                [np.median([MEASURES[name](r) for r in chosen if r.spec["k"] == k]) for k in widths]  # noqa: B023
            )
            for level, style in zip(LEVELS, strokes(len(LEVELS), markers=True), strict=True):
                steps = middle(f"reached_{level}")
                axis.plot(
                    widths, np.where(np.isfinite(steps), steps, np.nan), label=f"to {level}", markersize=4, **style
                )
            slowest, condition = middle("reached_0.01"), middle("head_condition")
            for power, dashes, name in ((1, (0, (1, 1.5)), "condition number"), (0.5, (0, (4, 2)), "its root")):
                slope = slowest[0] * (condition / condition[0]) ** power
                axis.plot(widths, slope, color="#666666", linewidth=1, linestyle=dashes, label=name)
            axis.set(xscale="log", yscale="log", xlabel="k", title=title)
            axis.set_xticks(widths, [str(k) for k in widths])
            axis.minorticks_off()
        axes[0].set_ylabel("steps")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        letter(axes)
    return figure


ON_MNIST = (
    ("l2_best", "unequal penalties, best"),
    ("l2_linear", "unequal penalties, plain"),
    ("l2_sharp", "our bound"),
    ("l2_printed", "printed bound"),
    ("nested_best", "nested dropout, best prior"),
    ("nested_uniform", "uniform prior"),
    ("nested_geometric", "geometric prior"),
    ("nested_sharp", "our bound"),
    ("nested_printed", "printed bound"),
    ("rag", "RAG"),
)


def on_mnist(records: Sequence[Record]) -> Html:
    """The table of condition numbers and bounds on MNIST's second moments, one column a width."""
    rows = [
        [label, *(f"{r.scalars[name]:,.{1 if r.scalars[name] < 100 else 0}f}" for r in records)]
        for name, label in ON_MNIST
    ]
    return tables.table(["", *(f"k = {r.spec['k']}" for r in records)], rows if records else [])
