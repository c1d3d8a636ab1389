"""The ledger: grammar, every verdict with its reason from made-up runs, the verdicts file, the command."""

import argparse
import dataclasses
import itertools
import math
import shutil
import types
from typing import ClassVar

import numpy as np
import pytest
from scipy import stats

from implicit_rank import claims
from implicit_rank.claims import wording
from implicit_rank.claims.grammar import Claim
from implicit_rank.claims.verdicts import combine, estimate, judge_each, judge_estimate, judge_interval, trend
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option
from implicit_rank.store import Spec, Store


@dataclasses.dataclass(frozen=True)
class Made(Spec):
    experiment: ClassVar[str] = "made"

    depth: int = option(4, "layers", least=1)
    alpha: float = option(1.0, "weight", above=0)


MEASURES = {
    "value": lambda record: record.scalars["value"],
    "twice": lambda record: 2 * record.scalars["value"],
    "broken": lambda record: record.scalars["absent"],
}
FREE = {"made": Experiment(Made, presets=lambda profile, seeds=None: [], run=lambda specs, **_: [], measures=MEASURES)}


def planned(*specs):
    """The same experiment with these runs fixed beforehand."""

    def presets(profile):
        return [spec for spec in specs if spec.profile == profile]

    return {"made": dataclasses.replace(FREE["made"], presets=presets)}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def put(store, values, profile="paper", **fields):
    """Store one run per value, seeds counting from 0."""
    for seed, value in enumerate(values):
        store.save(Made(profile=profile, seed=seed, **fields), {"value": value}, {"x": np.ones(3)})


def claim(kind="value", **fields):
    needed = {
        "value": {"expected": 8.0, "tolerance": 0.5},
        "identity": {"at_most": 1e-9},
        "threshold": {},
        "ordering": {"lower": {"alpha": 1}, "upper": {"alpha": 2}},
        "equivalence": {"lower": {"alpha": 1}, "upper": {"alpha": 2}},
        "trend": {"along": "depth", "statistic": "spearman"},
    }[kind]
    common = {
        "paper": "Sun 2021",
        "id": "made-up",
        "where": "Figure 1",
        "says": "It is so.",
        "chapter": "02_greedy_rank",
        "experiment": "made",
        "measure": "value",
    }
    return Claim(**{**common, "kind": kind, **needed, **fields})


