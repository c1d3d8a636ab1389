"""What is read off a stored autoencoder of images: ranks at equal error, gaps, rules that say when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.run_ranks import at_error, count_above
from implicit_rank.store import Record, filter_records
from implicit_rank.train.rules import StableRank

LEVELS = (0.012, 0.016, 0.02, 0.024)  # errors at which ranks are compared
SCALARS = (
    "error",
    "rank_effective",
    "rank_codes",
    "rank_covariance",
    "rank_codes_train",
    "rank_centred_train",
    "rank_covariance_train",
    "error_train",
    "distance",
    "distance_reconstructed",
    "distance_floor",
    "classifier_error",
    "settled_rank",
    "settled_epoch",
    "images_per_second",
    *(f"accuracy_{how}_codes" for how in ("best", "chosen", "final")),
    "accuracy_best_unit",
    "accuracy_best_features",
)


def diverged(record: Record) -> float:
    """1 for a member that diverged, else 0."""
    return float(bool(record.scalars["diverged"]))


def mean(records: Sequence[Record], measure: str) -> float:
    """The mean of a measure over the runs that have it; NaN where none has."""
    values = [MEASURES[measure](record) for record in records]
    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan


def by_alpha(records: Sequence[Record]) -> dict[float, list[Record]]:
    """The members of each alpha, ascending, where every seed was run: means over fewer seeds do not compare."""
    seeds = {r.seed for r in records}
    groups = {alpha: filter_records(records, alpha=alpha) for alpha in sorted({r.spec["alpha"] for r in records})}
    return {alpha: group for alpha, group in groups.items() if {r.seed for r in group} == seeds}


def gap(singular_values: np.ndarray, among: int = 64) -> tuple[int, float]:
    """After how many values a descending spectrum falls the most, and by which factor, among the first ones."""
    kept = singular_values[: among + 1].astype(float)
    with np.errstate(divide="ignore"):
        falls = kept[:-1] / kept[1:]
    falls[~np.isfinite(falls)] = 0
    place = int(falls.argmax())
    return place + 1, float(falls[place])


def grown(record: Record, factor: float = 2.0) -> np.ndarray:
    """How many singular values of W_e exceed `factor` times the largest at the start, per log entry."""
    course = record.arrays["singular_effective_course"]
    return (course > factor * course[0, 0]).sum(axis=1)


def grown_later(record: Record) -> float:
    """How many of them did so only after the first fifth of the training; NaN without a chain."""
    if diverged(record) or "singular_effective_course" not in record.arrays:
        return math.nan
    counts = grown(record)
    return float(counts[-1] - counts[len(counts) // 5])


def epochs_above(record: Record, error: float = 0.05) -> float:
    """For how many epochs the test error stays above this one; the whole training where it never falls below."""
    epochs, below = record.arrays["epochs"], record.arrays["error"] < error
    return float(epochs[below.argmax()] if below.any() else epochs[-1])


def leaving_times(record: Record, factor: float = 2.0) -> np.ndarray:
    """The epoch at which each singular value of W_e that ends above `factor` times the start's passed it."""
    course, epochs = record.arrays["singular_effective_course"], record.arrays["epochs"]
    level = factor * course[0, 0]
    count = int((course[-1] > level).sum())
    return np.array([epochs[np.argmax(course[:, k] > level)] for k in range(count)])


def settled(record: Record, tolerance: int = 0, epochs: int = 5, of: str = "effective") -> tuple[float, float]:
    """At which epoch the paper's rule fires along a recorded course, and at which rank; (inf, NaN) if never.

    The rule (Sun 2021, 3.2): the rank has not changed, give or take `tolerance`, for `epochs` epochs. It is read at
    whole epochs, as a program that looks once an epoch would.
    """
    rule = StableRank(of=of, epochs=epochs, tolerance=tolerance)
    times, ranks = record.arrays["epochs"].astype(float), record.arrays[f"rank_{of}"].astype(float)
    whole = np.isclose(times, np.round(times))
    times, ranks = times[whole], ranks[whole]
    for i in range(1, len(times) + 1):
        if rule.holds(times[:i], ranks[:i], len(record.arrays["singular_codes"])):
            return float(times[i - 1]), float(ranks[i - 1])
    return math.inf, math.nan


