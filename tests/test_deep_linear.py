"""The experiment behind Figures 1 and 5(a): its plan, its draws, its results, and what is measured on them."""

import math
import random
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from implicit_rank.experiments.greedy_rank import deep_linear, measures
from implicit_rank.experiments.greedy_rank.deep_linear import (
    MEASURES,
    DeepLinear,
    draw,
    grid,
    presets,
    run,
    small,
    vanilla,
)
from implicit_rank.parameters import ParameterError
from implicit_rank.store import live_record, spec_hash
from implicit_rank.theory.greedy import growth_time

TINY = DeepLinear(
    profile="smoke", samples=9, features=12, latent=7, true_rank=2, steps=30, records=12, depth=3, weight_scale=0.2
)


def record_of(result):
    return live_record(result.spec, result.scalars, result.arrays)


# ---- the plan ----
@pytest.mark.parametrize("profile", ["smoke", "quick", "paper"])
def test_presets_are_valid_and_unique(profile):
    specs = presets(profile)
    assert len({spec_hash(spec) for spec in specs}) == len(specs)
    assert {spec.profile for spec in specs} == {profile}
    assert {spec.start for spec in specs} >= {"none", "default", "orthogonal"}
    assert {spec.data for spec in specs} == {"synthetic", "digits"}
    assert {spec.alpha for spec in specs} >= {1.0, 1.5, 2.0, 3.0}
    for spec in specs:
        assert spec.divide_lr == (spec.start == "orthogonal" and spec.divide_lr)  # only our start divides by N


def test_the_paper_profile_holds_the_papers_numbers():
    specs = [spec for spec in presets("paper") if spec.data == "synthetic"]
    for spec in specs:
        sizes = (spec.samples, spec.features, spec.latent, spec.true_rank, spec.noise, spec.weight_scale)
        assert sizes == (64, 256, 128, 8, 0.2, 0.1)
        assert (spec.lr, spec.steps, spec.rank_threshold) == (0.03, 10_000, 0.01)
    figure = [s for s in specs if s.start == "orthogonal" and s.scale == 0.001 and s.divide_lr]
    assert {s.depth for s in figure if s.alpha == 2.0} >= {4, 8, 12, 16, 20, 24, 28, 32}
    assert {s.depth for s in specs if s.start == "default"} >= {4, 8, 12, 16, 20, 24, 28, 32}
    assert {s.scale for s in specs if s.start in ("none", "default", "he")} == {1.0}
    assert any(s.start == "orthogonal" and not s.divide_lr for s in specs)
    assert {s.scale for s in specs if s.start == "orthogonal"} >= {0.001, 0.1, 1.0}


def test_the_paper_profile_has_enough_seeds():
    seeds = Counter(replace(spec, seed=0) for spec in presets("paper"))
    base = DeepLinear(profile="paper")
    assert seeds[vanilla(base, [0])[0]] >= 5
    assert seeds[replace(base, depth=16, alpha=2.0)] >= 5
    assert min(seeds.values()) >= 3


def test_presets_take_other_seeds():
    assert {spec.seed for spec in presets("smoke", seeds=(4, 7))} == {4, 7}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"start": "none", "depth": 3}, "start 'none' .* goes with depth 0"),
        ({"start": "orthogonal", "depth": 0}, "start 'none' .* goes with depth 0"),
        ({"true_rank": 65}, r"true_rank must not exceed samples and features \(64\), not 65"),
        ({"true_rank": 0}, "true_rank must be an integer of at least 1, not 0"),
        ({"steps": -1}, "steps must be an integer of at least 1, not -1"),
        ({"alpha": 0}, "alpha must be a finite number above 0, not 0"),
        ({"alpha": float("nan")}, "alpha must be a finite number above 0, not nan"),
        ({"scale": 0}, "scale must be a finite number above 0"),
        ({"lr": -0.1}, "lr must be a finite number above 0"),
        ({"rank_threshold": 1}, "rank_threshold must be a finite number above 0 and below 1"),
        ({"depth": True}, "depth must be an integer"),
        ({"start": "xavier"}, "start must be one of 'none', 'default', 'he', 'orthogonal', not 'xavier'"),
        ({"data": "mnist"}, "data must be one of 'synthetic', 'digits', not 'mnist'"),
        ({"profile": "large"}, "profile must be one of 'smoke', 'quick', 'paper', not 'large'"),
        ({"seed": -1}, "seed must be an integer from 0 to 2147483647, not -1"),
    ],
)
def test_bad_specs_are_refused(fields, sentence):
    with pytest.raises(ParameterError, match=sentence):
        DeepLinear(**fields)


