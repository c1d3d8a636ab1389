"""The laws of when a direction emerges and how large it grows, against quadrature and against training runs."""

import math

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from implicit_rank.experiments.greedy_rank.deep_linear import grid, run, small
from implicit_rank.experiments.greedy_rank.measures import half_time, size_over_law, time_over_law
from implicit_rank.theory.greedy import final_singular_value, growth_time


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 8, 16, 32])
@pytest.mark.parametrize("start", [1e-3, 0.02, 0.7])
def test_growth_time_is_its_integral(start, depth):
    # in log s, where the integrand is tame down to small starts
    expected, _ = quad(lambda u: math.exp(u - 2 * (depth - 1) / depth * u), math.log(start), 0, epsrel=1e-12)
    assert growth_time(start, depth) == pytest.approx(expected, rel=1e-9)


def test_depth_two_is_the_limit_from_both_sides():
    for depth in (2 - 1e-7, 2 + 1e-7):
        assert growth_time(0.01, depth) == pytest.approx(growth_time(0.01, 2), rel=1e-5)
    assert growth_time(0.01, 2) == pytest.approx(math.log(100))


def test_growth_time_is_that_of_a_mode_driven_by_equation_5():
    # ds/dt = s^{2(N-1)/N}, the rate already divided by N
    for depth in (2, 3, 6):
        until = solve_ivp(
            lambda t, s, depth=depth: s ** (2 * (depth - 1) / depth),
            (0, 1e4),
            [0.01],
            events=_reaches_one,
            rtol=1e-9,
            atol=1e-12,
        )
        assert until.t_events[0][0] == pytest.approx(growth_time(0.01, depth), rel=1e-5)


def _reaches_one(t, s):
    return s[0] - 1


_reaches_one.terminal = True


@pytest.mark.parametrize("depth", [1, 2, 4, 16, 32])
@pytest.mark.parametrize("alpha", [1.0, 2.0, 5.0])
@pytest.mark.parametrize(("gain", "start"), [(1.28, 0.001), (0.3, 0.1), (5.0, 1e-6)])
def test_final_singular_value_satisfies_its_equation(gain, start, depth, alpha):
    x = final_singular_value(gain, start, depth, alpha)
    assert start < x < 1 / gain
    assert x * (gain + depth / alpha**2 * (x ** (2 / depth) - start ** (2 / depth))) == pytest.approx(1, abs=1e-9)


def test_final_singular_value_grows_with_alpha_up_to_what_the_outer_start_allows():
    sizes = [final_singular_value(1.28, 0.001, 16, alpha) for alpha in (1, 2, 4, 1000)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == pytest.approx(1 / 1.28, rel=1e-3)


def test_final_singular_value_of_one_layer_is_that_of_its_own_flow():
    # one mode of encoder e, W_e = w and decoder f under gradient flow on (1 - f w e)^2 / 2, chain rate alpha^2 faster
    alpha, start, outer = 2.0, 0.05, 0.9

    def flow(t, y):
        e, w, f = y
        miss = 1 - e * w * f
        return [miss * w * f, alpha**2 * miss * e * f, miss * w * e]

    e, w, f = solve_ivp(flow, (0, 200), [outer, start, outer], rtol=1e-10, atol=1e-12).y[:, -1]
    assert e * w * f == pytest.approx(1, abs=1e-6)
    # balance ties them: e^2 = outer^2 + (w^2 - start^2) / alpha^2, so the equation's gain is outer^2
    assert w == pytest.approx(final_singular_value(outer**2, start, 1, alpha), rel=1e-5)


@pytest.mark.parametrize("start", [0.0, 1.0, -0.1, float("nan")])
def test_growth_time_refuses_a_start_out_of_range(start):
    with pytest.raises(ValueError, match=r"start must lie in \(0, 1\)"):
        growth_time(start, 3)


@pytest.mark.parametrize("depth", [0, -1, float("nan")])
def test_bad_depths_are_refused(depth):
    with pytest.raises(ValueError, match="depth must be at least 1"):
        growth_time(0.1, depth)
    with pytest.raises(ValueError, match="depth at least 1"):
        final_singular_value(1.0, 0.1, depth)


def test_final_singular_value_refuses_what_has_no_answer():
    for gain, alpha in ((0, 1), (-1, 1), (1, 0), (float("nan"), 1)):
        with pytest.raises(ValueError, match="gain and alpha must be above 0"):
            final_singular_value(gain, 0.1, 2, alpha)
    for start in (0, 0.5, 2):  # 1 / gain is 0.5: a mode that starts there has nothing left to learn
        with pytest.raises(ValueError, match=r"start must lie between 0 and 1 / gain \(0\.5\)"):
            final_singular_value(2.0, start, 2)


def test_small_runs_keep_to_both_laws():
    specs = [s for depth in (2, 3, 4) for s in grid(small("smoke"), "orthogonal", (depth,), (2.0,), (0, 1))]
    results = run(specs)
    for r in results:
        assert r.note is None
    runs = [_Run(r) for r in results]
    assert all(0.85 < size_over_law(r) < 1.25 for r in runs)
    times, shares = np.array([half_time(r) for r in runs]), np.array([time_over_law(r) for r in runs])
    assert times.max() / times.min() > 6  # depth changes the time by far more ...
    assert shares.max() / shares.min() < 2  # ... than the time over its law


class _Run:
    def __init__(self, result):
        self.spec, self.scalars, self.arrays = result.spec.to_dict(), result.scalars, result.arrays
