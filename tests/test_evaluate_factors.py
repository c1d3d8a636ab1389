"""R^2 of factors: one on codes that hold them, zero on codes that do not, and hue is not brightness."""

import pytest
import torch

from implicit_rank.evaluate import factor_scores
from implicit_rank.evaluate.factors import r_squared


def g(seed=0):
    return torch.Generator().manual_seed(seed)


def factors(n, seed):
    draws = torch.rand(n, 7, generator=g(seed), dtype=torch.float64)
    names = ("r", "g", "b", "x", "y", "size", "shape")
    made = dict(zip(names, draws.T, strict=True))
    return made | {"shape": (made["shape"] > 0.5).double()}


def coded(made, transform, width=10, seed=9, noise=0.0):
    """Codes: a fixed random linear image of what ``transform`` makes of the factors."""
    seen = torch.stack(list(transform(made).values()), dim=1)
    codes = seen @ torch.randn(seen.shape[1], width, generator=g(seed), dtype=torch.float64) + 3
    return codes + noise * torch.randn(codes.shape, generator=g(len(made["r"])), dtype=torch.float64)


TRAIN, TEST = factors(500, 0), factors(400, 1)


def scores(transform, noise=0.0, scale=1.0):
    train, test = (scale * coded(made, transform, noise=noise) for made in (TRAIN, TEST))
    return factor_scores(train, TRAIN, test, TEST, seed=2)


def test_codes_linear_in_the_factors_hold_all_of_them():
    found = scores(lambda made: made)
    assert set(found.linear) == {*TRAIN, "brightness", "hue"}
    assert min(found.linear.values()) > 1 - 1e-6
    assert min(found.nonlinear.values()) > 0.9
    assert found.accuracy == {"shape": {"linear": 1.0, "nonlinear": 1.0}}


def test_codes_that_collapsed_leave_the_mean_to_predict_with():
    flat = torch.full((500, 10), 1 / 3)
    found = factor_scores(flat, TRAIN, torch.full((400, 10), 1 / 3), TEST)
    for regression in (found.linear, found.nonlinear):
        assert set(regression) == {*TRAIN, "brightness", "hue"}
        assert all(-0.05 < value <= 0 for value in regression.values())
    assert all(0.4 < share < 0.6 for share in found.accuracy["shape"].values())


def test_what_the_codes_do_not_hold_scores_nothing():
    found = scores(lambda made: {"x": made["x"], "size": made["size"]}, noise=0.01)
    for regression in (found.linear, found.nonlinear):
        assert min(regression["x"], regression["size"]) > 0.98
        assert max(regression[name] for name in ("r", "g", "b", "y", "shape", "hue")) < 0.05


def test_a_nonlinear_code_needs_the_nonlinear_regression():
    def circle(made):
        angle = 2 * torch.pi * made["x"] * 0.9
        return {"cos": angle.cos(), "sin": angle.sin()}

    found = scores(circle)
    assert found.nonlinear["x"] > 0.95
    assert found.linear["x"] < 0.9


def test_brightness_alone_explains_a_third_of_each_channel_but_no_hue():
    found = scores(lambda made: {"grey": (made["r"] + made["g"] + made["b"]) / 3}, noise=1e-3)
    for regression in (found.linear, found.nonlinear):
        assert regression["brightness"] > 0.99
        assert abs(regression["hue"]) < 0.05
        assert 0.2 < regression["g"] < 0.45


def test_one_scale_for_all_codes_changes_nothing():
    one, other = scores(lambda made: made, noise=0.1), scores(lambda made: made, noise=0.1, scale=1e-3)
    for name, value in one.linear.items():
        assert other.linear[name] == pytest.approx(value, abs=1e-6)
        assert other.nonlinear[name] == pytest.approx(one.nonlinear[name], abs=1e-6)


def test_r_squared_by_hand():
    actual = torch.tensor([1.0, 2, 3])
    assert r_squared(actual, actual) == 1
    assert r_squared(torch.full((3,), 2.0), actual) == 0
    assert r_squared(torch.tensor([1.0, 2, 5]), actual) == -1


def test_bad_input_is_one_sentence():
    codes, test = coded(TRAIN, lambda made: made), coded(TEST, lambda made: made)
    with pytest.raises(ValueError, match="codes must be finite"):
        factor_scores(codes / 0, TRAIN, test, TEST)
    with pytest.raises(ValueError, match="one value for each of the 499 codes"):
        factor_scores(codes[1:], TRAIN, test, TEST)
    with pytest.raises(ValueError, match="same width and the same factors"):
        factor_scores(codes[:, 1:], TRAIN, test, TEST)
    with pytest.raises(ValueError, match="factor 'x' does not vary"):
        factor_scores(codes, TRAIN, test, TEST | {"x": torch.ones(400)})
    with pytest.raises(ValueError, match="at least 10 codes"):
        factor_scores(codes, TRAIN, test, TEST, samples=9)