def test_an_unknown_profile_is_refused():
    with pytest.raises(ParameterError, match="profile must be one of"):
        presets("papre")


def test_cuda_where_there_is_none_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParameterError, match="sees no CUDA device"):
        run([TINY], device="cuda")


# ---- the draws ----
def test_one_seed_is_one_data_set_and_outer_start_whatever_the_chain():
    member, source = draw(TINY)
    ours = replace(TINY, depth=5, alpha=3.0, scale=0.1)
    for spec in (ours, *vanilla(TINY, [0]), *grid(TINY, "default", [2], [1.0], [0])):
        other, its_source = draw(spec)
        for name in ("data", "encoder", "decoder"):
            assert torch.equal(getattr(other, name), getattr(member, name))
        assert all(torch.equal(source[name], its_source[name]) for name in source)
    unlike, _ = draw(replace(TINY, seed=1))
    for name in ("data", "encoder", "decoder"):
        assert not torch.allclose(getattr(unlike, name), getattr(member, name), atol=0.1)
    assert not torch.equal(member.layers[0], member.layers[1])


def test_the_synthetic_data_are_low_rank_plus_noise():
    spec = DeepLinear()
    member, source = draw(spec)
    assert member.data.shape == (64, 256)
    assert torch.linalg.matrix_rank(source["clean"]) == torch.linalg.matrix_rank(source["fresh_clean"]) == 8
    for noisy, clean in ((member.data, source["clean"]), (source["fresh"], source["fresh_clean"])):
        assert (noisy - clean).std().item() == pytest.approx(0.2, rel=0.03)
    # fresh samples come from the same eight directions
    assert torch.linalg.matrix_rank(torch.cat([source["clean"], source["fresh_clean"]])) == 8
    assert member.data.square().mean().item() == pytest.approx(deep_linear.ENTRY_POWER, rel=0.2)
    assert member.encoder.shape == (128, 256)
    assert member.decoder.shape == (256, 128)
    assert member.encoder.std().item() == pytest.approx(0.1, rel=0.03)


@pytest.mark.parametrize(("depth", "alpha", "scale"), [(1, 1.0, 0.001), (4, 2.0, 0.001), (16, 3.0, 0.1)])
def test_the_orthogonal_start_has_the_scale_of_the_product(depth, alpha, scale):
    member, _ = draw(replace(TINY, depth=depth, alpha=alpha, scale=scale))
    product = torch.eye(7, dtype=torch.float64)
    for layer in member.layers:
        product = alpha * layer @ product
    torch.testing.assert_close(
        torch.linalg.svdvals(product), torch.full((7,), scale, dtype=torch.float64), rtol=1e-10, atol=0
    )
    assert member.chain_lr == pytest.approx(member.lr / depth)
    assert draw(replace(TINY, depth=depth, divide_lr=False))[0].chain_lr == member.lr


def test_other_starts_are_neither_scaled_nor_slowed():
    for start, bound in (("default", 7**-0.5), ("he", math.inf)):
        (spec,) = grid(TINY, start, [4], [1.0], [0])
        member, _ = draw(spec)
        assert member.chain_lr == member.lr
        assert all(0.5 * min(bound, 0.5) < layer.abs().max() <= bound for layer in member.layers)
    (spec,) = vanilla(TINY, [0])
    assert draw(spec)[0].layers == ()


def test_digits_are_real_images_scaled_to_the_synthetic_power():
    member, source = draw(replace(TINY, data="digits", samples=1797, features=64))
    assert member.data.shape == (1797, 64)
    assert member.data.square().mean().item() == pytest.approx(deep_linear.ENTRY_POWER)
    assert source == {}


# ---- the runs ----
@pytest.fixture(scope="module")
def smoke():
    """The smoke preset on synthetic data, run once."""
    done, shares = [], []
    specs = [spec for spec in presets("smoke") if spec.data == "synthetic"]
    random.Random(0).shuffle(specs)
    results = run(specs, on_done=done.append, progress=lambda share, text: shares.append((share, text)))
    return SimpleNamespace(specs=specs, results=results, done=done, shares=shares)


