"""Figures of chapter 3: Jing 2020, Figures 2 and 3, with errors, factors and courses beside every rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from implicit_rank.experiments.known_dimension.measures import MEASURES
from implicit_rank.experiments.known_dimension.prices import prices
from implicit_rank.figures.kit.captions import runs_shown
from implicit_rank.figures.kit.style import canvas, house, legend, letter, nothing, plain_numbers, strokes

EMPTY = "No stored run is there."
GREY = "#777777"
PRICED = ("hue and shape", "shape")


def name_of(record) -> str:
    """A model's name: the plain autoencoder, one with a penalty, or one with l maps."""
    spec = record.spec
    if spec["depth"]:
        return f"l = {spec['depth']}"
    return "AE + L1" if spec["l1"] else "AE + L2" if spec["l2"] else "AE"


def by_model(records: Sequence) -> dict[str, list]:
    """Records by model, in the order of Figure 3's rows, seeds in order; runs that diverged are left out."""
    groups: dict[str, list] = {}
    kept = [record for record in records if not record.scalars.get("diverged")]
    for record in sorted(kept, key=lambda r: (r.spec["depth"], r.spec["l1"] == 0, r.spec["l2"], r.seed)):
        groups.setdefault(name_of(record), []).append(record)
    return dict(
        sorted(
            groups.items(),
            key=lambda item: (
                ("AE", "AE + L1", "AE + L2").index(item[0]) - 9
                if item[0].startswith("AE")
                else item[1][0].spec["depth"]
            ),
        )
    )


def set_up(records: Sequence) -> str:
    """A caption's sentences: how large the runs are, and which they are."""
    if not records:
        return EMPTY
    spec = records[0].spec
    epochs = sorted({r.spec["epochs"] for r in records})
    images = spec["count"] or 50_000
    words = f"{' or '.join(map(str, epochs))} epoch{'s' if epochs != [1] else ''} of {images:,} images"
    wide = (
        "the paper's channels"
        if spec["channel_factor"] == 1
        else f"{spec['channel_factor']:g} times the paper's channels"
    )
    side = spec["size"] or 32
    rates = " or ".join(f"{lr:g}" for lr in sorted({r.spec["lr"] for r in records}))
    lost = sum(bool(r.scalars.get("diverged")) for r in records)
    left_out = f" Left out: {lost} that diverged." if lost else ""
    return f"{side} × {side} pixels, {wide}, learning rate {rates}, {words}. {runs_shown(records)}{left_out}"


def gallery(rows: dict[str, object], count: int = 10) -> Figure:
    """Draw the first `count` images of several sets (label: Images), one row a set, a cross at the sampled point."""
    with house():
        figure, axes = canvas(len(rows), count, 0.86 * len(rows), squeeze=False)
        for line, (label, images) in zip(axes, rows.items(), strict=True):
            shift = 0.0 if images.provenance["raster"] == "pixels" else 0.5  # a pixel, or a point between pixels
            for column, axis in enumerate(line):
                _picture(axis, images.images[column].numpy())
                place = [float(images.factors[along][column]) - shift for along in "xy"]
                axis.plot(*place, "+", color="white", markersize=6, markeredgewidth=1.6)
                axis.plot(*place, "+", color="black", markersize=5, markeredgewidth=0.7)
            line[0].set_ylabel(drawn(label), fontsize=9, rotation=0, ha="right", va="center", labelpad=6)
    return figure


def figure_2(records: Sequence) -> Figure:
    """Draw spectra of the codes' covariance and, per model, both counts and the error (Jing 2020, Figure 2)."""
    groups = by_model(records)
    if not groups:
        return nothing(EMPTY)
    styles = strokes(len(groups))
    with house():
        figure = canvas(height=6.0, squeeze=True)[0]
        figure.clear()
        grid = figure.add_gridspec(2, 6, height_ratios=[2.6, 0.75 + 0.22 * len(groups)])
        linear, log = figure.add_subplot(grid[0, :3]), figure.add_subplot(grid[0, 3:])
        for (label, group), style in zip(groups.items(), styles, strict=True):
            spectra = np.array([r.arrays["spectrum_codes"] / r.arrays["spectrum_codes"].max() for r in group])
            index = np.arange(1, spectra.shape[1] + 1)
            for axis in (linear, log):
                axis.plot(index, np.median(spectra, axis=0), label=drawn(label), **style)
                low, high = np.maximum(spectra.min(axis=0), 1e-9), np.maximum(spectra.max(axis=0), 1e-9)
                axis.fill_between(index, low, high, color=style["color"], alpha=0.15, linewidth=0)
        for axis in (linear, log):
            axis.axvline(7, color="black", linewidth=0.8, linestyle=":")
            axis.set(xlabel="index")
        linear.set(title="Spectrum of the codes", ylabel=r"$\lambda_i\,/\,\lambda_1$", ylim=(-0.02, 1.02))
        log.axhline(0.01, color=GREY, linewidth=0.9, linestyle="--")
        log.set(title="the same", yscale="log", ylim=(1e-6, 1.5))
        legend(linear)
        panels = [
            ("count, covariance", MEASURES["rank_covariance"]),
            ("count, code matrix", MEASURES["rank_codes"]),
            ("error", MEASURES["error"]),
        ]
        below = [figure.add_subplot(grid[1, 2 * i : 2 * i + 2]) for i in range(3)]
        for axis, (title, measure) in zip(below, panels, strict=True):
            _rows(axis, groups, styles, measure)
            axis.set(title=title)
            axis.set_xlim(left=0)
        below[0].axvline(7, color="black", linewidth=0.8, linestyle=":")
        for axis in below[1:]:
            axis.tick_params(labelleft=False)
        letter([linear, log, *below])
    return figure


