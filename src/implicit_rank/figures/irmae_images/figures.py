"""Figures of chapter 4: Jing 2020, Figures 4 to 8, rank against error, and Table 2 as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from implicit_rank.experiments.irmae_images.measures import MEASURES, label_error
from implicit_rank.experiments.kit.run_ranks import count_above
from implicit_rank.figures.irmae_images.pictures import joined, picture_rows, show
from implicit_rank.figures.kit.captions import images_of, runs_shown
from implicit_rank.figures.kit.style import (
    COLOURS,
    DASHES,
    MARKERS,
    canvas,
    house,
    legend,
    letter,
    nothing,
    plain_ticks,
)


def name_of(record) -> str:
    """A run's model as text: "AE", "VAE", "IRMAE, l = 4" or "supervised", with what sets it apart."""
    spec = record.spec
    if spec.get("supervised"):
        return "supervised"
    name = "VAE" if spec["kind"] == "vae" else f"IRMAE, l = {spec['depth']}" if spec["depth"] else "AE"
    name += ", He start" if spec["conv_start"] == "he" else ""
    name += "" if spec["shuffle"] else ", unshuffled"
    return name + (", no divergence" if 0 < spec["beta"] < 1e-6 else "")


def runs_in_words(records: Sequence) -> str:
    """Two sentences on what was run: images, length, rate, width of the net; then profile, seeds and dates."""
    if not records:
        return runs_shown(records)
    trained = [r for r in records if not r.spec.get("supervised")]
    spec = (trained or records)[0].spec
    width = {1.0: "the paper's net", 0.25: "a net a quarter as wide"}.get(
        spec["channel_factor"], f"a net {spec['channel_factor']:g} times as wide"
    )
    length = images_of(spec["data"], spec["count"])
    if trained:  # the supervised net counts steps of its own
        length = f"{spec['epochs']} epoch{'s' * (spec['epochs'] != 1)} of {length} at rate {spec['lr']:g}"
    length += f", {width}" + ", products in bfloat16" * (bool(trained) and spec["precision"] == "bfloat16")
    return f"{length[0].upper()}{length[1:]}. {runs_shown(records)}"


def by_model(records: Sequence, supervised: bool = False) -> dict[str, list]:
    """Runs by the name of their model in the paper's order AE, VAE, IRMAE by depth, each sorted by seed."""
    chosen = [r for r in records if (supervised or not r.spec.get("supervised")) and not r.scalars.get("diverged")]
    order = {"AE": 0, "VAE": 1, "supervised": 3}
    chosen = sorted(chosen, key=lambda r: (order.get(name_of(r).split(",")[0], 2), name_of(r), r.seed))
    groups: dict[str, list] = {}
    for record in chosen:
        groups.setdefault(name_of(record), []).append(record)
    return groups


def strokes_of(names: Sequence[str]) -> list[dict]:
    """A line style per model: AE, VAE and supervised always look the same, the others share what is left.

    Of the others every fourth has the same colour again, with another dash and marker.
    """
    fixed, free = {"AE": 0, "VAE": 1, "supervised": 3}, (2, 6, 5, 4)
    others = [name for name in names if name not in fixed]
    looks = []
    for name in names:
        turn, place = (0, None) if name in fixed else divmod(others.index(name), len(free))
        colour = fixed[name] if place is None else free[place]
        line = (colour + 3 * turn) % len(DASHES)
        looks.append({"color": COLOURS[colour], "linestyle": DASHES[line], "marker": MARKERS[line]})
    return looks


def spectra(records: Sequence) -> Figure:
    """Draw normalised spectra of the covariance of test codes, linear as in Jing 2020's Figure 4 and logarithmic.

    The legend has what each spectrum cost: error and number of values above one hundredth of the largest, means over
    seeds.
    """
    groups = by_model(records)
    if not groups:
        return nothing("No stored run is there.")
    with house():
        figure, axes = canvas(1, 2, height=3.4)
        for (name, runs), style in zip(groups.items(), strokes_of(list(groups)), strict=True):
            kinds = [("spectrum_test", name + (" (means)" if "VAE" in name else ""), style)]
            if "VAE" in name:
                kinds.append(("spectrum_sampled", f"{name} (sampled)", style | {"alpha": 0.5}))
            for key, label, look in kinds:
                counts = [count_above(r.arrays[key]) for r in runs]
                errors = [MEASURES["test_error"](r) for r in runs]
                label = f"{label}: {np.mean(counts):.0f} at {np.mean(errors):.4f}"
                for i, run in enumerate(runs):
                    values = run.arrays[key] / run.arrays[key][0]
                    line = look | {"marker": None, "linewidth": 1.6 if i == 0 else 0.7}
                    for axis in axes:
                        axis.plot(np.arange(1, len(values) + 1), values, label=label if i == 0 else None, **line)
        axes[0].set(xlabel="index", ylabel="singular value over the largest", title="as in the paper", ylim=(0, 1.03))
        axes[0].set_xlim(0, min(60, len(values)))
        axes[1].axhline(0.01, color="black", linewidth=0.8, linestyle=":")
        axes[1].set(yscale="log", ylim=(1e-6, 1.5), xlabel="index", title="logarithmic")
        boxed = {"frameon": True, "framealpha": 0.85, "edgecolor": "none"}  # a VAE's samples run behind it
        legend(axes[0], loc="upper right", fontsize=8, title="count at error", title_fontsize=8, **boxed)
        letter(axes)
    return figure