def test_results_come_in_the_order_asked_for(smoke):
    assert [result.spec for result in smoke.results] == smoke.specs
    assert sorted(spec_hash(result.spec) for result in smoke.done) == sorted(map(spec_hash, smoke.specs))


def test_progress_runs_from_nothing_to_all(smoke):
    shares = [share for share, _ in smoke.shares]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(1)
    assert "members, step" in smoke.shares[0][1]


def test_what_a_result_holds(smoke):
    for result in smoke.results:
        spec, arrays = result.spec, result.arrays
        count = len(arrays["steps"])
        assert arrays["steps"][[0, -1]].tolist() == [0, spec.steps]
        assert arrays["loss"].shape == (count,)
        assert arrays["loss"][-1] == result.scalars["loss"] < result.scalars["start_loss"] == arrays["loss"][0]
        assert arrays["effective"].shape == arrays["codes"].shape == arrays["modes"].shape == (count, 16)
        assert arrays["effective_rank"].shape == arrays["codes_rank"].shape == (count, len(arrays["thresholds"]))
        assert arrays["effective_final"].shape == arrays["codes_final"].shape == (24,)
        assert spec.rank_threshold in arrays["thresholds"]
        assert (np.diff(arrays["codes"], axis=1) <= 0).all()
        assert result.note is None
        assert result.scalars["stopped"] == 0
        assert result.seconds > 0
        X = draw(spec)[0].data
        np.testing.assert_allclose(arrays["data"], torch.linalg.svdvals(X).numpy(), rtol=1e-5)
        best = (X - torch.linalg.svd(X)[0][:, :3] @ torch.linalg.svd(X)[0][:, :3].T @ X).square().mean()
        assert result.scalars["floor"] == pytest.approx(best.item(), rel=1e-9)
        assert result.scalars["fresh_error"] > 0


def test_final_rank_agrees_with_the_last_record(smoke):
    for record in map(record_of, smoke.results):
        for matrix in ("effective", "codes"):
            for threshold in record.arrays["thresholds"]:
                last = measures.rank_series(record, matrix, threshold)[-1]
                assert measures.final_rank(record, matrix, threshold) == last


def test_smoke_runs_tell_the_story_of_figure_1(smoke):
    runs = {(r.spec.start, r.spec.depth, r.spec.alpha): record_of(r) for r in smoke.results}
    for depth in (2, 4):  # Figure 1(d)
        assert measures.half_time(runs["orthogonal", depth, 2.0]) < measures.half_time(runs["orthogonal", depth, 1.0])
        chain = runs["orthogonal", depth, 2.0]
        assert MEASURES["code_rank"](chain) == MEASURES["effective_rank"](chain) == 3
        assert MEASURES["start_effective_rank"](chain) == 24
        assert 1 < MEASURES["loss_over_floor"](chain) < 1.1
    plain = runs["none", 0, 1.0]
    assert MEASURES["code_rank"](plain) > 10
    assert MEASURES["loss_over_floor"](plain) < 1  # it fits noise ...
    assert MEASURES["fresh_error"](plain) > 2 * MEASURES["fresh_error"](runs["orthogonal", 2, 2.0])  # ... and pays
    order = measures.emergence_times(runs["orthogonal", 4, 2.0])
    assert order.max() / order.min() > measures.emergence_spread(plain)


def test_batches_are_a_detail_of_execution():
    specs = [replace(TINY, depth=depth, seed=seed) for depth in (1, 4, 2) for seed in (0, 1)]
    specs += [replace(TINY, samples=8), replace(TINY, latent=5)]
    together, apart = run(specs), run(specs, batch=1)
    for a, b in zip(together, apart, strict=True):
        assert a.spec == b.spec
        for name in a.arrays:
            np.testing.assert_allclose(a.arrays[name], b.arrays[name], rtol=1e-5, atol=1e-6)
        assert a.scalars == pytest.approx(b.scalars, rel=1e-9)


def test_no_specs_no_results():
    assert run([]) == []


@pytest.fixture(scope="module")
def stopped():
    calm, wild = run([TINY, replace(TINY, lr=60.0, divide_lr=False)])
    assert calm.note is None
    return wild