# ---- statistics ----
def test_interval_is_students():
    values = [7.1, 8.4, 9.2, 8.0]
    found = estimate(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert found.interval == pytest.approx((low, high), rel=1e-12)
    assert (found.estimate, found.n) == (pytest.approx(np.mean(values)), 4)
    assert found.spread == pytest.approx(np.std(values, ddof=1))


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [low <= 3 <= high for low, high in (estimate(rng.normal(3, 2, size=4)).interval for _ in range(2000))]
    assert 0.935 < np.mean(covered) < 0.965


def test_the_range_covers_the_median_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [estimate([*rng.exponential(size=3), math.inf]) for _ in range(2000)]  # never: above the median surely
    assert found[0].coverage == 0.875
    draws = rng.exponential(size=(4000, 4))
    assert np.mean((draws.min(1) <= math.log(2)) & (math.log(2) <= draws.max(1))) == pytest.approx(0.875, abs=0.015)


def test_an_interval_stays_where_the_truth_must_be():
    values = [-1, -0.9, -0.8]
    free, bound = estimate(values), estimate(values, limits=(-1, 1))
    assert free.interval[0] < -1
    assert bound.interval == (-1, free.interval[1])
    rng = np.random.default_rng(1)
    pairs = [(estimate(v), estimate(v, limits=(-1, 1))) for v in rng.uniform(-1, 0.2, size=(500, 3))]
    for wide, cut in pairs:  # whatever lies within the limits is covered by both or by neither
        assert all(
            (wide.interval[0] <= x <= wide.interval[1]) == (cut.interval[0] <= x <= cut.interval[1])
            for x in np.linspace(-1, 1, 21)
        )


def test_one_run_decides_nothing():
    inside, outside = (f"it lies {side} the accepted region" for side in ("inside", "outside"))
    assert judge_estimate(estimate([8]), (7, 9)) == ("one run", inside)
    assert judge_estimate(estimate([0]), (0, math.inf), open_below=True) == ("one run", outside)
    assert judge_each({3: 8.0}, (8.5, 9)) == ("one run", outside)
    assert judge_each({3: math.nan}, (8.5, 9)) == ("one run", outside)


def test_few_seeds_with_a_never_decide_nothing():
    never = [5.0, math.inf, math.inf]
    reason = "the range of 3 seeds covers the median with 75 %, less than 95 %"
    assert judge_estimate(estimate(never), (1, math.inf)) == ("inconclusive", reason)
    assert judge_estimate(estimate([math.inf] * 5), (1, math.inf))[0] == "inconclusive"
    assert judge_estimate(estimate([*never, 6, 7, 8]), (1, math.inf)) == ("reproduced", "")  # 96.9 %
    assert judge_each(dict(enumerate(never)), (1, math.inf))[0] == "reproduced"
    assert judge_each({0: 8.0, 1: math.nan}, (7, 9)) == ("partly", "holds in 1 of 2 seeds, not in seed 1")


def test_special_samples():
    assert estimate([8, 8, 8]) == dataclasses.replace(estimate([8.0]), n=3, spread=0.0)
    assert estimate([8]).spread is None
    assert estimate([math.inf, math.inf]).interval == (math.inf, math.inf)
    never = estimate([5, math.inf, 7])
    assert (never.estimate, never.interval, never.coverage) == (7, (5, math.inf), 0.75)
    assert estimate([math.inf] * 6).coverage == 1 - 1 / 32
    assert estimate([2, 0, 4], logarithmic=True).interval == (0, 4)  # what is divided by "never"
    with pytest.raises(ValueError, match="not negative"):
        estimate([2, -1, 4], logarithmic=True)
    logarithmic = estimate([1, 10, 100], logarithmic=True)
    assert logarithmic.estimate == pytest.approx(10)
    assert logarithmic.interval[0] * logarithmic.interval[1] == pytest.approx(100)
    for bad in ([], [1, math.nan]):
        with pytest.raises(ValueError, match="at least one value"):
            estimate(bad)


@pytest.mark.parametrize(
    ("interval", "verdict", "reason"),
    [
        ((7.6, 8.4), "reproduced", ""),
        ((7.5, 8.5), "reproduced", ""),
        ((8.6, 9.0), "not reproduced", "above the region"),
        ((6.0, 7.4), "not reproduced", "below the region"),
        ((7.0, 9.0), "inconclusive", "wider than the tolerance"),
        ((8.2, 8.7), "inconclusive", "straddles the edge"),
    ],
)
def test_intervals_against_a_region(interval, verdict, reason):
    found, why = judge_interval(interval, (7.5, 8.5))
    assert found == verdict
    assert reason in why


def test_an_ordering_must_be_strict():
    assert judge_interval((0, 0), (0, math.inf))[0] == "reproduced"
    assert judge_interval((0, 0), (0, math.inf), open_below=True)[0] == "not reproduced"
    assert judge_each({0: 0.0, 1: 1.0}, (0, math.inf), open_below=True)[0] == "partly"


def test_combinations():
    reproduced, fails, unclear, absent, partly = "reproduced", "not reproduced", "inconclusive", "not run", "partly"
    assert combine([reproduced, reproduced]) == reproduced
    assert combine([fails, fails]) == fails
    assert combine([reproduced, fails]) == partly
    assert combine([reproduced, unclear, fails]) == partly
    assert combine([reproduced, unclear]) == unclear
    assert combine([fails, unclear]) == unclear
    assert combine([partly, reproduced]) == partly
    assert combine([reproduced, "one run"]) == combine([unclear, "one run"]) == "one run"
    assert combine([reproduced, fails, "one run"]) == partly
    for other in (reproduced, fails, unclear, partly):
        assert combine([other, absent]) == absent
    for several in itertools.permutations([reproduced, fails, unclear]):
        assert combine(several) == partly


def test_trends():
    x = [4, 8, 16, 32]
    assert trend(x, [3, 5, 5.1, 90], "spearman") == pytest.approx(1)
    assert trend(x, [3, math.inf, 5, math.inf], "spearman") == pytest.approx(stats.spearmanr(x, [1, 3.5, 2, 3.5])[0])
    assert trend(x, [2, 2, 2, 2], "spearman") == 0
    assert trend(x, [7 - 0.5 * value for value in x], "slope") == pytest.approx(-0.5)
    assert trend(x, [3 * value**-1.5 for value in x], "loglog_slope") == pytest.approx(-1.5)
    assert math.isnan(trend(x, [1, 2, 3, math.inf], "slope"))
    assert math.isnan(trend(x, [1, 2, 0, 4], "loglog_slope"))
    assert math.isnan(trend(x, [1, 2, math.nan, 4], "spearman"))


# ---- verdicts from stored runs ----
def verdict(store, claim, experiments=FREE):
    judgement = claims.judge(claim, store, experiments)
    return judgement.verdict, judgement.reason


def test_value_reproduced_and_everything_reported(store):
    put(store, [8, 8.1, 7.9])
    judgement = claims.judge(claim(), store, FREE)
    assert (judgement.verdict, judgement.profile, judgement.n, judgement.stale) == ("reproduced", "paper", 3, False)
    assert judgement.estimate == pytest.approx(8)
    assert judgement.spread == pytest.approx(0.1)
    assert judgement.interval == pytest.approx(
        tuple(8 + 0.1 / math.sqrt(3) * np.array([-1, 1]) * stats.t.ppf(0.975, 2))
    )
    assert judgement.runs == tuple(sorted(record.hash for record in store.select("made")))


def test_value_not_reproduced_and_inconclusive(store):
    put(store, [5, 5, 5])
    assert verdict(store, claim()) == ("not reproduced", "")
    put(store, [8, 9, 7])
    assert verdict(store, claim()) == ("inconclusive", "the interval is wider than the tolerance")
    put(store, [8.5, 8.4, 8.6])
    assert verdict(store, claim())[1] == "the interval straddles the edge of the accepted region"
    assert verdict(store, claim(tolerance=2.0))[0] == "reproduced"
    assert verdict(store, claim(expected=17.0, tolerance=1.0, measure="twice"))[0] == "reproduced"


def test_nothing_stored_too_few_seeds_or_too_small_a_profile(store):
    assert verdict(store, claim()) == ("not run", "no stored run of made at the paper profile")
    put(store, [8, 8, 8], profile="quick", depth=16)
    assert verdict(store, claim(select={"depth": 16})) == (
        "not run",
        "no stored run of made with depth=16 at the paper profile (only at quick, which is too small to judge it)",
    )
    put(store, [8, 8], depth=16)
    expected = "2 of at least 3 seeds are stored at the paper profile"
    assert verdict(store, claim(select={"depth": 16})) == ("not run", expected)
    assert verdict(store, claim(select={"depth": 16}, least_seeds=2))[0] == "reproduced"


def test_the_highest_complete_profile_decides_and_profiles_are_not_mixed(store):
    put(store, [8, 8, 8], profile="quick")
    put(store, [5, 5], profile="paper")
    judgement = claims.judge(claim(least_profile="smoke"), store, FREE)
    assert (judgement.verdict, judgement.profile, judgement.n) == ("reproduced", "quick", 3)
    put(store, [5, 5, 5], profile="paper")
    assert claims.judge(claim(least_profile="smoke"), store, FREE).verdict == "not reproduced"


def test_the_plan_decides_which_runs_count(store):
    experiments = planned(*(Made(profile="paper", seed=seed) for seed in range(4)))
    put(store, [8, 8, 8, 8, 0, 0])  # seeds 4 and 5 are somebody's own
    judgement = claims.judge(claim(), store, experiments)
    assert (judgement.verdict, judgement.n) == ("reproduced", 4)
    store.load(Made(profile="paper", seed=2)).path.unlink()
    assert verdict(store, claim(), experiments) == (
        "not run",
        "3 of 4 planned runs of made are stored at the paper profile",
    )
    assert verdict(store, claim(), FREE)[0] == "inconclusive"


def test_a_damaged_run_is_the_reason_and_kills_nothing(store):
    experiments = planned(*(Made(profile="paper", seed=seed, depth=depth) for seed in range(3) for depth in (4, 16)))
    put(store, [8, 8, 8], depth=4)
    put(store, [8, 8, 8], depth=16)
    path = store.load(Made(profile="paper", seed=1, depth=16)).path
    path.write_bytes(path.read_bytes()[:100])
    found, reason = verdict(store, claim(select={"depth": 16}), experiments)
    assert found == "not run"
    assert reason.startswith(f"stored run damaged: the stored run {path} cannot be used")
    assert verdict(store, claim(select={"depth": 4}), experiments)[0] == "reproduced"  # not its run
    assert verdict(store, claim(select={"depth": 4}), FREE)[0] == "not run"  # without a plan it might be


def test_stale_runs_are_used_and_flagged(store, monkeypatch):
    put(store, [8, 8, 8])
    monkeypatch.setattr("implicit_rank.store.disk.fingerprint", lambda module: "newer")
    judgement = claims.judge(claim(), Store(store.root), FREE)
    assert judgement.verdict == "reproduced"
    assert judgement.stale
    assert "older code" in wording.why(judgement)


def test_cases_combine(store):
    put(store, [8, 8, 8], depth=4)
    put(store, [8, 8, 8], depth=8)
    put(store, [5, 5, 5], depth=16)
    put(store, [8, 9, 7], depth=20)
    assert verdict(store, claim(cases={"depth": [4, 8]})) == ("reproduced", "")
    assert verdict(store, claim(cases={"depth": [4, 8, 16]})) == ("partly", "holds for depth 4, 8; fails for depth 16")
    assert verdict(store, claim(cases={"depth": [4, 16, 20]}))[1] == (
        "holds for depth 4; fails for depth 16; undecided for depth 20 (the interval is wider than the tolerance)"
    )
    assert verdict(store, claim(cases={"depth": [4, 20]}))[0] == "inconclusive"
    found, reason = verdict(store, claim(cases={"depth": [4, 64]}))
    assert found == "not run"
    assert reason == "holds for depth 4; not run for depth 64 (no stored run of made at the paper profile)"
    assert verdict(store, claim(cases={"depth": [32, 64]})) == ("not run", "no stored run of made at the paper profile")
    judgement = claims.judge(claim(cases={"depth": [4, 16], "alpha": [1.0]}), store, FREE)
    assert [case.label for case in judgement.cases] == ["depth=4, alpha=1", "depth=16, alpha=1"]
    assert judgement.estimate is None


def test_each_seed_by_itself(store):
    put(store, [8, 8, 7])
    assert verdict(store, claim())[0] == "inconclusive"
    assert verdict(store, claim(seeds="each")) == ("partly", "holds in 2 of 3 seeds, not in seed 2")
    put(store, [7, 6, 9])
    assert verdict(store, claim(seeds="each")) == ("not reproduced", "holds in 0 of 3 seeds")
    put(store, [7.8, 8, 8.4])
    assert verdict(store, claim(seeds="each")) == ("reproduced", "")


def test_a_seed_without_a_number_may_count_as_failing(store):
    put(store, [8, math.nan, 8])
    assert verdict(store, claim(seeds="each"))[0] == "inconclusive"
    fails = claim(seeds="each", missing="fails")
    assert verdict(store, fails) == ("partly", "holds in 2 of 3 seeds, not in seed 1")
    assert wording.ours(claims.judge(fails, store, FREE)) == ["8 (no number in 1 of 3)"]
    put(store, [math.nan] * 3)
    assert verdict(store, fails) == ("not reproduced", "holds in 0 of 3 seeds")
    assert wording.ours(claims.judge(fails, store, FREE)) == ["no number"]


def test_one_run_is_one_run_unless_nothing_is_drawn_at_random(store):
    put(store, [8])
    inside = "it lies inside the accepted region"
    assert verdict(store, claim(least_seeds=1)) == ("one run", inside)
    assert verdict(store, claim(least_seeds=1, seeds="each")) == ("one run", inside)
    exact = claim(least_seeds=1, seeds="none")
    assert verdict(store, exact) == ("reproduced", "")
    assert wording.basis(claims.judge(exact, store, FREE)) == "nothing drawn at random, paper profile"
    assert verdict(store, dataclasses.replace(exact, expected=9.0)) == ("not reproduced", "")
    assert verdict(store, claim("identity", at_most=9, least_seeds=1)) == ("reproduced", "")
    put(store, [8, 8.1])
    found, reason = verdict(store, exact)
    assert (found, reason[-46:]) == ("inconclusive", "but differs between seeds 0, 1 (paper profile)")
    put(store, [8, 8, 8], depth=8)
    put(store, [8], depth=9)
    found = verdict(store, claim(cases={"depth": [8, 9]}, least_seeds=1))
    assert found == ("one run", f"holds for depth 8; one run for depth 9 ({inside})")


def test_identity_takes_the_worst_run(store):
    put(store, [1e-15, 1e-12, 1e-14], depth=2)
    put(store, [1e-15, 1e-10, 1e-14], depth=3)
    judgement = claims.judge(claim("identity"), store, FREE)
    assert (judgement.verdict, judgement.estimate, judgement.n) == ("reproduced", 1e-10, 3)
    assert verdict(store, claim("identity", at_most=1e-11))[0] == "not reproduced"
    put(store, [1e-15, math.nan, 1e-14], depth=3)
    assert verdict(store, claim("identity")) == ("inconclusive", "value has no value in seed 1 (paper profile)")


def test_what_a_run_says_it_could_not_measure_was_not_run(store):
    for depth, value, note in ((3, math.nan, "the weights were not there"), (5, 8.0, "published weights")):
        said = {"value": value, "value_note": note}
        store.save(Made(profile="paper", seed=0, depth=depth), said, {"x": np.ones(3)})
    put(store, [math.nan], depth=7)
    found = {n: verdict(store, claim(select={"depth": n}, least_seeds=1)) for n in (3, 5, 7)}
    assert found[3] == ("not run", "not measured: the weights were not there")
    assert found[5][0] == "one run"  # a note on what was measured changes nothing
    assert found[7] == ("inconclusive", "value has no value in seed 0 (paper profile)")  # without a word of why


def test_threshold(store):
    put(store, [0.97, 0.99, 0.98])
    assert verdict(store, claim("threshold", at_least=0.9))[0] == "reproduced"
    assert verdict(store, claim("threshold", at_most=0.9))[0] == "not reproduced"
    assert verdict(store, claim("threshold", at_least=0.9, at_most=0.981))[0] == "inconclusive"


def test_ordering_is_paired_by_seed(store):
    put(store, [10, 20, 30], alpha=1)
    put(store, [11, 21, 31], alpha=2)
    judgement = claims.judge(claim("ordering"), store, FREE)
    assert judgement.verdict == "reproduced"  # unpaired, the spread of 10 would drown the difference of 1
    assert judgement.interval == (1, 1)
    assert verdict(store, claim("ordering", margin=1.5))[0] == "not reproduced"
    assert verdict(store, claim("ordering", margin=1.0))[0] == "not reproduced"  # strictly more
    assert verdict(store, claim("ordering", lower={"alpha": 2}, upper={"alpha": 1}))[0] == "not reproduced"


def test_equivalence_is_symmetrical_on_its_scale(store):
    put(store, [10, 20, 30], alpha=1)
    put(store, [10.3, 19.8, 30.3], alpha=2)
    same = claim("equivalence", ratio=True, within=1.1)
    assert same.region == (1 / 1.1, 1.1)
    judgement = claims.judge(same, store, FREE)
    assert judgement.verdict == "reproduced"
    assert wording.accepted(judgement) == "ratio 0.9091 to 1.1"
    back = dataclasses.replace(same, lower={"alpha": 2}, upper={"alpha": 1})
    assert claims.judge(back, store, FREE).estimate == pytest.approx(1 / judgement.estimate)
    assert verdict(store, claim("equivalence", within=0.1))[0] == "inconclusive"
    assert verdict(store, claim("equivalence", within=2.0))[0] == "reproduced"
    put(store, [30, 61, 90], alpha=2)
    assert verdict(store, same) == ("not reproduced", "the whole interval lies above the region")


def test_means_on_logarithms(store):
    put(store, [1, 10, 100])
    judgement = claims.judge(claim("threshold", at_least=0.01, log=True), store, FREE)
    assert judgement.verdict == "reproduced"  # on the raw scale the interval reaches below zero
    assert wording.accepted(judgement) == "geometric mean ≥ 0.01"
    assert judgement.estimate == pytest.approx(10)
    assert verdict(store, claim("threshold", at_least=0.01))[0] == "inconclusive"
    put(store, [1, 0, 100])
    reason = "value is not positive in seed 1, so it has no logarithm (paper profile)"
    assert verdict(store, claim("threshold", at_least=0.01, log=True)) == ("inconclusive", reason)


def test_ordering_by_ratio_and_with_what_never_happens(store):
    put(store, [10, 20, 30], alpha=1)
    put(store, [29, 61, 90], alpha=2)
    judgement = claims.judge(claim("ordering", ratio=True, margin=2.5), store, FREE)
    assert judgement.verdict == "reproduced"
    assert judgement.estimate == pytest.approx((2.9 * 3.05 * 3) ** (1 / 3))
    put(store, [math.inf] * 3, alpha=2)
    for ratio in (False, True):
        assert verdict(store, claim("ordering", ratio=ratio, seeds="each"))[0] == "reproduced"
        back = claim("ordering", ratio=ratio, seeds="each", lower={"alpha": 2}, upper={"alpha": 1})
        assert verdict(store, back)[0] == "not reproduced"
        found, reason = verdict(store, claim("ordering", ratio=ratio))
        assert (found, reason) == ("inconclusive", "the range of 3 seeds covers the median with 75 %, less than 95 %")
    put(store, [math.inf, 20, 30], alpha=1)
    assert verdict(store, claim("ordering")) == ("inconclusive", "value has no value in seed 0 (paper profile)")
    put(store, [5, 5, 5, 5], alpha=2)
    put(store, [1, 2], alpha=1, depth=9)
    reason = "no stored run of made with depth=9, alpha=2 at the paper profile"
    assert verdict(store, claim("ordering", select={"depth": 9})) == ("not run", reason)


def test_ordering_at_equal_error(store):
    courses = {  # alpha: errors and values along the training; the slow one ends where the other has long been
        1: ([1, 0.4, 0.2, 0.1], [9, 2, 4, 6]),
        2: ([1, 0.4, 0.1, 0.01], [9, 3, 9, 30]),
    }
    for alpha, (errors, values) in courses.items():
        for seed in range(3):
            arrays = {"error": np.array(errors), "value": np.array(values)}
            store.save(Made(profile="paper", seed=seed, alpha=alpha), {"value": values[-1]}, arrays)
    at_the_end = claims.judge(claim("ordering", ratio=True), store, FREE)
    at_equal = claims.judge(claim("ordering", ratio=True, at_equal_error=True), store, FREE)
    assert at_the_end.estimate == pytest.approx(30 / 6)
    assert at_equal.estimate == pytest.approx(9 / 6)  # both at an error of 0.1
    back = claim("ordering", ratio=True, at_equal_error=True, lower={"alpha": 2}, upper={"alpha": 1})
    assert claims.judge(back, store, FREE).estimate == pytest.approx(6 / 9)
    put(store, [1, 2, 3], alpha=2)
    lacking = verdict(store, claim("ordering", at_equal_error=True))
    assert lacking[0] == "not run"
    assert "has no course named 'value'" in lacking[1]


def test_only_shared_seeds_are_paired(store):
    put(store, [1, 2, 3, 4], alpha=1)
    for seed in (2, 3, 7):
        store.save(Made(profile="paper", seed=seed, alpha=2), {"value": 9})
    assert verdict(store, claim("ordering")) == (
        "not run",
        "2 of at least 3 seeds shared by all its runs are stored at the paper profile",
    )


def test_trend_within_each_seed(store):
    for depth in (4, 8, 16):
        put(store, [100 / depth, 300 / depth, 900 / depth], depth=depth)
    down = claim("trend", at_most=-0.9)
    assert verdict(store, down)[0] == "reproduced"
    slope = claim("trend", statistic="loglog_slope", expected=-1.0, tolerance=0.1)
    assert verdict(store, slope)[0] == "reproduced"
    assert verdict(store, dataclasses.replace(slope, expected=-2.0))[0] == "not reproduced"
    assert verdict(store, dataclasses.replace(down, values=[4, 8, 16]))[0] == "reproduced"
    assert verdict(store, dataclasses.replace(down, values=[4, 8, 32])) == (
        "not run",
        "runs are stored only for depth 4, 8, not for 32",
    )
    put(store, [math.inf] * 3, depth=16)
    assert verdict(store, slope)[0] == "inconclusive"
    assert verdict(store, down)[0] == "not reproduced"  # never is later than anything


def test_ambiguous_claims_are_not_judged(store):
    put(store, [8, 8, 8], alpha=1)
    put(store, [8, 8, 8], alpha=2)
    assert verdict(store, claim()) == (
        "not run",
        "ambiguous: stored runs of one seed differ in alpha, which the claim must fix",
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"experiment": "none"}, "there is no experiment 'none'"),
        ({"measure": "none"}, "the experiment 'made' has no measure 'none'"),
        ({"select": {"dpeth": 4}}, "the experiment 'made' has no spec field 'dpeth'"),
        ({"measure": "broken"}, "the measure 'broken' fails on run "),
        ({"cases": {"dpeth": [4, 5]}}, "the experiment 'made' has no spec field 'dpeth'"),
    ],
)
def test_claims_that_do_not_fit_the_code(store, fields, reason):
    put(store, [8, 8, 8])
    found, why = verdict(store, claim(**fields))
    assert found == "not run"
    assert why.startswith(reason)


