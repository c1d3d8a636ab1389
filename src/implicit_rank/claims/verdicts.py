"""From numbers per seed to an estimate, an interval and a verdict; no files and no runs in here."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

VERDICTS = ("reproduced", "partly", "not reproduced", "inconclusive", "one run", "not run")
MEANING = {
    "reproduced": "the whole interval of our estimate lies in the accepted region, in every case",
    "partly": "it holds in some cases or seeds and fails in others",
    "not reproduced": "the whole interval lies outside the accepted region, in every case",
    "inconclusive": "the interval is wider than the tolerance or straddles its edge: it takes more seeds",
    "one run": "a single seed was run, which shows something and decides nothing; the reason says what it shows",
    "not run": "the runs it needs are not stored; the reason says which",
}
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What the seeds say: estimate, standard deviation over seeds, interval, number of seeds.

    `coverage` is how often such an interval covers what it is for: 95 % for the mean, less for the median by the range
    of few seeds, None for a point. `logarithmic` says that mean and interval were taken on logarithms.
    """

    estimate: float
    spread: float | None
    interval: tuple[float, float]
    n: int
    coverage: float | None = None
    logarithmic: bool = False


def estimate(
    values: Sequence[float], logarithmic: bool = False, limits: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """The mean over seeds with its two-sided Student-t 95 % interval.

    Equal finite values give a point, as does a single one (then the spread is None). With `logarithmic` (nothing
    negative) it is the geometric mean with an interval computed on logarithms. Infinite values ("never"), and on
    logarithms zeros, have no mean: the estimate is then the median and the interval the range of the n seeds, which
    covers the median with probability 1 - 2^(1-n). The interval is intersected with `limits`, which the true value
    cannot leave, [-1, 1] for a rank correlation; so it covers the truth as often as before. NaN is refused, and so is
    anything negative on logarithms (ValueError).
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or np.isnan(array).any():
        raise ValueError("an estimate needs at least one value, and none of them NaN.")
    if logarithmic and array.min() < 0:
        raise ValueError("a mean on logarithms needs values that are not negative.")
    n, low, high = array.size, float(array.min()), float(array.max())
    with np.errstate(divide="ignore"):
        scale = np.log(array) if logarithmic else array
    if n == 1 or (low == high and np.isfinite(scale).all()):
        return Estimate(low, None if n == 1 else 0.0, (low, high), n, None, logarithmic)
    if not np.isfinite(scale).all():
        spread = math.inf if math.isinf(low) or math.isinf(high) else float(array.std(ddof=1))
        return Estimate(float(np.median(array)), spread, (low, high), n, 1 - 2.0 ** (1 - n), logarithmic)
    mean, half = scale.mean(), stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * scale.std(ddof=1) / math.sqrt(n)
    back = np.exp if logarithmic else (lambda value: value)
    interval = max(float(back(mean - half)), limits[0]), min(float(back(mean + half)), limits[1])
    return Estimate(float(back(mean)), float(array.std(ddof=1)), interval, n, CONFIDENCE, logarithmic)


def judge_estimate(found: Estimate, region: tuple[float, float], open_below: bool = False):
    """(verdict, reason) of what the seeds say together; neither one run nor a range that covers too little decides."""
    if found.n == 1:
        return judge_one(found.estimate, region, open_below)
    if found.coverage is not None and found.coverage < CONFIDENCE:
        return "inconclusive", f"the {covers(found)}, less than {100 * CONFIDENCE:.3g} %"
    return judge_interval(found.interval, region, open_below)


def judge_one(value: float, region: tuple[float, float], open_below: bool = False):
    """(verdict, reason) of a single seed: "one run", and on which side of the region's edge it lies."""
    return "one run", f"it lies {'inside' if _within(value, region, open_below) else 'outside'} the accepted region"


def covers(found: Estimate) -> str:
    """What the interval of a sample with infinite values is, in words."""
    return f"range of {found.n} seeds covers the median with {100 * found.coverage:.3g} %"


def judge_interval(interval: tuple[float, float], region: tuple[float, float], open_below: bool = False):
    """(verdict, reason) of an interval against an accepted region, closed unless `open_below`."""
    (low, high), (least, most) = interval, region
    if _inside(low, region, open_below) and high <= most:
        return "reproduced", ""
    if high < least or low > most or (open_below and high == least):
        return "not reproduced", _side(low, high, least, most)
    if math.isfinite(most - least) and high - low > most - least:
        return "inconclusive", "the interval is wider than the tolerance"
    return "inconclusive", "the interval straddles the edge of the accepted region"


def judge_each(values: dict[int, float], region: tuple[float, float], open_below: bool = False):
    """(verdict, reason) when every seed is judged by itself; `values` maps seeds to values, NaN fails."""
    if len(values) == 1:
        return judge_one(*values.values(), region, open_below)
    failing = [seed for seed, value in values.items() if not _within(value, region, open_below)]
    if not failing:
        return "reproduced", ""
    holds = f"holds in {len(values) - len(failing)} of {len(values)} seeds"
    if len(failing) == len(values):
        return "not reproduced", holds
    return "partly", f"{holds}, not in seed{'s' * (len(failing) > 1)} {', '.join(map(str, failing))}"


def combine(verdicts: Iterable[str]) -> str:
    """The verdict of a claim from those of its cases."""
    given = set(verdicts)
    if len(given) == 1:
        return given.pop()
    if "not run" in given:
        return "not run"
    if "partly" in given or {"reproduced", "not reproduced"} <= given:
        return "partly"
    if "one run" in given:
        return "one run"
    return "inconclusive"


def trend(x: Sequence[float], y: Sequence[float], statistic: str) -> float:
    """Spearman's rank correlation, least-squares slope or log-log slope of y against x within one seed.

    A constant y has rank correlation 0. Slopes need finite values, log-log slopes positive ones; else the
    result is NaN.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if np.isnan(y).any():
        return math.nan
    if statistic == "spearman":
        return 0.0 if np.ptp(stats.rankdata(y)) == 0 else float(stats.spearmanr(x, y).statistic)
    if statistic == "loglog_slope":
        if (x <= 0).any() or (y <= 0).any():
            return math.nan
        x, y = np.log(x), np.log(y)
    return float(np.polyfit(x, y, 1)[0]) if np.isfinite(y).all() else math.nan


def _inside(value: float, region: tuple[float, float], open_below: bool) -> bool:
    return value > region[0] if open_below else value >= region[0]


def _within(value: float, region: tuple[float, float], open_below: bool) -> bool:
    return _inside(value, region, open_below) and value <= region[1]


def _side(low: float, high: float, least: float, most: float) -> str:
    side = "above" if low > most else "below"
    return "" if low == high else f"the whole interval lies {side} the region"