def test_a_stopped_member_says_so_and_has_no_final_rank(stopped):
    assert stopped.note.startswith("diverged by step")
    record = record_of(stopped)
    assert record.scalars["stopped"] == 1
    assert "fresh_error" not in record.scalars
    assert math.isnan(MEASURES["fresh_error"](record))
    assert MEASURES["failed"](record) == 1
    for matrix in ("effective", "codes"):
        ranks = measures.rank_series(record, matrix)
        assert ranks[0] > 0
        assert ranks[-1] == -1
        assert math.isnan(measures.final_rank(record, matrix))
        assert np.isfinite(record.arrays[f"{matrix}_final"]).all()  # of the last healthy record
    assert np.isnan(record.arrays["loss"][-1])
    assert measures.settling_time(record) == math.inf


# ---- measures on made-up runs ----
def made_up(**arrays):
    steps = np.array([0, 10, 20, 30, 40])
    spec = {"rank_threshold": 0.01, "true_rank": 2, "depth": 4, "scale": 0.01, "latent": 8, "weight_scale": 0.25}
    base = {
        "steps": steps,
        "loss": np.array([8.0, 6.0, 2.0, 1.0, 0.5]),
        "thresholds": np.array([0.01, 0.1]),
        "codes_rank": np.array([[9, 5], [1, 1], [2, 1], [2, 2], [2, 2]]),
        "effective_rank": np.array([[8, 8], [3, 2], [2, 2], [2, 1], [2, 1]]),
        "codes_final": np.array([10.0, 5.0, 0.5, 0.05]),
        "effective_final": np.array([0.7, 0.5, 1e-3]),
        "modes": np.array([[0, 0, 0], [0.4, 0, 0], [0.6, 0, 0], [1, 0.25, 0], [1, 0.75, 0.0]]),
        "data": np.array([100.0, 25.0, 1.0, 0.5]),
    }
    scalars = {"stopped": 0.0, "loss": 0.5, "start_loss": 8.0, "floor": 0.4, "clean_error": 0.1, "fresh_error": 0.2}
    return SimpleNamespace(spec={**spec, "alpha": 2.0}, scalars=scalars, arrays={**base, **arrays})


STEPS = np.array([0, 10, 20])


@pytest.mark.parametrize(
    ("values", "level", "step"),
    [
        ([0, 1, 2], 1.0, 10),
        ([0, 1, 2], 1.5, 15),
        ([3, 0, 3], 2, 0),  # reached at the start
        ([0, 4, 0], 1, 2.5),  # the first crossing counts
        ([0, 1, 1.9], 2, math.inf),
        ([0, 2, np.nan], 1, 5),
        ([0, np.nan, np.nan], 1, math.inf),
    ],
)
def test_crossing(values, level, step):
    assert measures.crossing(STEPS, np.array(values, dtype=float), level) == pytest.approx(step)


def test_measures_have_their_known_answers():
    record = made_up()
    found = {name: measure(record) for name, measure in MEASURES.items()}
    times = np.array([15.0, 35.0])
    expected = {
        "code_rank": 3,
        "effective_rank": 2,
        "code_rank_0.003": 4,
        "code_rank_0.03": 3,
        "code_rank_0.1": 2,
        "data_rank": 2,  # 1.0 is exactly the threshold's share of 100
        "least_code_rank": 1,
        "start_effective_rank": 8,
        "loss": 0.5,
        "loss_over_floor": 1.25,
        "loss_change": 0.9375,
        "clean_error": 0.1,
        "fresh_error": 0.2,
        "failed": 0,
        "stopped": 0,
        "half_time": 15,
        "settling_time": 20,
        "emergence_correlation": -1,
        "emergence_order": 1,
        "emergence_slope": math.log(times[1] / times[0]) / math.log(25 / 100),
        "emergence_spread": 35 / 15,
        "time_over_law": 15 / growth_time(0.01, 4),
    }
    assert math.isnan(found["emergence_overlap"])  # the second mode ends at three quarters
    size = found.pop("size_over_law")
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    x = 0.7 / size  # the prediction must satisfy its own equation, gain being d * weight_scale^2
    assert x * (0.5 + 4 / 4 * (x**0.5 - 0.01**0.5)) == pytest.approx(1)