def figure_3(records: Sequence, pairs: int = 2) -> Figure:
    """Draw straight lines between codes as pictures, one row a model, both images outside (Jing 2020, Figure 3)."""
    shown = {label: group[0] for label, group in by_model(records).items() if "pictures" in group[0].arrays}
    if not shown:
        return nothing(EMPTY)
    pairs = min(pairs, *(len(r.arrays["pictures"]) for r in shown.values()))
    columns = next(iter(shown.values())).arrays["pictures"].shape[1]
    with house():
        figure, axes = canvas(pairs * len(shown), columns, 0.63 * pairs * len(shown) + 0.35, squeeze=False)
        for row, line in enumerate(axes):
            pair, place = divmod(row, len(shown))
            label, record = list(shown.items())[place]
            for axis, picture in zip(line, record.arrays["pictures"][pair], strict=True):
                _picture(axis, picture)
            line[0].set_ylabel(drawn(label), fontsize=9, rotation=0, ha="right", va="center", labelpad=6)
        axes[0, 0].set_title("image", fontsize=9, loc="center", fontweight="normal")
        axes[0, -1].set_title("image", fontsize=9, loc="center", fontweight="normal")
        axes[0, columns // 2].set_title("half-way", fontsize=9, loc="center", fontweight="normal")
    return figure


def courses(records: Sequence) -> Figure:
    """Draw error and count against epochs, and count against error: ranks at equal epochs and at equal error."""
    groups = by_model(records)
    if not groups:
        return nothing(EMPTY)
    with house():
        figure, axes = canvas(1, 3, height=3.3)
        for (label, group), style in zip(groups.items(), strokes(len(groups)), strict=True):
            for i, record in enumerate(group):
                error, count = record.arrays["error"], record.arrays["rank_covariance"]
                epochs = record.arrays["epochs"]
                name = None if i else drawn(label)
                thin = style | {"linewidth": 1.2}
                axes[0].plot(epochs[1:], error[1:], label=name, **thin)
                axes[1].plot(epochs[1:], count[1:], **thin)
                axes[2].plot(error[1:], count[1:], **thin)
        for price in price_lines(axes[0], records):
            axes[2].axvline(price, color=GREY, linewidth=0.9, linestyle="--")
        axes[0].set(title="Error", xlabel="epochs", yscale="log")
        axes[1].set(title="Count", xlabel="epochs")
        axes[2].set(title="Count at an error", xlabel="error (falls to the right)", xscale="log")
        axes[2].invert_xaxis()
        for axis in axes[1:]:
            axis.axhline(7, color="black", linewidth=0.8, linestyle=":")
            axis.set_ylim(bottom=0)
        plain_numbers(axes[0].yaxis)
        plain_numbers(axes[2].xaxis)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(groups), fontsize=9)
        letter(axes)
    return figure


def price_lines(axis: Axes, records: Sequence) -> list[float]:
    """Draw what not knowing hue and shape, and shape alone, costs in the images of these runs; returns both prices."""
    spec = records[0].spec
    price = prices(spec["data"], spec["size"] or 32)
    for words in PRICED:
        axis.axhline(price[words], color=GREY, linewidth=0.9, linestyle="--")
        where = {"xycoords": ("axes fraction", "data"), "xytext": (0, -2), "textcoords": "offset points"}
        axis.annotate(f"without {words}", (1, price[words]), ha="right", va="top", fontsize=8, color="#444444", **where)
    return [price[words] for words in PRICED]


def drawn(label: str) -> str:
    """A model's name with an italic l, which would pass for another letter."""
    return label.replace("l =", "$l$ =")


def _rows(axis: Axes, groups: dict, styles: list[dict], measure: Callable) -> None:
    """Draw a measure as dots, one row a model, one dot a seed."""
    for row, ((_, group), style) in enumerate(zip(groups.items(), styles, strict=True)):
        values = [measure(r) for r in group]
        axis.plot([0, np.mean(values)], [row, row], color=style["color"], linewidth=3, alpha=0.35)
        axis.plot(values, [row] * len(values), "o", color=style["color"], markersize=4)
        axis.annotate(
            f"{np.mean(values):.3g}",
            (max(values), row),
            xytext=(5, 0),
            textcoords="offset points",
            fontsize=8,
            va="center",
        )
    axis.set_yticks(range(len(groups)), labels=[drawn(label) for label in groups])
    axis.invert_yaxis()
    axis.grid(False, axis="y")
    axis.margins(x=0.22)


def _picture(axis: Axes, pixels: np.ndarray) -> None:
    """Draw (c, h, w) uint8 with every pixel sharp and nothing around."""
    axis.imshow(pixels.transpose(1, 2, 0), interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    axis.spines[:].set_visible(True)
    axis.spines[:].set_color("#bbbbbb")
