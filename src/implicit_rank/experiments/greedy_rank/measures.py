"""What the ledger and the figures read off one stored run of `greedy_rank.deep_linear`."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import linregress, spearmanr

from implicit_rank.experiments.kit.measures import Measure, scalar
from implicit_rank.theory.greedy import final_singular_value, growth_time


def rank_series(run, matrix: str, threshold: float | None = None) -> np.ndarray:
    """The rank of "codes" or "effective" at every recorded step (t,), by default at the run's own threshold."""
    wanted = run.spec["rank_threshold"] if threshold is None else threshold
    column = np.flatnonzero(np.isclose(run.arrays["thresholds"], wanted))
    if len(column) == 0:
        kept = ", ".join(f"{value:g}" for value in run.arrays["thresholds"])
        raise ValueError(f"ranks are kept along the run at the thresholds {kept}, not at {wanted:g}.")
    return run.arrays[f"{matrix}_rank"][:, column[0]]


def final_rank(run, matrix: str, threshold: float | None = None) -> float:
    """The rank of `matrix` at the end, at any threshold; NaN for a run that was stopped."""
    if run.scalars["stopped"]:
        return math.nan
    values = run.arrays[f"{matrix}_final"]
    threshold = run.spec["rank_threshold"] if threshold is None else threshold
    return float((values > threshold * values.max()).sum())


def crossing(steps: np.ndarray, values: np.ndarray, level: float) -> float:
    """The first step at which `values` reach `level`, interpolated linearly; infinity if never."""
    reached = np.flatnonzero(values >= level)
    if len(reached) == 0:
        return math.inf
    i = reached[0]
    if i == 0:
        return float(steps[0])
    share = (level - values[i - 1]) / (values[i] - values[i - 1])
    return float(steps[i - 1] + share * (steps[i] - steps[i - 1]))


def half_time(run) -> float:
    """The step at which the loss has fallen to half its start."""
    loss = run.arrays["loss"]
    return crossing(run.arrays["steps"], -loss, -loss[0] / 2)


def settling_time(run) -> float:
    """The recorded step from which the code rank stays the true rank; infinity if it does not end there."""
    off = np.flatnonzero(rank_series(run, "codes") != run.spec["true_rank"])
    steps = run.arrays["steps"]
    if len(off) == 0:
        return float(steps[0])
    return float(steps[off[-1] + 1]) if off[-1] + 1 < len(steps) else math.inf


def emergence_times(run, count: int | None = None) -> np.ndarray:
    """The step at which each leading data mode is half fitted (count,); infinity where it never is."""
    modes = run.arrays["modes"][:, : count or run.spec["true_rank"]]
    return np.array([crossing(run.arrays["steps"], mode, 0.5) for mode in modes.T])


def emergence_correlation(run) -> float:
    """Spearman's correlation between emergence time and data singular value over the true modes."""
    times = emergence_times(run)
    if len(set(times)) < 2:  # none emerges: there is no order to speak of
        return math.nan
    return float(spearmanr(times, run.arrays["data"][: len(times)]).statistic)


def emergence_order(run) -> float:
    """1 if the true modes emerge in strictly descending order of their singular value, else 0."""
    times = emergence_times(run)
    return float((times[1:] > times[:-1]).all())  # a mode that never emerges counts as coming last, two do not


def emergence_slope(run) -> float:
    """The slope of log emergence time on log data singular value; NaN where a mode never emerges."""
    times = emergence_times(run)
    if not ((times > 0) & (times < np.inf)).all():
        return math.nan
    return float(linregress(np.log(run.arrays["data"][: len(times)]), np.log(times)).slope)


def emergence_spread(run) -> float:
    """The ratio of the last to the first emergence time of the true modes; NaN if none emerges."""
    times = emergence_times(run)
    return float(times.max() / times.min()) if np.isfinite(times).any() else math.nan


def emergence_overlap(run) -> float:
    """How long a true mode takes from a tenth to nine tenths, on average, as a share of the time they all take.

    The whole time runs from the first mode's tenth to the last one's nine tenths: 1/r for a perfect queue, 1 for
    modes that rise together, NaN where a mode never gets there.
    """
    modes = run.arrays["modes"][:, : run.spec["true_rank"]].T
    begins, ends = (np.array([crossing(run.arrays["steps"], mode, level) for mode in modes]) for level in (0.1, 0.9))
    if not np.isfinite(ends).all():
        return math.nan
    return float((ends - begins).mean() / (ends.max() - begins.min()))


def time_over_law(run) -> float:
    """The time to half the loss divided by T_N (eq-growth-time): the law says it does not depend on N."""
    return half_time(run) / growth_time(run.spec["scale"], run.spec["depth"])


def size_over_law(run) -> float:
    """The largest final singular value of W_e divided by the prediction of eq-final-size."""
    spec = run.spec
    gain = spec["latent"] * spec["weight_scale"] ** 2
    law = final_singular_value(gain, spec["scale"], spec["depth"], spec["alpha"])
    return float(run.arrays["effective_final"][0] / law)


def loss_change(run) -> float:
    """The relative fall of the loss, 0 for no movement and 1 for a perfect fit."""
    return 1 - run.scalars["loss"] / run.scalars["start_loss"]


def failed(run) -> float:
    """1 for a run that was stopped or ended above one and a half times the rank-r floor, else 0."""
    if run.scalars["stopped"]:
        return 1.0
    floor = scalar("floor")(run)
    return math.nan if math.isnan(floor) else float(not run.scalars["loss"] <= 1.5 * floor)


MEASURES: dict[str, Measure] = {
    "code_rank": lambda run: final_rank(run, "codes"),
    "effective_rank": lambda run: final_rank(run, "effective"),
    "code_rank_0.003": lambda run: final_rank(run, "codes", 0.003),
    "code_rank_0.03": lambda run: final_rank(run, "codes", 0.03),
    "code_rank_0.1": lambda run: final_rank(run, "codes", 0.1),
    "data_rank": lambda run: float((run.arrays["data"] > run.spec["rank_threshold"] * run.arrays["data"][0]).sum()),
    "least_code_rank": lambda run: float(rank_series(run, "codes").min()),
    "start_effective_rank": lambda run: float(rank_series(run, "effective")[0]),
    "loss": scalar("loss"),
    "loss_over_floor": lambda run: run.scalars["loss"] / scalar("floor")(run),
    "loss_change": loss_change,
    "clean_error": scalar("clean_error"),
    "fresh_error": scalar("fresh_error"),
    "failed": failed,
    "stopped": scalar("stopped"),
    "half_time": half_time,
    "settling_time": settling_time,
    "emergence_correlation": emergence_correlation,
    "emergence_order": emergence_order,
    "emergence_slope": emergence_slope,
    "emergence_spread": emergence_spread,
    "emergence_overlap": emergence_overlap,
    "time_over_law": time_over_law,
    "size_over_law": size_over_law,
}
