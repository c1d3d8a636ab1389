"""What the ledger reads off one run of the ablations."""

from __future__ import annotations

import numpy as np

from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.run_ranks import at_error
from implicit_rank.store import Record

MATCHED = (0.025, 0.02, 0.015)  # mean squared errors at which ranks are compared along the runs


def compensation(record: Record) -> float:
    """How much encoder and decoder lean against frozen maps: how their joint gain rises to weak directions.

    It is minus the slope of log(encoder's deviation times decoder's gain, at the end over the start) against log
    sigma_r, over the directions whose sigma_r exceeds one hundredth of the largest. 0: they ignore W_e; 1: they undo
    it; negative: they follow it. NaN unless the maps are frozen at their start and differ in their singular values, and
    where the decoder does not begin with a linear layer.
    """
    if "encoder_deviation_start" not in record.arrays:
        return float("nan")
    sigma = np.asarray(record.arrays["singular_effective"], float)
    gain = np.ones_like(sigma)
    for part in ("encoder_deviation", "decoder_gain"):
        gain = gain * record.arrays[part] / record.arrays[f"{part}_start"]
    used = (sigma > 0.01 * sigma.max()) & np.isfinite(gain) & (gain > 0)
    x, y = np.log(sigma[used]), np.log(gain[used])
    if len(x) < 3 or np.ptp(x) < 1e-3:  # an orthogonal W_e has no weak directions
        return float("nan")
    return float(-np.polyfit(x, y, 1)[0])


def tail(record: Record) -> float:
    """How far the spectrum goes on below its 1 %: the count in the code matrix over that in the covariance."""
    return record.scalars["rank_codes"] / record.scalars["rank_covariance"]


MEASURES: dict[str, Measure] = scalars(
    (
        "error_test",
        "error_train",
        "rank_covariance",
        "rank_codes",
        "rank_effective",
        "dimensions",
        "distance_mixture",
        "probe_100",
        "probe_1000",
    )
)
MEASURES |= {"compensation": compensation, "tail": tail}
MEASURES |= {
    f"{name}_at_{error:g}": lambda record, course=course, error=error: at_error(record, error, course)
    for name, course in (("rank", "rank_covariance"), ("rank_codes", "rank_codes"))
    for error in MATCHED
}