def rank_against_error(records: Sequence) -> Figure:
    """Draw rank against reconstruction error along the training, by both rules: what is left at equal error."""
    groups = {name: runs for name, runs in by_model(records).items() if "error" in runs[0].arrays}
    if not groups:
        return nothing("No stored run is there.")
    # before that, ranks are those of the start
    learned = 0.6 * min(float(run.arrays["error"][0]) for runs in groups.values() for run in runs)
    with house():
        figure, axes = canvas(1, 2, height=3.5, sharex=True)
        for (name, runs), style in zip(groups.items(), strokes_of(list(groups)), strict=True):
            for i, run in enumerate(runs):
                errors = run.arrays["error"].astype(float)
                learnt = errors < learned
                for axis, rank in zip(axes, ("rank_covariance", "rank_codes"), strict=True):
                    line = style | {"marker": None, "linewidth": 1.5 if i == 0 else 0.7}
                    axis.plot(errors[learnt], run.arrays[rank][learnt], label=name if i == 0 else None, **line)
                    axis.plot(errors[-1], run.arrays[rank][-1], **style, markersize=6)
        for axis, title in zip(axes, ("covariance of the codes", "code matrix"), strict=True):
            axis.set(xscale="log", yscale="log", xlabel="reconstruction error", title=title)
            plain_ticks(axis.xaxis, (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1))
            plain_ticks(axis.yaxis, (1, 2, 5, 10, 20, 50, 100))
        if not axes[0].xaxis_inverted():
            axes[0].invert_xaxis()  # time runs to the right
        axes[0].set_ylabel("values above 1 %")
        legend(axes[0], loc="lower right", fontsize=8)
        letter(axes)
    return figure


def interpolation(records: Sequence, pairs: int = 3) -> Figure:
    """Draw decoded straight lines between test images, one row a model and the images at both ends (Figure 5)."""
    groups = {name: runs[0] for name, runs in by_model(records).items() if "picture_interpolation" in runs[0].arrays}
    if not groups:
        return nothing("No stored run is there.")
    first = next(iter(groups.values()))
    pairs = min(pairs, len(first.arrays["picture_originals"]))
    rows, labels = [], []
    for pair in range(pairs):
        for name, run in groups.items():
            ends = run.arrays["picture_originals"][pair]
            rows.append([ends[0], *run.arrays["picture_interpolation"][pair], ends[1]])
            labels.append(name)
    with house():
        figure, axes = picture_rows(rows, labels, gap_after=len(groups), pairs=pairs)
        for axis in axes:
            width = rows[0][0].shape[-1]
            for place in (width + 0.5, (len(rows[0]) - 1) * (width + 1) - 0.5):
                axis.axvline(place, color="white", linewidth=3)
        axes[0].set_title(
            "image, line from its code to the other's, other image", fontsize=9, loc="center", fontweight="normal"
        )
    return figure


def samples(records: Sequence, sampler: str, columns: int = 16) -> Figure:
    """Draw decoded samples of "gaussian" (Figure 6), "mixture" (Figure 7) or a VAE's "prior", rows by model."""
    key = f"picture_{sampler}"
    groups = {name: runs[0] for name, runs in by_model(records).items() if key in runs[0].arrays}
    if not groups:
        return nothing("No stored run is there.")
    rows, labels = [], []
    for name, run in groups.items():
        pictures = list(run.arrays[key])
        columns = min(columns, len(pictures))
        lines = len(pictures) // columns
        rows += [pictures[i * columns : (i + 1) * columns] for i in range(lines)]
        labels += [name] + [""] * (lines - 1)
    with house():
        figure, _ = picture_rows(rows, labels, gap_after=lines, pairs=len(groups))
    return figure