# ---- grammar ----
GOOD = """
paper = "Sun 2021"

[[claim]]
id = "sun-rank"
where = "Figure 1"
says = "The rank is 8."
chapter = "02_greedy_rank"
kind = "value"
experiment = "made"
measure = "value"
select = {alpha = 1.0}
cases = {depth = [4, 8]}
least_profile = "smoke"
expected = 8
tolerance = 0.5
paper_value = 8
"""


def read(tmp_path, text):
    path = tmp_path / "sun2021.toml"
    path.write_text(text)
    return claims.read_claims(path)


def test_a_good_file_is_read(tmp_path):
    (found,) = read(tmp_path, GOOD)
    assert (found.paper, found.id, found.region) == ("Sun 2021", "sun-rank", (7.5, 8.5))
    assert found.settings() == [{"depth": 4}, {"depth": 8}]
    assert claims.load_claims(tmp_path) == [found]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('paper = "Sun 2021"', "", "sun2021.toml must begin with the paper's name"),
        ('paper = "Sun 2021"', 'paper = "Sun 2021"\nyear = 2021', "unknown key 'year'; allowed: paper, claim."),
        ("[[claim]]", "[claim]", r"claims must be written as \[\[claim\]\] tables"),
        ("[[claim]]", "[[claim", "is not valid TOML"),
        ('id = "sun-rank"', "", "claim 1: id must be given, as non-empty text"),
        ('id = "sun-rank"', 'id = "Sun rank"', "id must be of lowercase letters and digits joined by hyphens"),
        ('where = "Figure 1"', 'where = ""', "claim 'sun-rank': where must be given"),
        ('kind = "value"', 'kind = "values"', "kind must be one of 'identity', 'value'"),
        ("expected = 8", "expeted = 8", r"unknown key 'expeted' \(did you mean 'expected'\?\)"),
        ("expected = 8", "", "a claim of kind 'value' needs expected and tolerance"),
        ("expected = 8", "expected = true", "expected must be a finite number, not True"),
        ("expected = 8", "expected = inf", "expected must be a finite number, not inf"),
        ("tolerance = 0.5", "tolerance = -0.5", "tolerance must not be negative"),
        ("expected = 8", "at_most = 8", "in a claim of kind 'value', unknown key 'at_most'"),
        ('least_profile = "smoke"', 'least_profile = "full"', "least_profile must be one of 'smoke', 'quick', 'paper'"),
        ('least_profile = "smoke"', "least_seeds = 0", "least_seeds must be an integer of at least 1, not 0"),
        ('least_profile = "smoke"', 'seeds = "all"', "seeds must be one of 'mean', 'each', 'none', not 'all'"),
        ('least_profile = "smoke"', 'erratum = "yes"', "erratum must be true or false"),
        ('least_profile = "smoke"', "note = 3", "note must be text"),
        ("paper_value = 8", "paper_value = [8]", "paper_value must be a number or text"),
        ("paper_value = 8", 'question = "theirs"', "question must be one of 'printed', 'ours', not 'theirs'"),
        ("paper_value = 8", 'post_hoc = " "', "post_hoc must be non-empty text"),
        ("paper_value = 8", "superseded_by = true", "superseded_by must be non-empty text, not True"),
        ("paper_value = 8", 'superseded_by = "sun-rank"', "superseded_by must name another claim"),
        ("paper_value = 8", "log = 1", "log must be true or false, not 1"),
        ("paper_value = 8", 'log = true\nseeds = "each"', 'with seeds = "each" there is none'),
        ("paper_value = 8", "ratio = true", "in a claim of kind 'value', unknown key 'ratio'"),
        ("paper_value = 8", 'missing = "holds"', "missing must be one of 'undecided', 'fails'"),
        ("paper_value = 8", 'missing = "fails"', 'it needs seeds = "each"'),
        ("select = {alpha = 1.0}", "select = 4", "select must be a table"),
        (
            "select = {alpha = 1.0}",
            'select = {profile = "paper"}',
            "select must not name the profile; use least_profile",
        ),
        ("select = {alpha = 1.0}", "select = {depth = 4}", "depth must be in select or in cases, not in both"),
        ("cases = {depth = [4, 8]}", "cases = {depth = []}", "cases.depth must be a non-empty list"),
        ('kind = "value"', 'kind = "ordering"', "unknown key 'expected'"),
        ("expected = 8\ntolerance = 0.5", "", "needs expected and tolerance"),
        ('kind = "value"', 'kind = "trend"', "a claim of kind 'trend' needs along"),
        (
            'kind = "value"',
            'kind = "trend"\nalong = "depth"\nstatistic = "pearson"',
            "statistic must be one of 'spearman'",
        ),
        (
            'kind = "value"',
            'kind = "trend"\nalong = "depth"\nstatistic = "slope"\nvalues = [1, 2]',
            "at least 3 different",
        ),
    ],
)
def test_mistakes_get_one_sentence(tmp_path, old, new, sentence):
    assert old in GOOD
    with pytest.raises(claims.ClaimError, match=sentence) as refused:
        read(tmp_path, GOOD.replace(old, new))
    assert str(refused.value).startswith("sun2021.toml")
    assert "\n" not in str(refused.value).replace("\\n", "")


