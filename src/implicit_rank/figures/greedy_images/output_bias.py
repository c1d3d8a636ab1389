"""Figures of chapter 6 about the bias of the decoder's last layer: as PyTorch draws it, and set by hand."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from implicit_rank.experiments.greedy_images.output_bias import beside
from implicit_rank.figures.greedy_images.figures import EMPTY
from implicit_rank.figures.kit.style import COLOURS, DASHES, canvas, house, legend, letter, nothing, plain_numbers
from implicit_rank.figures.kit.tables import Html, table
from implicit_rank.store import filter_records

LEVEL = 0.05


def set_by_hand(records: Sequence) -> Figure:
    """Draw test error and share of live features against steps for output biases that were set, one line a seed."""
    if not records:
        return nothing(EMPTY)
    with house():
        figure, axes = canvas(1, 2, height=3.2)
        biases = sorted({r.spec["bias"] for r in records}, reverse=True)
        for bias, colour, dash in zip(biases, COLOURS, DASHES, strict=False):
            for i, record in enumerate(filter_records(records, bias=bias)):
                style = {"color": colour, "linestyle": dash, "linewidth": 1.3}
                label = None if i else f"starts at {bias:.2g}".replace("-", "\u2212")
                for axis, name in zip(axes, ("error", "lit"), strict=True):
                    axis.plot(record.arrays["steps"], record.arrays[name], label=label, **style)
        axes[0].axhline(LEVEL, color="black", linewidth=1, linestyle=":")
        axes[0].set(yscale="log", xlabel="step", ylabel="test error", title="Output bias")
        axes[1].set(xlabel="step", ylabel="live, of those that brighten", title="Features", ylim=(-0.03, 1.03))
        plain_numbers(axes[0].yaxis)
        legend(axes[0], fontsize=8.5)
        letter(axes)
    return figure


def as_drawn(records: Sequence) -> Html:
    """A table of the biases that seeds draw, and how long the error stays above 0.05 from them and from 0."""
    rows = [
        [str(seed), f"{bias:+.2f}".replace("-", "\u2212"), f"{drawn:.2f}", f"{zero:.2f}"]
        for seed, (bias, drawn, zero) in beside(records).items()
    ]
    return table(["seed", "bias drawn", "epochs above 0.05", "the same, from a bias of 0"], rows)
