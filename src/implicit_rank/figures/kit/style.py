"""The one look of the book's figures: sizes, colours, and line styles that tell curves apart without colour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

WIDTH = 7.5  # inches: the text column
# Okabe and Ito's palette without its yellow, ordered so that neighbours also differ in lightness
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (2, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SETTINGS = {
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "savefig.facecolor": "white",
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "mathtext.fontset": "cm",
}


@contextmanager
def house() -> Iterator[None]:
    """Draw in the house style inside a `with` block, whatever the reader's own settings are."""
    with mpl.rc_context({**mpl.rcParamsDefault, "backend": mpl.get_backend(), **SETTINGS}):
        yield


def canvas(rows: int = 1, columns: int = 1, height: float = 3.2, **options) -> tuple[Figure, Axes]:
    """A figure of the text column's width and `height` inches, laid out tightly, and its axes.

    It is built without pyplot, so that nothing is shown or kept open behind the caller's back.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def strokes(count: int, markers: bool = False) -> list[dict]:
    """`count` line styles (keyword arguments of `plot`) that differ in colour and in dash or marker."""
    kinds = len(COLOURS)
    return [
        {
            "color": COLOURS[i % kinds],
            "linestyle": DASHES[(i + i // kinds) % kinds],  # a colour's second turn comes with another dash
            **({"marker": MARKERS[(i + i // kinds) % kinds]} if markers else {}),
        }
        for i in range(count)
    ]


def ramp(values: Sequence[float]) -> list[dict]:
    """Line styles for an ordered family (depths, alphas): dark to light, dashes changing along the way."""
    shades = mpl.colormaps["viridis"]
    last = max(len(values) - 1, 1)
    return [
        {"color": shades(0.8 * i / last), "linestyle": DASHES[i % len(DASHES)], "linewidth": 1.9 - 0.7 * i / last}
        for i in range(len(values))
    ]


def nothing(sentence: str) -> Figure:
    """A figure that says why there is none."""
    with house():
        figure, axis = canvas(height=1.0)
        axis.set_axis_off()
        axis.text(0.5, 0.5, sentence, ha="center", va="center")
    return figure


def legend(axis: Axes, **options) -> None:
    """Draw the legend if the axis holds anything: a reader's parameters may leave it empty."""
    if axis.get_legend_handles_labels()[0]:
        axis.legend(**options)
    else:
        axis.text(0.5, 0.5, "no such run", ha="center", va="center", transform=axis.transAxes)


def letter(axes: Sequence[Axes]) -> None:
    """Put (a), (b), ... in front of the titles."""
    for name, axis in zip("abcdefghijklmnop", axes, strict=False):
        axis.set_title(f"({name}) {axis.get_title(loc='left')}", loc="left")


def plain_numbers(axis) -> None:
    """Write a logarithmic axis (`axes.xaxis` or `axes.yaxis`) in plain numbers, few between the powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def plain_ticks(axis, values: Sequence[float]) -> None:
    """Put the values that fit, written out, on a logarithmic axis, and nothing between them."""
    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_major_formatter("{x:,g}")
    axis.set_minor_locator(NullLocator())


def settle(figure: Figure) -> None:
    """Give up the logarithm of every axis on which no number is positive, its twins' included: it cannot be drawn."""
    for axes in figure.axes:
        for name in ("x", "y"):
            axis, twins = getattr(axes, f"{name}axis"), getattr(axes, f"get_shared_{name}_axes")().get_siblings(axes)
            least = min(getattr(twin.dataLim, f"minpos{name}") for twin in twins)
            if axis.get_scale() == "log" and not math.isfinite(least):
                getattr(axes, f"set_{name}scale")("linear")
                axis.set_ticks([])