@pytest.mark.parametrize(
    ("kind", "lines", "sentence"),
    [
        ("identity", "", "needs at_most"),
        ("ordering", "lower = {alpha = 1}", "needs lower and upper"),
        ("ordering", "lower = {alpha = 1}\nupper = {alpha = 2}\nmargin = -1", "margin must not be negative"),
        ("equivalence", "within = 2", "needs lower and upper"),
        ("equivalence", "lower = {alpha = 1}\nupper = {alpha = 2}", "needs within, a number above 0"),
        ("equivalence", "lower = {alpha = 1}\nupper = {alpha = 2}\nwithin = 1\nratio = true", "above 1, for the ratio"),
        ("equivalence", "lower = {alpha = 1}\nupper = {alpha = 2}\nwithin = 2\nmargin = 1", "unknown key 'margin'"),
        ("identity", "at_most = 1\nlog = true", "unknown key 'log'"),
        ("threshold", "", "needs at_least or at_most"),
        ("threshold", "at_least = 2\nat_most = 1", "at_least must not exceed at_most"),
        ("trend", 'along = "depth"\nstatistic = "slope"\nat_most = 0\nexpected = 1\ntolerance = 1', "needs either"),
    ],
)
def test_each_kind_asks_for_its_keys(tmp_path, kind, lines, sentence):
    text = GOOD.replace("expected = 8\ntolerance = 0.5", lines).replace('kind = "value"', f'kind = "{kind}"')
    with pytest.raises(claims.ClaimError, match=sentence):
        read(tmp_path, text)


