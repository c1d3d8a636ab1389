"""The laws of when a direction emerges and how large it grows, against quadrature and against training runs."""

import math

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from implicit_rank.experiments.greedy_rank.deep_linear import grid, run, small
from implicit_rank.experiments.greedy_rank.measures import half_time, size_over_law, time_over_law
from implicit_rank.theory.greedy import emergence_ratio, exact_size, final_singular_value, fitting_time, growth_time


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


# ---- the clock whose gains grow ----
def gains_flow(depth, alpha, outer, start, until, share=None):
    """Encoder, decoder and N layers' sizes of one direction under gradient flow: the time to size or share `until`."""

    def flow(_, y):
        e, d, w = y
        s = w**depth
        signal = 1 - d * s * e if share else 1.0
        # every layer has the gradient e d s / w, and the rate alpha^2 / N
        return [signal * d * s, signal * e * s, alpha**2 / depth * signal * e * d * s / w]

    def reached(_, y):
        return (y[0] * y[1] if share else 1) * y[2] ** depth - until

    reached.terminal = True
    begin = [outer, outer, start ** (1 / depth)]
    return solve_ivp(flow, (0, 1e7), begin, method="LSODA", rtol=1e-10, atol=1e-13, events=reached).t[-1]


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 16, 32])
@pytest.mark.parametrize(("alpha", "outer", "start"), [(1.0, 1.13, 1e-3), (2.5, 0.4, 1e-2), (0.7, 2.0, 1e-4)])
def test_the_clock_is_the_flow_of_encoder_chain_and_decoder(depth, alpha, outer, start):
    # every factor integrated by itself, without the conservation law
    expected = gains_flow(depth, alpha, outer, start, 0.3)
    found = growth_time(start, depth, alpha=alpha, gain=outer**2, level=0.3)
    assert found == pytest.approx(expected, rel=1e-5)
    expected = gains_flow(depth, alpha, outer, start, 0.6, share=True)
    assert fitting_time(start, depth, outer**2, alpha=alpha, share=0.6) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 3, 8, 32])
@pytest.mark.parametrize("start", [1e-4, 0.05])
def test_with_large_gains_the_clock_is_the_waiting_time_of_gains_that_stand_still(depth, start):
    for alpha in (1.0, 3.0):
        errors = [
            gain * growth_time(start, depth, alpha=alpha, gain=gain) / growth_time(start, depth, alpha=alpha) - 1
            for gain in (1e3, 1e4, 1e6)
        ]
        assert errors == sorted(errors)
        assert all(error < 0 for error in errors)  # gains that grow are never later
        assert abs(errors[-1]) < 1e-4
        assert growth_time(start, depth, alpha=alpha) == pytest.approx(growth_time(start, depth) / alpha**2)


@pytest.mark.parametrize(("alpha", "gain", "start"), [(1.0, 1.28, 1e-3), (2.0, 0.3, 0.02), (0.5, 4.0, 1e-5)])
def test_the_clock_has_a_closed_form_for_one_two_and_four_layers(alpha, gain, start):
    def closed(depth, level):
        # half the integral of y^{-N/2} / (y + c) over y = s^{2/N}, by partial fractions
        a, b = start ** (2 / depth), level ** (2 / depth)
        c = gain * alpha**2 / depth - a
        if depth == 1:  # over s itself: 1 / (s^2 + c)
            root = math.sqrt(abs(c))
            if c > 0:
                return (math.atan(level / root) - math.atan(start / root)) / root
            return (math.atanh(root / start) - math.atanh(root / level)) / root
        if depth == 2:
            return math.log(b * (a + c) / (a * (b + c))) / (2 * c)
        return ((1 / a - 1 / b) / c + math.log(a * (b + c) / (b * (a + c))) / c**2) / 2

    for depth in (1, 2, 4):
        found = growth_time(start, depth, alpha=alpha, gain=gain, level=0.7)
        assert found == pytest.approx(closed(depth, 0.7), rel=1e-7)


def test_quickening_by_alpha_is_less_than_its_square_because_the_gains_grow():
    # the paper's set-up: 16 layers, gain 1.28; the measured ratio is near 2.9
    slow, fast = (growth_time(1e-3, 16, alpha=alpha, gain=1.28, level=0.1) for alpha in (1, 2))
    assert 2.8 < slow / fast < 3.2
    assert growth_time(1e-3, 16) / growth_time(1e-3, 16, alpha=2) == pytest.approx(4)


