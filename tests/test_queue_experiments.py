"""The experiments behind the later rows of chapters 1 and 2: plans, small runs, what is measured on them."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from implicit_rank.experiments import register
from implicit_rank.experiments.effective_matrix import balance, operator
from implicit_rank.experiments.greedy_rank import clock, transients, visibility
from implicit_rank.store import live_record, spec_hash
from implicit_rank.theory.visibility import noise_delay

NAMES = ("balance", "effective_operator", "emergence_clock", "rank_visibility", "transients")


def records(module, specs):
    return [live_record(r.spec, r.scalars, r.arrays) for r in module.run(specs)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("profile", ["smoke", "quick", "paper"])
def test_plans_are_valid_unique_and_take_other_seeds(name, profile):
    presets = register.experiment(name).presets
    specs = presets(profile)
    assert len({spec_hash(spec) for spec in specs}) == len(specs) > 0
    assert {spec.profile for spec in specs} == {profile}
    assert {spec.seed for spec in presets(profile, seeds=(7,))} == {7}
    assert len({spec.seed for spec in specs}) >= (5 if profile == "paper" else 1)


def test_gaussian_layers_become_balanced_as_they_grow():
    specs = [balance.Balance(profile="smoke", depth=depth, scale=1e-3, width=8, steps=4000) for depth in (2, 3)]
    for record in records(balance, specs):
        measured = {name: measure(record) for name, measure in balance.MEASURES.items()}
        assert measured["start_error"] > 0.2
        assert measured["start_relative"] > 0.4
        assert measured["rising_error"] < 0.1 * measured["start_error"]
        assert measured["drift"] < 0.05
        assert measured["fallen"] > 0.9
        assert len(record.arrays["steps"]) == len(record.arrays["error"]) == len(record.arrays["fallen"])


def test_the_operator_of_real_steps_is_found():
    (record,) = records(operator, [operator.EffectiveOperator(profile="smoke", depth=2, width=3)])
    measured = {name: measure(record) for name, measure in operator.MEASURES.items()}
    assert max(measured[n] for n in ("operator_error", "operator_asymmetry", "eq6_error", "eq7_error")) < 1e-10
    assert measured["operator_least"] > 0
    assert min(measured["eq6_means_error"], measured["eq7_swapped_error"]) > 0.1
    assert measured["spread_default"] > 1 == pytest.approx(measured["spread_orthogonal"])
    (deep,) = records(operator, [operator.EffectiveOperator(profile="smoke", depth=20, width=2)])
    assert math.isnan(operator.MEASURES["alpha_adamw"](deep))  # of very deep chains optimisers are not asked


def test_a_small_clock_tells_the_step():
    base = replace(clock.shrunken("smoke"), samples=16, features=24, latent=24, true_rank=2, noise=0.05)
    chain, none = records(clock, [replace(base, depth=6, steps=6000), replace(base, depth=0)])
    measured = {name: measure(chain) for name, measure in clock.MEASURES.items()}
    assert 0.8 < measured["over_plane"] < 1.25
    assert measured["over_aligned"] > measured["over_plane"]
    assert measured["worst_over_plane"] >= max(measured["over_plane"], 1 / measured["over_plane"]) - 1e-9
    assert (chain.arrays["tenth"] < chain.arrays["half"]).all()
    assert (chain.arrays["half"] < chain.arrays["nine_tenths"]).all()
    assert measured["heterogeneity"] > 10
    assert np.abs(chain.arrays["overlap"]).max() < 1
    assert none.arrays["half"].max() < chain.arrays["half"].min()
    assert clock.MEASURES["last_over_first"](none) >= 1


def test_a_crossing_is_interpolated():
    steps, values = np.array([0, 10, 20]), np.array([0.0, 0.2, 1.0])
    assert clock.crossing(steps, values, 0.6) == 15
    assert clock.crossing(steps, values, 0.0) == 0
    assert clock.crossing(steps, values, 1.5) == math.inf


def stub(data, modes, steps, codes, noise=1.0):
    spec = {"samples": 64, "features": 256, "true_rank": 2, "noise": noise}
    arrays = {"data": np.array(data), "modes": np.array(modes), "steps": np.array(steps), "codes": np.array(codes)}
    return SimpleNamespace(spec=spec, arrays=arrays | {"clean": np.array(data[:2])}, scalars={"stopped": 0.0})


def test_ranks_and_plateaus_are_counted():
    # edge 24, threshold 28.1, limit 11.3
    run = stub(
        [200.0, 26.0, 20.0, 1.5],
        [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]],
        [0, 10, 20, 30],
        [[1, 1e-3, 0], [1, 0.5, 1e-3], [1, 0.5, 0.2], [math.nan] * 3],
    )
    assert visibility.edge_rank(run) == 2
    assert visibility.known_rank(run) == 1
    assert visibility.data_rank(run) == 3
    assert visibility.visible_rank(run) == 2
    assert visibility.median_rank(run) == 1
    np.testing.assert_array_equal(visibility.code_ranks(run), [1, 2, 3, math.nan])
    np.testing.assert_array_equal(visibility.emergence(run), [5, 15, 25, math.inf])
    assert visibility.plateau(run) == pytest.approx(25 / 15)
    assert visibility.plateau_over_law(run) == pytest.approx(25 / 15 / noise_delay([200.0, 26.0, 20.0, 1.5], 2))
    assert visibility.fitted_directions(run) == 3


def test_the_noise_swept_is_run_and_measured():
    sizes = {"samples": 12, "features": 20, "latent": 10, "true_rank": 2, "weight_scale": 0.3, "steps": 60}
    found = records(
        visibility, [visibility.RankVisibility(profile="smoke", noise=noise, **sizes) for noise in (0.1, 3)]
    )
    for record in found:
        assert all(isinstance(measure(record), float) for measure in visibility.MEASURES.values())
    assert visibility.edge_rank(found[0]) == 2


def test_mini_batches_have_the_second_moments_of_the_whole():
    for rarity in (1, 8):
        source = transients.Source(transients.Transients(rarity=rarity))
        X, root = source.batch(200_000), source.root()
        whole = root @ root.T / transients.D
        assert (X @ X.T / X.shape[1] - whole).abs().max() < 0.05
    short = {"profile": "smoke", "steps": 200}
    found = records(
        transients, [transients.Transients(batch=b, rarity=r, **short) for b, r in ((4, 1), (4, 8), (0, 1))]
    )
    for record in found:
        assert record.arrays["modes"].shape == (11, 2)
        assert np.abs(record.arrays["cosine"]).max() <= 1 + 1e-6
    # rare or not, one start: the first records agree, the batches do not
    np.testing.assert_allclose(found[0].arrays["modes"][0], found[1].arrays["modes"][0], atol=1e-6)
