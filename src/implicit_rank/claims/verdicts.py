"""From numbers per seed to an estimate, an interval and a verdict; no files and no runs in here."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

VERDICTS = ("reproduced", "partly", "not reproduced", "inconclusive", "not run")
MEANING = {
    "reproduced": "the whole interval of our estimate lies in the accepted region, in every case",
    "partly": "it holds in some cases or seeds and fails in others",
    "not reproduced": "the whole interval lies outside the accepted region, in every case",
    "inconclusive": "the interval is wider than the tolerance or straddles its edge: it takes more seeds",
    "not run": "the runs it needs are not stored; the reason says which",
}
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What the seeds say: estimate, standard deviation over seeds, interval, number of seeds."""

    estimate: float
    spread: float | None
    interval: tuple[float, float]
    n: int


def estimate(values: Sequence[float], logarithmic: bool = False) -> Estimate:
    """The mean over seeds with its two-sided Student-t 95 % interval.

    Equal values give a point, as does a single one (then the spread is None). With `logarithmic` (ratios, all
    positive) the geometric mean and an interval computed on logarithms. Among infinite values ("never") the
    t interval has no meaning; it is then the range of the seeds. NaN is refused (ValueError).
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or np.isnan(array).any():
        raise ValueError("an estimate needs at least one value, and none of them NaN.")
    n, low, high = array.size, float(array.min()), float(array.max())
    if low == high:
        return Estimate(low, None if n == 1 else 0.0, (low, high), n)
    if np.isinf(array).any():
        return Estimate(float(np.median(array)), math.inf, (low, high), n)
    scale = np.log(array) if logarithmic else array
    mean, half = scale.mean(), stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * scale.std(ddof=1) / math.sqrt(n)
    back = np.exp if logarithmic else (lambda value: value)
    interval = float(back(mean - half)), float(back(mean + half))
    return Estimate(float(back(mean)), float(array.std(ddof=1)), interval, n)


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
    """(verdict, reason) when every seed is judged by itself; `values` maps seeds to values."""
    failing = [
        seed for seed, value in values.items() if not (_inside(value, region, open_below) and value <= region[1])
    ]
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


def _side(low: float, high: float, least: float, most: float) -> str:
    side = "above" if low > most else "below"
    return "" if low == high else f"the whole interval lies {side} the region"