@pytest.mark.parametrize(("loss", "stopped", "verdict"), [(0.59, 0, 0), (0.61, 0, 1), (math.nan, 1, 1), (0.5, 1, 1)])
def test_a_run_failed_if_it_stopped_or_ended_far_above_the_floor(loss, stopped, verdict):
    record = made_up()
    record.scalars.update(loss=loss, stopped=float(stopped))
    assert MEASURES["failed"](record) == verdict


def test_real_data_have_no_floor_and_no_clean_signal():
    record = made_up()
    for name in ("floor", "clean_error", "fresh_error"):
        del record.scalars[name]
    for name in ("loss_over_floor", "failed", "clean_error", "fresh_error"):
        assert math.isnan(MEASURES[name](record))


def test_ranks_along_the_run_at_the_kept_thresholds():
    record = made_up()
    assert measures.rank_series(record, "codes").tolist() == [9, 1, 2, 2, 2]
    assert measures.rank_series(record, "codes", 0.1).tolist() == [5, 1, 1, 2, 2]
    assert measures.rank_series(record, "effective", 0.1).tolist() == [8, 2, 2, 1, 1]
    with pytest.raises(ValueError, match=r"kept along the run at the thresholds 0\.01, 0\.1, not at 0\.05"):
        measures.rank_series(record, "codes", 0.05)


@pytest.mark.parametrize(
    ("ranks", "step"), [([2, 2, 2, 2, 2], 0), ([9, 2, 9, 2, 2], 30), ([9, 9, 9, 9, 2], 40), ([9, 2, 2, 2, 3], math.inf)]
)
def test_settling_time_is_when_the_rank_stays(ranks, step):
    assert measures.settling_time(made_up(codes_rank=np.array([[r, r] for r in ranks]))) == step


def test_final_rank_at_any_threshold():
    record = made_up()
    assert [measures.final_rank(record, "codes", t) for t in (0.0, 1e-4, 0.06, 0.5)] == [4, 4, 2, 1]
    record.scalars["stopped"] = 1.0
    assert math.isnan(measures.final_rank(record, "codes"))


def test_unfinished_runs_have_no_slope_and_no_false_order():
    late = made_up(modes=made_up().arrays["modes"] * np.array([1, 0.1, 0]))
    assert measures.emergence_times(late).tolist() == [15, math.inf]
    assert measures.emergence_times(late, 3).tolist() == [15, math.inf, math.inf]
    assert measures.emergence_order(late) == 1
    assert math.isnan(measures.emergence_slope(late))
    assert measures.emergence_spread(late) == math.inf
    never = made_up(modes=np.zeros((5, 3)))
    assert math.isnan(measures.emergence_correlation(never))
    assert measures.emergence_order(never) == 0
    assert math.isnan(measures.emergence_slope(never))
    assert math.isnan(measures.emergence_spread(never))
    swapped = made_up(modes=made_up().arrays["modes"][:, [1, 0, 2]])
    assert measures.emergence_order(swapped) == 0
    assert measures.emergence_correlation(swapped) == pytest.approx(1)
    assert measures.half_time(made_up(loss=np.array([8.0, 7, 6, 5, 5]))) == math.inf


def test_overlap_is_the_share_of_the_whole_time_that_a_mode_takes():
    queue = np.array([[0, 0], [1, 0], [1, 0], [1, 0], [1, 1.0]])  # from 1 to 9, and from 31 to 39
    assert measures.emergence_overlap(made_up(modes=queue)) == pytest.approx(8 / 38)
    assert measures.emergence_overlap(made_up(modes=queue[:, [0, 0]])) == pytest.approx(1)


def test_laws_are_refused_where_they_do_not_apply():
    plain = made_up()
    plain.spec.update(depth=0, scale=1.0)
    with pytest.raises(ValueError, match=r"start must lie in \(0, 1\)"):
        measures.time_over_law(plain)
    with pytest.raises(ValueError, match="depth at least 1"):
        measures.size_over_law(plain)


def test_the_smoke_size_is_the_quick_one_shrunk():
    smoke, quick = small("smoke"), small("quick")
    assert (smoke.samples, smoke.latent, smoke.steps) < (quick.samples, quick.latent, quick.steps)
    assert (smoke.lr, smoke.weight_scale, smoke.noise) == (quick.lr, quick.weight_scale, quick.noise)
