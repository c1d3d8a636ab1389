"""What the ledger, the tables and the figures of chapters 4 and 5 read off one run of an image autoencoder."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.run_ranks import at_error

SIZES = (10, 100, 1000, 10_000, 60_000)
NAMES = (
    "error",
    "test_error",
    "rank_effective",
    "rank_codes",
    "rank_covariance",
    "test_rank_codes",
    "test_rank_covariance",
    "before_rank_covariance",
    "sampled_rank_covariance",
    "sampled_rank_codes",
    "explained_two",
    "effective_beta",
)
SETS = ("gaussian", "mixture", "mixture_test", "midpoints", "plane", "prior", "reconstruction", "floor")
TARGETS = (0.02, 0.012, 0.008)


def label_error(protocol: str, size: int, place: str = "after") -> Callable:
    """The measure "test error in percent with `size` labels", mean over draws; NaN where it was not run."""

    def read(run) -> float:
        sizes = run.arrays.get("label_sizes", np.zeros(0))
        if size not in sizes:
            return math.nan
        row = run.arrays[f"error_{protocol}"][("before", "after").index(place), list(sizes).index(size)]
        return 100 * float(np.nanmean(row)) if np.isfinite(row).any() else math.nan

    return read


def least_error(size: int) -> Callable:
    """The measure "least error in percent of anything trained on the first `size` images"."""

    def read(run) -> float:
        sizes = list(run.arrays.get("label_sizes", ()))
        return 100 * float(run.arrays["least_errors"][sizes.index(size)]) if size in sizes else math.nan

    return read


def difference(first: Callable, second: Callable) -> Callable:
    """The measure first - second."""
    return lambda run: first(run) - second(run)


def ratio(first: Callable, second: Callable) -> Callable:
    """The measure first / second."""
    return lambda run: first(run) / second(run)


MEASURES: dict[str, Measure] = scalars(
    (*NAMES, *(f"{kind}_{name}" for kind in ("classifier", "fid") for name in SETS)), unless="diverged"
)
MEASURES |= {f"rank_at_{target:g}": lambda run, e=target: at_error(run, e) for target in TARGETS}
MEASURES |= {f"rank_codes_at_{target:g}": lambda run, e=target: at_error(run, e, "rank_codes") for target in TARGETS}
for _size in SIZES:
    # as the released code has it: features before the maps, least error on the test set
    MEASURES[f"released_{_size}"] = label_error("released_best", _size, "before")
    MEASURES[f"released_final_{_size}"] = label_error("released_final", _size, "before")
    MEASURES[f"clean_{_size}"] = label_error("clean", _size)
    MEASURES[f"clean_before_{_size}"] = label_error("clean", _size, "before")
    MEASURES[f"clean_unit_{_size}"] = label_error("clean_unit", _size)
    MEASURES[f"least_error_{_size}"] = least_error(_size)
    MEASURES[f"optimism_{_size}"] = difference(MEASURES[f"released_final_{_size}"], MEASURES[f"released_{_size}"])
    MEASURES[f"maps_{_size}"] = difference(MEASURES[f"clean_{_size}"], MEASURES[f"clean_before_{_size}"])
MEASURES["mixture_split"] = ratio(MEASURES["classifier_mixture_test"], MEASURES["classifier_mixture"])
MEASURES["released_10_over_100"] = difference(MEASURES["released_10"], MEASURES["released_100"])
MEASURES["clean_10_over_100"] = difference(MEASURES["clean_10"], MEASURES["clean_100"])