def test_ids_and_corrections_are_checked_across_files(tmp_path):
    (tmp_path / "a.toml").write_text(GOOD)
    twin = GOOD.replace('paper = "Sun 2021"', 'paper = "Bao 2020"')
    (tmp_path / "b.toml").write_text(twin)
    with pytest.raises(claims.ClaimError, match="'sun-rank' of Bao 2020 is also the id of a claim of Sun 2021"):
        claims.load_claims(tmp_path)
    twin = twin.replace("sun-rank", "bao-rank")
    (tmp_path / "b.toml").write_text(twin + 'corrects = "sun-rank"\n')
    with pytest.raises(claims.ClaimError, match="must be the id of a claim with erratum = true"):
        claims.load_claims(tmp_path)
    (tmp_path / "a.toml").write_text(GOOD + "erratum = true\n")
    assert {found.id: found.question for found in claims.load_claims(tmp_path)} == {
        "sun-rank": "printed",
        "bao-rank": "ours",  # a correction, unless it says otherwise
    }
    (tmp_path / "b.toml").write_text(twin)
    with pytest.raises(claims.ClaimError, match="'sun-rank' is an erratum, so another claim must say"):
        claims.load_claims(tmp_path)


def test_a_successor_must_be_there_and_stand_itself(tmp_path):
    (tmp_path / "a.toml").write_text(GOOD + 'superseded_by = "sun-again"\n')
    with pytest.raises(claims.ClaimError, match="'sun-rank' is superseded by 'sun-again', which must be the id"):
        claims.load_claims(tmp_path)
    again = GOOD.replace("sun-rank", "sun-again")
    (tmp_path / "b.toml").write_text(again)
    assert [found.superseded_by for found in claims.load_claims(tmp_path)] == ["sun-again", ""]
    (tmp_path / "b.toml").write_text(again + 'superseded_by = "sun-third"\n')
    (tmp_path / "c.toml").write_text(GOOD.replace("sun-rank", "sun-third"))
    with pytest.raises(claims.ClaimError, match="a claim that is not superseded itself"):
        claims.load_claims(tmp_path)


