"""Figures of chapter 5: Jing 2020, Figures 9 to 11, ranks beside errors, and who adapts to frozen maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from implicit_rank.experiments.ablations.experiment import VARIANTS, variant
from implicit_rank.experiments.ablations.predictions import predicted_spectra
from implicit_rank.figures.kit.style import COLOURS, DASHES, canvas, house, legend, letter, nothing, plain_ticks

LABELS = {
    "ae": "no maps (AE)",
    "full": "full (IRMAE)",
    "frozen": "frozen at the start",
    "frozen trained": "frozen after training",
    "relu": "ReLU between",
    "tanh": "tanh between",
    "shared": "one weight",
    "pairs": "weights in pairs",
    "transpose": "W and W^T in turn",
    "large": "large start",
    "large frozen": "large start, frozen",
}
# One look per model in the whole chapter; those that never stand in one figure may share it.
LOOKS = {
    "ae": ("#000000", DASHES[2]),
    "full": (COLOURS[0], DASHES[0]),
    "frozen": (COLOURS[1], DASHES[1]),
    "relu": (COLOURS[3], DASHES[4]),
    "shared": (COLOURS[6], DASHES[5]),
    "frozen trained": (COLOURS[2], DASHES[3]),
    "tanh": (COLOURS[2], DASHES[3]),
    "pairs": (COLOURS[2], DASHES[3]),
    "transpose": (COLOURS[3], DASHES[4]),
    "large": (COLOURS[5], DASHES[6]),
    "large frozen": (COLOURS[6], DASHES[5]),
}
FLOOR = 1e-6  # of normalised spectra


def chosen(records: Sequence, names: Sequence[str] = tuple(VARIANTS)) -> dict[str, list]:
    """The runs of the named variants, those that were not stopped, by name in the order given, seeds in order."""
    groups: dict[str, list] = {name: [] for name in names}
    for record in records:
        name = variant(record.spec)
        if name in groups and "spectrum_features" in record.arrays:
            groups[name].append(record)
    return {name: sorted(group, key=lambda r: r.seed) for name, group in groups.items() if group}


def spectra(records: Sequence) -> Figure:
    """Draw code spectra on one axis (Jing 2020, Figures 9-11) and, beside them, rank against error along the runs.

    Lines are medians over seeds, bands their range; dotted: the prediction for maps that are frozen at their start.
    """
    groups = chosen(records)
    if not groups:
        return nothing("No stored run is there.")
    with house():
        figure, (left, right) = canvas(1, 2, height=3.9, width_ratios=(1.15, 1))
        for name, runs in groups.items():
            colour, dash = LOOKS[name]
            look = {"color": colour, "linestyle": dash, "label": LABELS[name].replace("W^T", "$W^T$")}
            values = np.array([_normalised(r.arrays["spectrum_codes"]) for r in runs])
            index = np.arange(1, values.shape[1] + 1)
            left.semilogy(index, np.median(values, axis=0), **look)
            left.fill_between(index, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0)
            for i, run in enumerate(runs):
                errors, ranks = run.arrays["error"], run.arrays["rank_covariance"]
                # before it has left the mean image behind, a model has no rank worth the name
                learned = errors < min(0.05, 0.9 * errors[0])
                right.plot(errors[learned], ranks[learned], color=colour, linestyle=dash, linewidth=1.1, alpha=0.8)
                right.plot(errors[-1:], ranks[-1:], "o", color=colour, markersize=5, label=None if i else LABELS[name])
        foretold = predicted_spectra(records).get("frozen")
        if foretold is not None:
            look = {"color": "#777777", "linewidth": 2.4, "label": f"predicted, {LABELS['frozen']}"}
            left.semilogy(np.arange(1, len(foretold) + 1), _normalised(foretold), ":", **look)
        left.axhline(0.01, color="#555555", linewidth=0.8)
        left.set(xlabel="index", ylabel="code covariance / largest", ylim=(1e-5, 1.6), xlim=(0, _reach(groups)))
        left.set_title("Spectra at the end")
        right.set(xlabel="test error (falls to the right)", ylabel="values above 1 % of the largest")
        right.set(xscale="log", yscale="log", title="Rank along the run")
        right.invert_xaxis()
        plain_ticks(right.yaxis, (1, 2, 5, 10, 20, 50))
        plain_ticks(right.xaxis, (0.002, 0.005, 0.01, 0.02, 0.05, 0.1))
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        letter((left, right))
    return figure


def samples(records: Sequence) -> Figure:
    """Draw sampled images of the models side by side, the first seed of each, with their Fréchet distances."""
    groups = {name: runs for name, runs in chosen(records).items() if "samples" in runs[0].arrays}
    if not groups:
        return nothing("No stored run is there.")
    columns = min(4, len(groups))
    rows = -(-len(groups) // columns)
    with house():
        figure, axes = canvas(rows, columns, height=(7.5 / columns + 0.42) * rows, squeeze=False)
        for spare in axes.flat[len(groups) :]:
            spare.set_axis_off()
        for axis, (name, runs) in zip(axes.flat, groups.items(), strict=False):
            axis.imshow(_sheet(runs[0].arrays["samples"]), cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            axis.spines[:].set_visible(True)
            axis.spines[:].set(color="#bbbbbb", linewidth=0.6)
            axis.set_title(LABELS[name].replace("W^T", "$W^T$"), fontsize=9.5)
            value = runs[0].scalars["distance_mixture"]
            told = f"distance {value:.0f}, " if np.isfinite(value) else ""
            axis.set_xlabel(f"{told}rank {runs[0].scalars['rank_covariance']:.0f}", fontsize=9)
    return figure


def adaptation(records: Sequence, names: Sequence[str] = ("frozen", "full")) -> Figure:
    """Draw, along the singular directions of W_e, its singular values, the encoder's spread and the decoder's gain.

    Faint: encoder and decoder at the start, where maps are frozen. All curves are divided by their value at the first
    direction.
    """
    groups = chosen(records, names)
    groups = {name: [r for r in runs if "encoder_deviation" in r.arrays] for name, runs in groups.items()}
    groups = {name: runs for name, runs in groups.items() if runs}
    if not groups:
        return nothing("No stored run is there.")
    curves = [
        (r"$\sigma_r$ of $W_e$", "singular_effective", COLOURS[0], DASHES[0]),
        ("encoder's spread along $v_r$", "encoder_deviation", COLOURS[1], DASHES[1]),
        ("decoder's gain on $u_r$", "decoder_gain", COLOURS[2], DASHES[3]),
    ]
    with house():
        figure, axes = canvas(1, len(groups), height=3.5, sharey=True, squeeze=False)
        for axis, (name, runs) in zip(axes[0], groups.items(), strict=True):
            for label, key, colour, dash in curves:
                values = np.array([np.asarray(r.arrays[key], float) / r.arrays[key][0] for r in runs])
                if not np.isfinite(values).all():
                    continue
                index = np.arange(1, values.shape[1] + 1)
                axis.semilogy(index, np.median(values, axis=0), color=colour, linestyle=dash, label=label)
                if f"{key}_start" in runs[0].arrays:
                    start = [np.asarray(r.arrays[f"{key}_start"], float) / r.arrays[f"{key}_start"][0] for r in runs]
                    axis.semilogy(index, np.median(start, axis=0), color=colour, linewidth=0.8, alpha=0.7)
            axis.set(xlabel="singular direction of $W_e$", title=LABELS[name], ylim=(3e-3, 12))
            axis.set_xlim(0, min(100, values.shape[1]))
        axes[0, 0].set_ylabel("relative to the first direction")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        letter(axes[0])
    return figure


def start_spectra(starts: dict[str, np.ndarray]) -> Figure:
    """Draw the singular values of W_e at the start, by kind of chain."""
    with house():
        figure, axis = canvas(height=3.1)
        for name, values in starts.items():
            colour, dash = LOOKS[name]
            label = LABELS[name].replace("W^T", "$W^T$")
            axis.semilogy(
                np.arange(1, len(values) + 1), np.maximum(values, FLOOR), color=colour, linestyle=dash, label=label
            )
        axis.set(xlabel="index", ylabel=r"$\sigma_r(W_e)$ at the start", ylim=(1e-5, 4))
        legend(axis, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _normalised(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, float)
    return np.maximum(values / values.max(), FLOOR)


def _reach(groups: dict[str, list]) -> float:
    """An index beyond which no spectrum has anything above one thousandth."""
    last = max((_normalised(r.arrays["spectrum_codes"]) > 1e-3).sum() for runs in groups.values() for r in runs)
    return min(len(next(iter(groups.values()))[0].arrays["spectrum_codes"]), max(12, 1.25 * last))


def _sheet(images: np.ndarray) -> np.ndarray:
    """Images `(n, 1, h, w)` as one sheet, as square as they allow."""
    side = int(np.sqrt(len(images)))
    h, w = images.shape[2:]
    return images[: side * side, 0].reshape(side, side, h, w).swapaxes(1, 2).reshape(side * h, side * w)
