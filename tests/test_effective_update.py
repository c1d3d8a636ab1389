"""The experiment of chapter 1: every identity holds to rounding, every wrong reading shows."""

import math

import pytest
from conftest import live_records

from implicit_rank.experiments.effective_matrix import numbers
from implicit_rank.experiments.effective_matrix.chapter import EffectiveMatrixChapter
from implicit_rank.experiments.effective_matrix.effective_update import MEASURES, EffectiveUpdate, presets, run
from implicit_rank.parameters import ParameterError
from implicit_rank.store import spec_hash

EXACT = (
    "first_order_error",
    "modes_error",
    "asymmetry",
    "imbalance_step_error",
    "batch_error",
    "preconditioner_error",
    "mu_eigenvalue_error",
    "mu_asymmetry",
    "mu_closed_error",
    "mu_top_error",
    "orthogonal_flatness",
    "identity_error",
    "alpha_sgd",
    "alpha_momentum",
    "alpha_decay",
    "alpha_adam",
)
WRONG = ("wrong_vec_error", "batch_of_means_error", "small_imbalance", "small_update_error", "alpha_adam_squared")


@pytest.fixture(scope="module")
def results():
    done, shares = [], []
    specs = [EffectiveUpdate(profile="smoke", depth=depth, width=4, seed=3) for depth in (3, 2)]
    results = run(specs, on_done=done.append, progress=lambda share, text: shares.append(share))
    assert [result.spec for result in results] == specs
    assert done == results
    assert shares == [0.5, 1.0]
    return results


@pytest.fixture(scope="module")
def runs(results):
    return live_records(results)


@pytest.mark.parametrize("name", EXACT)
def test_identities_hold_to_rounding(runs, name):
    assert all(MEASURES[name](run) < 1e-10 for run in runs)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_readings_show(runs, name):
    assert all(MEASURES[name](run) > 0.1 for run in runs)


def test_the_other_measures(runs):
    for run_ in runs:
        assert MEASURES["update_slope"](run_) == pytest.approx(1, abs=0.02)
        assert MEASURES["least_eigenvalue"](run_) > 0
        assert MEASURES["mu_limit_error"](run_) < 0.01
        assert MEASURES["mu_top_over_printed"](run_) == pytest.approx(1000 ** (2 / run_.spec["depth"]), rel=1e-9)
        assert MEASURES["trained_error_orthogonal"](run_) < 0.5 * MEASURES["trained_error_default"](run_)


def test_every_measure_is_a_scalar_of_every_run(runs):
    assert all(set(MEASURES) == set(run_.scalars) for run_ in runs)


def test_one_layer_has_no_slope():
    (result,) = run([EffectiveUpdate(profile="smoke", depth=1, width=3)])
    assert math.isnan(result.scalars["update_slope"])
    assert result.scalars["first_order_error"] < 1e-10


@pytest.mark.parametrize(("profile", "seeds"), [("smoke", 1), ("quick", 5), ("paper", 5)])
def test_presets_cover_the_chapters_depths(profile, seeds):
    specs = presets(profile)
    assert len({spec_hash(spec) for spec in specs}) == len(specs) == 5 * seeds
    assert {spec.depth for spec in specs} == {1, 2, 3, 5, 8}
    assert {spec.seed for spec in presets(profile, seeds=(7,))} == {7}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"depth": 0}, "depth must be an integer from 1 to 64, not 0"),
        ({"width": 1}, "width must be an integer from 2 to 32, not 1"),
        ({"profile": "huge"}, "profile must be one of"),
        ({"alpha": 0}, "alpha must be a finite number above 0"),
    ],
)
def test_bad_specs_are_refused(fields, sentence):
    with pytest.raises(ParameterError, match=sentence):
        EffectiveUpdate(**fields)


def test_the_chapter_turns_its_parameters_into_runs():
    specs = EffectiveMatrixChapter(depths=(2, 4), seeds=(5, 6), width=4, alpha=2.0).specs()
    assert [(s.depth, s.seed) for s in specs] == [(2, 5), (2, 6), (4, 5), (4, 6)]
    assert {(s.width, s.alpha) for s in specs} == {(4, 2.0)}
    assert {s.profile for s in specs} == {"quick"}
    assert len(EffectiveMatrixChapter(profile="smoke").specs()) == 2


@pytest.mark.parametrize("fields", [{"depths": ()}, {"depths": (0,)}, {"seeds": ()}, {"alpha": 0}, {"width": 1}])
def test_the_chapter_refuses_bad_parameters(fields):
    with pytest.raises(ParameterError, match=f"^{next(iter(fields))} must be"):
        EffectiveMatrixChapter(**fields)


def test_the_errors_of_the_chapters_figure_shrink_in_proportion_to_the_step():
    errors = EffectiveMatrixChapter(depths=(1, 2, 4), width=4).update_errors([1e-2, 1e-4])
    assert list(errors) == [1, 2, 4]
    assert max(errors[1]) < 1e-10  # one layer is gradient descent itself
    for depth in (2, 4):
        assert errors[depth][0] / errors[depth][1] == pytest.approx(100, rel=0.2)


def test_the_prose_has_the_numbers_of_equation_5():
    assert numbers.share_of_speed({}, 0.1, 1) == 1
    assert numbers.share_of_speed({}, 0.1, 2) == pytest.approx(0.1)
    assert numbers.share_of_speed({}, 0.1, 16) == pytest.approx(0.1 ** (30 / 16))
    assert numbers.top_over_printed({}, 4) == pytest.approx(1000**0.5)
    assert numbers.top_over_printed({}, 32) == pytest.approx(1000 ** (1 / 16))