# ---- report ----
@pytest.fixture
def small_ledger(tmp_path, store, monkeypatch):
    """A ledger of two claims over made-up runs, as the command sees it."""
    folder = tmp_path / "claims"
    folder.mkdir()
    (folder / "sun2021.toml").write_text(
        GOOD
        + GOOD.partition("[[claim]]")[2]
        .join(["[[claim]]", ""])
        .replace("sun-rank", "sun-other")
        .replace("02_greedy_rank", "01_effective_matrix")
        .replace("[4, 8]", "[4, 5]")
    )
    put(store, [8, 8, 8], profile="quick", depth=4)
    put(store, [8, 8.5, 9], profile="quick", depth=8)
    monkeypatch.setattr(
        "implicit_rank.claims.report.register", types.SimpleNamespace(names=lambda: ["made"], experiment=FREE.get)
    )
    monkeypatch.setattr("implicit_rank.claims.report.load_claims", lambda given=None: claims.load_claims(folder))
    monkeypatch.setenv("IMPLICIT_RANK_RESULTS", str(store.root))
    return folder


def run_command(*words):
    parser = argparse.ArgumentParser()
    claims.add_arguments(parser)
    return claims.command(parser.parse_args(words))


def test_command_prints_filters_and_writes(small_ledger, store):
    text = run_command()
    assert "? inconclusive  sun-rank   Sun 2021, Figure 1" in text
    assert text.endswith("2 claims: 1 inconclusive, 1 not run")
    assert "sun-other" not in run_command("--chapter", "02")
    assert "sun-rank" not in run_command("--verdict", "not run")
    with pytest.raises(claims.ClaimError, match="unknown paper 'Bao'; allowed: Sun 2021"):
        run_command("--paper", "Bao")
    with pytest.raises(claims.ClaimError, match="takes no filter"):
        run_command("--write", "--paper", "Sun")
    assert "wrote " in run_command("--write")
    first = (store.root / "verdicts.json").read_bytes()
    run_command("--write")
    assert (store.root / "verdicts.json").read_bytes() == first
    assert "Differs" not in run_command()
    put(store, [8, 8, 8], profile="quick", depth=8)
    assert "sun-rank: stored as inconclusive, now reproduced" in run_command()