def switch_jump(record: Record) -> float:
    """The relative change of the test error when N layers became two."""
    before, after = record.scalars.get("error_before_switch"), record.scalars.get("error_after_switch")
    return math.nan if not before or diverged(record) else abs(after - before) / before


def samples_follow(records: Sequence[Record]) -> float:
    """The correlation of the logarithms of two distances, of samples and of mere reconstructions, over members.

    NaN for fewer than four members that have both.
    """
    pairs = [(MEASURES["distance_reconstructed"](r), MEASURES["distance"](r)) for r in records]
    pairs = [pair for pair in pairs if np.isfinite(pair).all()]
    return float(np.corrcoef(np.log(np.array(pairs)).T)[0, 1]) if len(pairs) > 3 else math.nan


def plateau(alphas: Sequence[float], ranks: Sequence[float], tolerance: float = 0.1) -> float:
    """The least alpha from which on a threefold alpha changes the rank by at most `tolerance`; NaN if none.

    `ranks` belong to ascending `alphas`; NaN (diverged) ends the range. Between neighbours the change of the
    logarithm of the rank is scaled to a factor of three in alpha.

    Book: eq-plateau
    """
    points = [(a, r) for a, r in zip(alphas, ranks, strict=True) if math.isfinite(r) and r > 0]
    flat = math.nan
    for (a, r), (b, s) in zip(points[-2::-1], points[:0:-1], strict=True):
        if abs(math.log(s / r)) * math.log(3) / math.log(b / a) > math.log1p(tolerance):
            break
        flat = a
    return flat


def elbow(ranks: Sequence[float], errors: Sequence[float]) -> float:
    """The rank where log error against log rank lies farthest below the straight line between its ends.

    Book: eq-elbow
    """
    x, y = np.log(np.asarray(ranks, float)), np.log(np.asarray(errors, float))
    if len(x) < 3:
        return math.nan
    line = y[0] + (y[-1] - y[0]) * (x - x[0]) / (x[-1] - x[0])
    return float(np.asarray(ranks, float)[int((line - y).argmax())])


def _of_effective(read: Callable[[np.ndarray], float]) -> Callable[[Record], float]:
    def measure(record: Record) -> float:
        values = record.arrays.get("singular_effective")
        if values is None or not np.isfinite(values).all() or diverged(record):
            return math.nan
        return float(read(values))

    return measure


MEASURES: dict[str, Measure] = {
    **scalars(SCALARS, unless="diverged"),
    **{f"rank_codes_at_{level:g}": lambda r, e=level: at_error(r, e, "rank_codes") for level in LEVELS},
    "diverged": diverged,
    "epochs_above_0.05": epochs_above,
    "ranks_apart": lambda record: MEASURES["rank_effective"](record) - MEASURES["rank_codes"](record),
    "switch_jump": switch_jump,
    "gap_place": _of_effective(lambda values: gap(values)[0]),
    "gap_factor": _of_effective(lambda values: gap(values)[1]),
    "gap_off": lambda record: abs(MEASURES["gap_place"](record) - MEASURES["rank_codes"](record)),
    "largest": _of_effective(lambda values: values[0]),
    "rank_effective_10": _of_effective(lambda values: count_above(values, 0.1)),
    "rule_epoch": lambda record: settled(record)[0],
    "rule_rank": lambda record: settled(record)[1],
    "rule_rank_codes": lambda record: settled(record, tolerance=1, of="codes")[1],
    "rule_epoch_codes": lambda record: settled(record, tolerance=1, of="codes")[0],
    "grown_later": grown_later,
    "silent": lambda record: float(diverged(record) and "not finite" not in str(record.scalars["status"])),
}
