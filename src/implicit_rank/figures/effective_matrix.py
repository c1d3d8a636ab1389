"""Figures of chapter 1: the coefficients mu, the first-order law, and the starts that break it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from implicit_rank.figures.kit.style import canvas, house, letter, ramp, strokes
from implicit_rank.theory.effective import coefficients, coefficients_limit


def spotlight(singular_values: Sequence[float], depths: Sequence[int]) -> Figure:
    """Draw mu / mu_11 over all pairs (r, r') for some depths and for infinitely many layers."""
    sigma = torch.tensor(singular_values, dtype=torch.float64)
    tables = [coefficients(sigma, depth) for depth in depths] + [coefficients_limit(sigma)]
    titles = [f"N = {depth}" for depth in depths] + ["N → ∞"]
    with house():
        figure, axes = canvas(1, len(tables), height=2.5, sharey=True)
        for axis, table, title in zip(axes, tables, titles, strict=True):
            share = (table / table[0, 0]).numpy()
            image = axis.imshow(share, cmap="magma", vmin=0, vmax=1)
            for r, column in np.ndindex(*share.shape):
                value = share[r, column]
                label = f"{value:.2f}".lstrip("0") if value >= 0.005 else "0"
                axis.text(
                    column,
                    r,
                    label if value < 0.995 else "1",
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    color="black" if value > 0.55 else "white",
                )
            axis.set(title=title, xlabel="$r'$", xticks=range(len(sigma)), yticks=range(len(sigma)))
            axis.set_xticklabels(range(1, len(sigma) + 1))
            axis.grid(False)
        axes[0].set(ylabel="$r$")
        axes[0].set_yticklabels(range(1, len(sigma) + 1))
        figure.colorbar(image, ax=axes, shrink=0.8, label=r"$\mu_{r,r'}\,/\,\mu_{1,1}$")
    return figure


def first_order(step_sizes: Sequence[float], errors: dict[int, Sequence[float]]) -> Figure:
    """Draw equation 2's relative error against the step size, one curve per depth."""
    with house():
        figure, axis = canvas(height=3.0)
        for (depth, error), style in zip(errors.items(), strokes(len(errors), markers=True), strict=True):
            axis.loglog(step_sizes, np.maximum(error, 1e-17), label=f"N = {depth}", **style)
        axis.set(xlabel=r"step size $\eta$", ylabel="relative error of eq. 2")
        axis.legend(ncols=len(errors), loc="lower right", bbox_to_anchor=(1, 1))
        axis.invert_xaxis()
    return figure


def starts(records: Sequence) -> Figure:
    """Draw how far equation 2 is off for three kinds of start, against depth: a dot per seed, a line through means."""
    kinds = (
        ("small_update_error", "small Gaussian start, untrained"),
        ("trained_error_default", "default start, worst moment of training"),
        ("trained_error_orthogonal", "scaled orthogonal start, worst moment of training"),
    )
    depths = sorted({record.spec["depth"] for record in records if record.spec["depth"] > 1})
    with house():
        figure, axis = canvas(height=3.2)
        for (name, label), style in zip(kinds, strokes(len(kinds), markers=True), strict=True):
            groups = [[r.scalars[name] for r in records if r.spec["depth"] == depth] for depth in depths]
            axis.plot(depths, [np.mean(group) for group in groups], label=label, **style)
            for depth, group in zip(depths, groups, strict=True):
                axis.scatter([depth] * len(group), group, s=12, color=style["color"], marker=style["marker"], alpha=0.5)
        axis.set(xlabel="number of layers N", ylabel="relative error of eq. 2", yscale="log", ylim=(None, 1.5))
        axis.set_xticks(depths, labels=[str(depth) for depth in depths])
        axis.xaxis.set_minor_locator(NullLocator())
        figure.legend(loc="outside upper left", ncols=1)
    return figure


def relative_speed(depths: Sequence[int]) -> Figure:
    """Draw the share of mu_11 that a weaker direction keeps, and mu_11 itself against N at a few sizes of W_e."""
    ratio, sizes, many = np.logspace(-3, 0, 61), (2.0, 1.0, 0.3, 0.001), np.arange(1, 65)
    with house():
        figure, axes = canvas(1, 2, height=3.0)
        for depth, style in zip(depths, ramp(depths), strict=True):
            axes[0].loglog(ratio, ratio ** (2 * (depth - 1) / depth), label=f"{depth}", **style)
        for size, style in zip(sizes, strokes(len(sizes)), strict=True):
            axes[1].loglog(many, many * size ** (2 * (many - 1) / many), label=f"{size:g}", **style)
        axes[0].set(xlabel=r"$\sigma_r/\sigma_1$", ylabel=r"$\mu_{r,r}/\mu_{1,1}$", title="Share of the top speed")
        axes[1].set(xlabel="number of layers N", ylabel=r"$\mu_{1,1}$", title="The top speed itself")
        axes[0].legend(title="N", ncols=2)
        axes[1].legend(title=r"$\sigma_1(W_e)$", loc="lower right")
        letter(axes)
    return figure


def balance(records: Sequence) -> Figure:
    """Draw equation 2's error, and the relative imbalance, of Gaussian chains against the fall of their loss."""
    depths = sorted({r.spec["depth"] for r in records})
    with house():
        figure, axes = canvas(1, 2, height=3.2, sharex=True)
        for axis, name, label in ((axes[0], "error", "relative error of eq. 2"), (axes[1], "relative", "imbalance")):
            for depth, style in zip(depths, strokes(len(depths)), strict=True):
                for i, record in enumerate(r for r in records if r.spec["depth"] == depth):
                    axis.plot(
                        record.arrays["steps"] / record.arrays["steps"][-1],
                        record.arrays[name],
                        label=None if i else f"N = {depth}",
                        **{**style, "linewidth": 1.0},
                    )
            axis.set(yscale="log", xlabel="share of the training", ylabel=label)
        axes[0].set(title="Equation 2")
        axes[1].set(title="Relative imbalance")
        axes[1].legend()
        letter(axes)
    return figure