def test_differences_of_verdict_files():
    old = {"a": {"verdict": "reproduced", "reason": "", "runs": ["1"]}, "b": {"verdict": "partly", "reason": ""}}
    new = {"a": {"verdict": "reproduced", "reason": "", "runs": ["2"]}, "c": {"verdict": "partly", "reason": ""}}
    assert claims.differing(old, old) == []
    assert claims.differing(old, new) == [
        "a: still reproduced, but runs changed",
        "b: is no longer a claim",
        "c: has no stored verdict",
    ]


def test_numbers_are_readable():
    assert [wording.number(x) for x in (8.0, 0.123456, 1e-12, math.inf, 123456.7)] == [
        "8",
        "0.1235",
        "1e-12",
        "∞",
        "1.235e+05",
    ]
    assert wording.numbers(estimate([7.1, 8.4, 9.2])) == "8.2 [5.6, 10.9]"
    assert wording.numbers(estimate([7.1, 8.4, 9.2]), [7.1, 8.4, 9.2]) == "7.1 to 9.2"
    assert wording.numbers(estimate([8, 8, 8])) == "8"
    assert wording.numbers(estimate([1, 1 + 1e-7, 1 - 1e-7])) == "1 ± 2e-07"
    assert wording.numbers(estimate([2100, 2900, 3300])) == "2800 [1200, 4300]"
    assert wording.numbers(estimate([5, math.inf])) == "5 to ∞ (range of 2 seeds covers the median with 50 %)"
    assert wording.numbers(estimate([1, 10, 100], logarithmic=True)) == "10 [0.033, 3000]"
    assert wording.numbers(estimate([1.5, 1.7, 1.6], logarithmic=True)) == "1.60 [1.37, 1.87]"
    assert wording.numbers(estimate([1e-9, 2e-9, 3e-9], logarithmic=True)) == "1.8e-09 [4.6e-10, 7.2e-09]"
    assert wording.numbers(estimate([1e-9, 2e-9, 3e-9])) == "2e-09 [-4.84e-10, 4.48e-09]"


