"""What the ledger and the figures read off one stored run of `implicit_rank.experiments.recovery.experiment`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.spectra import random_rotation_axis_distance

NAMES = ("d_align", "d_align_ordered", "d_sub", "transpose", "dead_units", "last_step", "reconstructed", "subspace")


def reached(level: float) -> Callable:
    """The measure "first recorded step with d_align at most `level`"; infinity if there is none."""

    def first(run) -> float:
        steps = run.arrays["steps"][run.arrays["d_align"] <= level]
        return float(steps[0]) if len(steps) else math.inf

    return first


def at_step(name: str, step: int) -> Callable:
    """The measure "series `name` at the last recorded step up to `step`"; NaN where the run is shorter."""

    def value(run) -> float:
        steps = run.arrays["steps"]
        if steps[-1] < step:
            return math.nan
        return float(run.arrays[name][np.searchsorted(steps, step, side="right") - 1])

    return value


def rise_of_subspace(run) -> float:
    """The final d_sub over the smallest on the way: how far the subspace was lost again."""
    series = run.arrays["d_sub"]
    return float(series[-1] / max(np.nanmin(series), 1e-16))


def dead_columns(run) -> float:
    """The number of decoder columns with a squared norm below 1e-3 at the end."""
    return float((run.arrays["column_norms"] ** 2 < 1e-3).sum())


def above_null(run) -> float:
    """The final d_align minus the expectation for a random rotation of the right subspace."""
    return run.scalars["d_align"] - random_rotation_axis_distance(run.spec["k"])


def patience(run) -> float:
    """Steps to d_align <= 0.1 over steps until the error is within 5 % of its optimum."""
    return reached(0.1)(run) / max(run.scalars["reconstructed"], 1)


MEASURES: dict[str, Measure] = scalars(NAMES, unless="stopped") | scalars(("stopped", "least_d_align"))
MEASURES |= {f"reached_{level:g}": reached(level) for level in (0.3, 0.2, 0.1, 0.05, 0.01)}
MEASURES |= {
    "rise_of_subspace": rise_of_subspace,
    "dead_columns": dead_columns,
    "above_null": above_null,
    "patience": patience,
    "d_align_at_5000": at_step("d_align", 5000),
    "d_sub_at_20000": at_step("d_sub", 20_000),
}
