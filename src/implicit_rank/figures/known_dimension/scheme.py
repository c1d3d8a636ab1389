"""The scheme of an autoencoder with linear maps at its bottleneck: Jing 2020, Figure 1."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from implicit_rank.figures.kit.style import COLOURS, canvas, house

TALL, SHORT = 1.0, 0.5  # half heights: of an image's side, of a code's
MAPS = ("$W_1$", "$W_2$", r"$\cdots$", "$W_l$")


def scheme() -> Figure:
    """Draw encoder, square linear maps and decoder in a row, what flows between them, and what is folded away."""
    with house():
        figure, axis = canvas(height=2.3)
        axis.set_axis_off()
        axis.set(xlim=(-0.9, 11.9), ylim=(-1.8, 1.1), aspect="equal")
        _box(axis, 0, 2, TALL, SHORT, "encoder\n" + r"$\mathcal{E}$", COLOURS[5])
        _box(axis, 9, 11, SHORT, TALL, "decoder\n" + r"$\mathcal{D}$", COLOURS[5])
        for i, name in enumerate(MAPS):
            left = 3.3 + 1.15 * i
            if "cdots" in name:
                axis.text(left + 0.4, 0, name, ha="center", va="center", fontsize=13)
            else:
                _box(axis, left, left + 0.8, 0.4, 0.4, name, COLOURS[6])
        for start, end in ((-0.45, 0), (2, 3.3), (4.1, 4.45), (5.25, 5.6), (6.4, 6.75), (7.55, 9), (11, 11.45)):
            axis.annotate("", (end, 0), (start, 0), arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 1})
        for x, name in ((-0.65, "$y$"), (11.65, r"$\hat{y}$")):
            axis.text(x, 0, name, ha="center", va="center", fontsize=12)
        for x, name, role in ((2.6, "$z$", "features"), (8.25, "$z_l$", "code")):
            axis.text(x, 0.2, name, ha="center", fontsize=12)
            axis.text(x, -0.2, role, ha="center", va="top", fontsize=9)
        axis.plot([3.3, 3.3, 7.55, 7.55], [-0.75, -0.95, -0.95, -0.75], color="black", linewidth=1)
        told = "$W_e = W_l \\cdots W_2 W_1$: trained as $l$ maps, used as one,\nfolded into the encoder's last layer"
        axis.text(5.42, -1.1, told, ha="center", va="top", fontsize=10)
    return figure


def _box(axis: Axes, left: float, right: float, first: float, last: float, text: str, colour: str) -> None:
    """Draw a box whose half height goes from `first` to `last`, with its name in the middle."""
    corners = [(left, first), (right, last), (right, -last), (left, -first)]
    axis.add_patch(Polygon(corners, facecolor=colour, alpha=0.35, edgecolor="none"))
    axis.add_patch(Polygon(corners, facecolor="none", edgecolor="black", linewidth=1))
    axis.text((left + right) / 2, 0, text, ha="center", va="center", fontsize=10.5)