# ---- the repository's own ledger ----
@pytest.fixture(scope="module")
def own_ledger():
    return claims.ledger()


def test_every_claim_fits_the_code(own_ledger):
    misfits = [
        f"{j.claim.id}: {case.reason}"
        for j in own_ledger
        for case in j.cases
        if case.reason.startswith(("there is no", "the experiment", "the measure", "ambiguous"))
    ]
    assert misfits == []


def test_chapters_and_claims_know_one_another(own_ledger):
    chapters = {path.stem: path.read_text(encoding="utf-8") for path in (Store().root.parent).glob("[0-9]*.md")}
    for stem, text in chapters.items():
        tested = any(j.claim.chapter == stem for j in own_ledger)
        shown = "page.verdicts()" in text
        assert tested == shown, f"{stem}: claims in the ledger: {tested}, a verdict table in the text: {shown}"


def test_stored_verdicts_are_those_computed_now(own_ledger):
    path = Store().root / "verdicts.json"
    assert claims.differing(claims.read_verdicts(path), claims.verdict_table(own_ledger)) == []


def test_deleting_one_stored_run_turns_its_rows_to_not_run(own_ledger, tmp_path):
    judged = [j for j in own_ledger if j.verdict not in ("not run",) and j.claim.least_profile == "paper"]
    if not judged:
        pytest.skip("no claim has been judged on paper runs yet")
    shutil.copytree(Store().root, tmp_path / "copy")
    store = Store(tmp_path / "copy")
    victim = next(record for record in store.scan(judged[0].claim.experiment)[0] if record.hash == judged[0].runs[0])
    victim.path.unlink()
    now = {j.claim.id: j.verdict for j in claims.ledger(store=store)}
    resting = [j.claim.id for j in judged if victim.hash in j.runs]
    assert {now[name] for name in resting} == {"not run"}
    assert all(now[j.claim.id] == j.verdict for j in own_ledger if victim.hash not in j.runs)