def planes(records: Sequence) -> Figure:
    """Draw the images on the plane of the first two principal components of the codes, and the variance explained.

    The plane reaches from -2 to 2 standard deviations along both (Jing 2020, Figure 8).
    """
    groups = {name: runs for name, runs in by_model(records).items() if "picture_plane" in runs[0].arrays}
    if not groups:
        return nothing("No stored run is there.")
    count = len(groups) + 1
    lines = (count + 1) // 2
    with house():
        figure, axes = canvas(lines, 2, height=3.75 * lines, squeeze=False)
        for axis in axes.flat[count:]:
            axis.set_axis_off()
        for axis, (name, runs) in zip(axes.flat, groups.items(), strict=False):
            share = 100 * np.mean([r.scalars["explained_two"] for r in runs])
            grid = runs[0].arrays["picture_plane"]
            # the first axis runs to the right, the second upwards
            sheet = np.concatenate([joined(list(row)) for row in grid.swapaxes(0, 1)[::-1]], axis=0)
            show(axis, sheet)
            axis.set_title(f"{name}: {share:.0f} % of the variance", fontsize=9.5)
        bars = axes.flat[len(groups)]
        for (name, runs), style in zip(groups.items(), strokes_of(list(groups)), strict=True):
            shares = 100 * np.mean([r.arrays["explained"] for r in runs], axis=0)
            bars.plot(np.arange(1, len(shares) + 1), shares.cumsum(), label=name, markersize=4, **style)
        bars.set(xlabel="principal components", ylabel="variance explained, %", ylim=(0, 100))
        bars.set_title("cumulative", fontsize=9.5)
        legend(bars, loc="upper left" if "VAE" not in groups else "best", fontsize=8)
    return figure


def label_curves(
    records: Sequence,
    published: Mapping[str, Mapping[int, float]] | None = None,
    protocols: Sequence[tuple[str, str, str]] | None = None,
) -> Figure:
    """Draw test error against the number of labels, ours by protocol and, grey, the published one.

    `published` has, for a model's name, errors in per cent by number of labels, shown beside runs on MNIST;
    `protocols` are (name in the records, place, title).
    """
    protocols = protocols or (("released_best", "before", "released protocol"), ("clean", "after", "clean protocol"))
    groups = {n: r for n, r in by_model(records, supervised=True).items() if "label_sizes" in r[0].arrays}
    if not groups:
        return nothing("No stored run is there.")
    sizes = sorted({int(n) for runs in groups.values() for r in runs for n in r.arrays["label_sizes"]})
    with house():
        figure, axes = canvas(1, len(protocols), height=3.7, sharey=True, squeeze=False)
        for axis, (protocol, place, title) in zip(axes[0], protocols, strict=True):
            for (name, runs), style in zip(groups.items(), strokes_of(list(groups)), strict=True):
                rows = np.array([[label_error(protocol, n, place)(r) for n in sizes] for r in runs])
                axis.plot(sizes, np.nanmean(rows, axis=0), label=name, markersize=5, **style)
                axis.plot(
                    np.tile(sizes, len(runs)),
                    rows.ravel(),
                    linestyle="none",
                    marker=".",
                    markersize=2.5,
                    color=style["color"],
                )
                on_mnist = runs[0].spec["data"].startswith("mnist")
                printed = (published or {}).get(name.split(",")[0], {}) if on_mnist else {}
                known = sorted(n for n in printed if n <= max(sizes))
                look = {"color": "#777777", "marker": style["marker"], "markerfacecolor": "white"}
                axis.plot(known, [printed[n] for n in known], linewidth=0.8, markersize=3.5, zorder=1, **look)
            axis.set(xscale="log", yscale="log", xlabel="labels", title=title)
            plain_ticks(axis.xaxis, sizes)
            plain_ticks(axis.yaxis, (0.5, 1, 2, 5, 10, 20, 50, 100))
        floor = {
            int(n): 100 * least
            for group in groups.values()
            for r in group
            for n, least in zip(r.arrays["label_sizes"], r.arrays.get("least_errors", ()), strict=False)
            if least > 0
        }
        for n, least in floor.items():
            axes[0, 0].plot([n / 1.6, n * 1.6], [least, least], color="black", linewidth=2)
        if floor:
            axes[0, -1].plot([], [], color="black", linewidth=2, label="least possible (a)")
        axes[0, 0].set_ylabel("test error, %")
        legend(axes[0, -1], loc="upper right", fontsize=8)
        letter(axes[0])
    return figure