# ---- Saxe's exact solutions ----
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(("start", "target"), [(1e-3, 1.0), (0.2, 2.5), (3.0, 1.2)])
def test_exact_sizes_are_those_of_layers_trained_by_gradient_flow(depth, start, target):
    # a chain of matrices with frames of its own on |W - T|^2 / 2, rate over N, against the closed form
    rng = np.random.default_rng(depth)
    U, Q, V = (np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(3))
    s = np.array([target, 0.7 * target, 0.4 * target])
    size = np.array([start, 0.9 * start, 0.8 * start])
    layers = [U @ np.diag(size) @ V.T] if depth == 1 else [Q @ np.diag(size**0.5) @ V.T, U @ np.diag(size**0.5) @ Q.T]
    T = U @ np.diag(s) @ V.T

    def flow(_, y):
        W = y.reshape(depth, 3, 3)
        miss = T - (W[0] if depth == 1 else W[1] @ W[0])
        return np.array([miss] if depth == 1 else [W[1].T @ miss, miss @ W[0].T]).ravel() / depth

    times = np.linspace(0, 6, 13)
    path = solve_ivp(flow, (0, 6), np.array(layers).ravel(), t_eval=times, rtol=1e-10, atol=1e-12).y.T
    for y, time in zip(path, times, strict=True):
        W = y.reshape(depth, 3, 3)
        inside = np.diag(U.T @ (W[0] if depth == 1 else W[1] @ W[0]) @ V)
        expected = [exact_size(time, b, depth, t) for b, t in zip(size, s, strict=True)]
        np.testing.assert_allclose(inside, expected, rtol=1e-6)
    assert exact_size(times, start, depth, target).shape == times.shape


def test_the_other_depths_solution_is_another():
    assert abs(exact_size(2.0, 0.1, 1) - exact_size(2.0, 0.1, 2)) > 0.2
    with pytest.raises(ValueError, match="depth must be 1 or 2"):
        exact_size(1.0, 0.1, 3)
    with pytest.raises(ValueError, match="start and target must be above 0"):
        exact_size(1.0, 0.0, 2)


# ---- small starts ----
@pytest.mark.parametrize("depth", [3, 4, 8])
def test_the_ratio_of_two_times_tends_to_its_limit_as_the_start_goes_to_zero(depth):
    (g1, g2), (S1, S2), limit = (1.3, 0.7), (3.0, 1.7), None
    limit = emergence_ratio((S1, S2), (g1, g2), (1, 1))
    gaps = []
    for start in (1e-3, 1e-7, 1e-12):
        t1, t2 = (fitting_time(start, depth, g) / S**2 for g, S in ((g1, S1), (g2, S2)))
        gaps.append(abs(t2 / t1 / limit - 1))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.02 if depth < 8 else gaps[-1] < 0.1
    assert emergence_ratio((S1, S2), (g1, g2), (1.2, 1.5)) == pytest.approx(limit * 1.25)
    assert limit == pytest.approx((3.0 / 1.7) ** 2 * 1.3 / 0.7)


@pytest.mark.parametrize(("depth", "order"), [(2, "logarithm"), (3, 1 / 3), (6, 2 / 3)])
def test_a_rise_is_ever_shorter_than_its_wait(depth, order):
    def rise(start):
        begin, end = (fitting_time(start, depth, 1.0, alpha=3, share=share) for share in (0.1, 0.9))
        return (end - begin) / begin

    first, last = rise(1e-4), rise(1e-8)
    expected = 2 if order == "logarithm" else 1e4**order
    assert first / last == pytest.approx(expected, rel=0.35)


def test_one_layer_separates_nothing():
    rises = []
    for start in (1e-4, 1e-8):
        begin, end = (fitting_time(start, 1, 1.0, alpha=3, share=share) for share in (0.1, 0.9))
        rises.append((end - begin) / begin)
    assert rises[1] == pytest.approx(rises[0], rel=1e-2)


@pytest.mark.parametrize("bad", [(0, 1), (1, -1), (float("nan"), 1)])
def test_the_ratio_refuses_what_is_not_positive(bad):
    with pytest.raises(ValueError, match="finite numbers above 0"):
        emergence_ratio(bad, (1, 1), (1, 1))


def test_the_clock_refuses_what_has_no_answer():
    with pytest.raises(ValueError, match=r"start must lie in \(0, 0.1\), not 0.2"):
        growth_time(0.2, 3, gain=1.0, level=0.1)
    with pytest.raises(ValueError, match="gain and alpha must be above 0"):
        growth_time(0.1, 3, gain=0.0)
    with pytest.raises(ValueError, match="gain and alpha must be above 0"):
        growth_time(0.1, 3, alpha=0.0)
    with pytest.raises(ValueError, match=r"share must lie in \(0, 1\)"):
        fitting_time(0.1, 3, 1.0, share=1.0)
    with pytest.raises(ValueError, match=r"start must lie between 0 and 0.5 / gain \(0.5\)"):
        fitting_time(0.6, 3, 1.0)


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
