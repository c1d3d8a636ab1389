"""Tables of chapter 12: who is the fastest and where, and what a step costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from implicit_rank.experiments.recovery.speed import Comparison
from implicit_rank.figures.kit.slider import Html
from implicit_rank.figures.kit.tables import table
from implicit_rank.figures.recovery.figures import NAMES, OPTIMISERS, first_step

SETTINGS = {("uniform", "paper"): ", uniform prior", ("paper", "linear"): ", linear penalties"}


def median_steps(records: Sequence, level: float) -> float:
    """The median over runs of the first step with d_align at most `level`; huge if most never get there."""
    return float(np.median([min(first_step(r, level), 1e12) for r in records])) if records else np.nan


def in_words(steps: float) -> str:
    """A number of steps for a table cell."""
    if np.isnan(steps):
        return "not run"
    return "not reached" if steps > 1e11 else f"{steps:,.0f}"


def race(records: Sequence, levels: Sequence[float] = (0.3, 0.1, 0.05)) -> Html:
    """Steps to several distances, one row a model and optimiser, medians over seeds, the fastest in words."""
    rows, best = [], dict.fromkeys(levels, np.inf)
    groups = {}
    for optimiser in OPTIMISERS:
        for model in NAMES:
            runs = [r for r in records if (r.spec["model"], r.spec["optimiser"]) == (model, optimiser)]
            if runs:
                groups[model, optimiser] = [median_steps(runs, level) for level in levels]
    for times in groups.values():
        for level, steps in zip(levels, times, strict=True):
            best[level] = min(best[level], steps)
    for (model, optimiser), times in groups.items():
        cells = [
            in_words(steps) + (" (fastest)" if steps == best[level] and steps < 1e11 else "")
            for level, steps in zip(levels, times, strict=True)
        ]
        rows.append([NAMES[model], OPTIMISERS[optimiser], *cells])
    return table(["model", "optimiser", *(f"steps to {level:g}" for level in levels)], rows)


def duels(records: Sequence, level: float = 0.3) -> Html:
    """Steps to `level` against k: RAG and each rival under the same optimiser, medians over seeds."""
    widths = sorted({r.spec["k"] for r in records})
    rows = []
    for optimiser in ("nesterov", "adam"):
        for model in NAMES:
            runs = [r for r in records if (r.spec["model"], r.spec["optimiser"]) == (model, optimiser)]
            if runs:
                cells = [in_words(median_steps([r for r in runs if r.spec["k"] == k], level)) for k in widths]
                rows.append([NAMES[model], OPTIMISERS[optimiser], *cells])
    return table(["model", "optimiser", *(f"k = {k}" for k in widths)], rows)


def best_rates(records: Sequence, level: float = 0.1) -> Html:
    """The learning rate at which each model is first within `level` of the axes, medians over seeds, and its price."""
    tried: dict[tuple, dict[float, list]] = {}
    for record in records:
        setting = tuple(record.spec[name] for name in ("optimiser", "model", "prior", "penalties"))
        tried.setdefault(setting, {}).setdefault(record.spec["lr"], []).append(record)
    rows = []
    for optimiser in ("nesterov", "adam"):
        for model in NAMES:
            for setting in sorted(key for key in tried if key[:2] == (optimiser, model)):
                rate, runs = min(
                    tried[setting].items(), key=lambda entry: (median_steps(entry[1], level), worst(entry[1]))
                )
                name = NAMES[model] + SETTINGS.get(setting[2:], "")
                times = [in_words(median_steps(runs, distance)) for distance in (level, 0.01)]
                rows.append([name, OPTIMISERS[optimiser], f"{rate:g}", *times, f"{worst(runs):.3f}"])
    head = ["model", "optimiser", "best rate", f"steps to {level:g}", "steps to 0.01", "worst seed at the end"]
    return table(head, rows)


def worst(records: Sequence) -> float:
    """The largest d_align at the end over runs."""
    return max(record.scalars["d_align"] for record in records)


def batches(records: Sequence) -> Html:
    """Both distances at the end against the images a step, one row a run."""
    rows = [
        [NAMES[r.spec["model"]], r.spec["batch"] or "all", f"{r.scalars['d_align']:.1e}", f"{r.scalars['d_sub']:.1e}"]
        for r in records
    ]
    return table(["model", "images a step", "distance from the axes", "distance from the subspace"], rows)


def steps_side_by_side(race: Comparison) -> Html:
    """The time of one step on the samples, through their second moments and in the eigenbasis."""
    times = {
        "on the samples": race.samples,
        "through C (Adam)": race.moments,
        "in the eigenbasis (Nesterov)": race.eigenbasis,
    }
    rows = [[way, f"{1e3 * seconds:.3g}", f"{race.samples / seconds:.0f}"] for way, seconds in times.items()]
    return table(["a step", "milliseconds", "times faster"], rows)


def step_costs(records: Sequence) -> Html:
    """Seconds per 1,000 steps of one member against k, from stored runs: smallest over runs of that kind.

    Runs of under 200 steps are left out: they are over before their pace is known.
    """
    records = [record for record in records if record.scalars["last_step"] >= 200]
    widths = sorted({r.spec["k"] for r in records})
    rows = []
    for optimiser, label in (("nesterov", "Nesterov, in the eigenbasis"), ("adam", "Adam, whole C")):
        cells = []
        for k in widths:
            seconds = [
                r.scalars["seconds_per_1000_steps"]
                for r in records
                if r.spec["optimiser"] == optimiser and r.spec["k"] == k and r.spec["model"] != "nested_dropout"
            ]
            cells.append(f"{min(seconds):.2f}" if seconds else "not run")
        if widths:
            rows.append([label, *cells])
    return table(["seconds per 1,000 steps", *(f"k = {k}" for k in widths)], rows)
