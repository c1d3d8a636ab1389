"""Figures of chapter 11 on trained runs: RAG's end foretold from its start, and its race with Hebbian learners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from implicit_rank.figures.kit.slider import Html
from implicit_rank.figures.kit.style import COLOURS, MARKERS, canvas, house, letter, strokes
from implicit_rank.figures.kit.tables import table

LEARNERS = {
    "rag": "RAG",
    "gha": "Sanger's rule (GHA)",
    "eigengame": "EigenGame",
    "weighted_oja": "Oja's weighted rule",
    "oja": "Oja's subspace rule",
}
PRODUCTS = {"rag": 2}  # with C in a step; the others have one matrix
SPECTRA = {"geometric": "5, 4, 3.2, ...; k = 8", "mnist": "MNIST; k = 10"}
LEVELS = (0.1, 0.01, 0.001)


def foretold(records: Sequence) -> Figure:
    """Draw where RAG ended against the mean that its first weights foretell, and against the size of the start.

    Small marks are single starts, large ones means over a member's starts; lines in (b) are the mean over Gaussian
    starts of that size.
    """
    sizes = sorted({r.spec["start"] for r in records})
    spectra = sorted({r.spec["spectrum"] for r in records})
    with house():
        figure, (left, right) = canvas(1, 2, height=3.4)
        for i, size in enumerate(sizes):
            chosen = [r for r in records if r.spec["start"] == size]
            look = {"color": COLOURS[i], "marker": MARKERS[i], "linestyle": ""}
            x, y = (np.concatenate([r.arrays[name] for r in chosen]) for name in ("predicted", "d_align"))
            left.plot(x, y, markersize=2, alpha=0.3, **look)
            means = [(r.scalars["predicted"], r.scalars["d_align"]) for r in chosen]
            left.plot(*zip(*means, strict=True), markersize=6, fillstyle="none", label=f"size {size:g}", **look)
        ends = np.array(left.get_xlim())
        left.plot(ends, ends, color="#888888", linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
        for i, spectrum in enumerate(spectra):
            chosen = sorted((r for r in records if r.spec["spectrum"] == spectrum), key=lambda r: r.spec["start"])
            at = [r.spec["start"] for r in chosen]
            look = {"color": COLOURS[i], "fillstyle": "none"}
            right.plot(at, [r.scalars["d_align"] for r in chosen], MARKERS[i], label=f"{spectrum} gaps", **look)
            right.plot(at, [r.scalars["from_size"] for r in chosen], color=COLOURS[i], linewidth=0.9)
        left.set(xscale="log", yscale="log", xlabel="foretold from the start", ylabel="final $d_{align}$")
        right.set(xscale="log", yscale="log", xlabel="standard deviation of the start", ylabel="final $d_{align}$")
        for axis in (left, right):
            axis.legend(fontsize=8)
        letter((left, right))
    return figure


def race(records: Sequence) -> Figure:
    """Draw the median distance from the axes against steps, one line a learner, one panel a spectrum."""
    spectra = [name for name in SPECTRA if any(r.spec["spectrum"] == name for r in records)]
    with house():
        figure, axes = canvas(1, len(spectra), height=3.6, sharey=True, squeeze=False)
        for axis, spectrum in zip(axes[0], spectra, strict=True):
            for (learner, label), style in zip(LEARNERS.items(), strokes(len(LEARNERS)), strict=True):
                runs = [r for r in records if (r.spec["learner"], r.spec["spectrum"]) == (learner, spectrum)]
                if not runs:
                    continue
                longest = max(runs, key=lambda r: len(r.arrays["steps"])).arrays["steps"]
                # a learner that has arrived is trained no further
                courses = [
                    np.pad(r.arrays["d_align"], (0, len(longest) - len(r.arrays["steps"])), mode="edge") for r in runs
                ]
                values = np.nanmedian(courses, axis=0)[1:]
                axis.plot(longest[1:], values, label=label, **style)
            axis.set(xscale="log", yscale="log", xlabel="full-batch steps", title=SPECTRA[spectrum], ylim=(5e-4, 1.5))
        axes[0, 0].set_ylabel("distance from the axes $d_{align}$")
        letter(axes[0])
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def race_table(records: Sequence) -> Html:
    """Best rate and median steps to three distances, one row a spectrum and learner."""
    rows = []
    for spectrum, about in SPECTRA.items():
        for learner, name in LEARNERS.items():
            runs = [r for r in records if (r.spec["learner"], r.spec["spectrum"]) == (learner, spectrum)]
            if runs:
                medians = [np.median([min(r.scalars[f"reached_{level:g}"], 1e12) for r in runs]) for level in LEVELS]
                cells = ["not reached" if median > 1e11 else f"{median:,.0f}" for median in medians]
                share = runs[0].scalars["rate_share"]
                rows.append([about, name, PRODUCTS.get(learner, 1), f"{share:.3g} / s₁", *cells])
    head = ["spectrum", "learner", "products with C a step", "best rate", *(f"steps to {level:g}" for level in LEVELS)]
    return table(head, rows)
