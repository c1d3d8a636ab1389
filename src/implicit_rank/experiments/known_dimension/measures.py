"""What the ledger reads from a stored autoencoder of shapes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from implicit_rank.experiments.kit import run_ranks
from implicit_rank.experiments.kit.measures import Measure, scalar, scalars
from implicit_rank.experiments.kit.run_ranks import at_error
from implicit_rank.store import Record

FACTORS = ("r", "g", "b", "x", "y", "size", "shape")
HELD = 0.8  # R^2 from which a factor counts as held by the codes
LEVELS = (0.002, 0.003, 0.004, 0.005, 0.006)  # errors at which ranks are compared
THRESHOLDS = (0.001, 0.1)  # beside the 0.01 of every rank


def mean_of(*names: str) -> Callable[[Record], float]:
    """The measure that takes the mean of stored numbers."""
    return lambda record: float(np.mean([record.scalars.get(name, math.nan) for name in names]))


def steps_to(record: Record, level: float) -> float:
    """The epochs until the error first falls to `level`; infinite when it never does."""
    epochs = at_error(record, level, "epochs", from_start=True)
    return math.inf if math.isnan(epochs) else epochs


def count_above(record: Record, threshold: float) -> float:
    """How many singular values of the final covariance of the codes exceed a share of the largest."""
    return float(run_ranks.count_above(record.arrays["spectrum_codes"], threshold))


def count_spread(record: Record) -> float:
    """By how much the count changes when the threshold goes from 0.1 to 0.001."""
    return count_above(record, min(THRESHOLDS)) - count_above(record, max(THRESHOLDS))


def code_size(record: Record) -> float:
    """The root mean square length of a code on the test images."""
    return float(np.sqrt(np.square(record.arrays["singular_codes"]).sum() / record.spec["evaluate"]))


def factors_held(record: Record) -> float:
    """How many of the seven factors can be read from the codes with R^2 of at least 0.8; NaN after a stop."""
    scores = [record.scalars.get(f"r2_{name}", math.nan) for name in FACTORS]
    return math.nan if np.isnan(scores).any() else float(sum(score >= HELD for score in scores))


def release_gain(record: Record) -> float:
    """By what factor the error fell after the chain was folded away; NaN where that was not tried."""
    return record.scalars["error"] / record.scalars.get("released_error", math.nan)


def release_rise(record: Record) -> float:
    """By how much the count rose after the chain was folded away; NaN where that was not tried."""
    return record.scalars.get("released_rank_covariance", math.nan) - record.scalars["rank_covariance"]


MEASURES: dict[str, Measure] = {
    **scalars(("error", "rank_effective", "rank_codes", "rank_covariance", "fading")),
    **scalars(("middle_error", "middle_floor", "middle_fade", "accuracy_shape")),
    **scalars(f"r2_{name}" for name in (*FACTORS, "hue", "brightness")),
    "r2_position": mean_of("r2_x", "r2_y"),
    "features_hue": scalar("features_hue"),
    "released_hue": scalar("released_r2_hue"),
    "released_shape": scalar("released_r2_shape"),
    "released_error": scalar("released_error"),
    "released_rank": scalar("released_rank_covariance"),
    "release_gain": release_gain,
    "release_rise": release_rise,
    "factors_held": factors_held,
    "count_spread": count_spread,
    "code_size": code_size,
    **{f"rank_at_error_{level:g}": lambda r, level=level: at_error(r, level) for level in LEVELS},
    **{f"epochs_to_error_{level:g}": lambda r, level=level: steps_to(r, level) for level in LEVELS},
    **{f"count_above_{share:g}": lambda r, share=share: count_above(r, share) for share in THRESHOLDS},
}
