"""How late a direction of a flat start is, against real chains of matrices and against the plane's flow."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import expi

from implicit_rank.theory.alignment import alignment_delay, emergence_time, residual_size
from implicit_rank.theory.greedy import fitting_time


def rotation(overlap, width, rng):
    """An orthogonal matrix `start_map` and unit vectors u, v with u^T start_map v = overlap, in generic position."""
    start_map = np.linalg.qr(rng.standard_normal((width, width)))[0]
    v = rng.standard_normal(width)
    v /= np.linalg.norm(v)
    away = rng.standard_normal(width)
    away -= (away @ start_map @ v) * (start_map @ v)
    return start_map, overlap * start_map @ v + math.sqrt(1 - overlap**2) * away / np.linalg.norm(away), v


def push(layers, u, v, until):
    """The time in which N layers of size 1, pushed by the constant gradient -u v^T at rate 1 / N, reach `until`."""
    depth, width = len(layers), len(u)

    def product(factors):
        result = np.eye(width)
        for factor in factors:
            result = factor @ result
        return result

    def flow(_, y):
        W = y.reshape(depth, width, width)
        return np.array(
            [product(W[i + 1 :]).T @ np.outer(u, v) @ product(W[:i]).T / depth for i in range(depth)]
        ).ravel()

    def reached(_, y):
        return np.linalg.norm(product(y.reshape(depth, width, width)), 2) - until

    reached.terminal = True
    end = solve_ivp(flow, (0, 100), np.array(layers).ravel(), rtol=1e-9, atol=1e-11, events=reached)
    return end.t[-1], np.linalg.svd(product(end.y[:, -1].reshape(depth, width, width)), compute_uv=False)


@pytest.mark.parametrize("depth", [3, 4, 6])
@pytest.mark.parametrize("overlap", [0.0, 0.3, -0.4])
def test_the_delay_is_that_of_a_chain_of_matrices(depth, overlap):
    rng = np.random.default_rng(10 * depth)
    frames = [np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in range(depth - 1)]
    start_map, u, v = rotation(overlap, 4, rng)
    layers = [*frames, start_map @ np.linalg.multi_dot([*frames[::-1], np.eye(4)]).T]
    far = 2e4
    time, singular = push(layers, u, v, far)
    exponent = 1 - 2 / depth
    late = time + far**-exponent / exponent  # what is left of the way from `far` to infinity
    assert late * exponent == pytest.approx(alignment_delay(depth, overlap), rel=2e-3)
    # all that moves stays in a plane: the other two directions keep their size, and one is spent
    assert singular[-1] == pytest.approx(residual_size(depth, overlap), rel=2e-3)
    np.testing.assert_allclose(singular[1:3], 1, atol=1e-6)


@pytest.mark.parametrize("overlap", [0.0, 0.5, -0.6])
def test_two_layers_are_late_by_a_logarithm(overlap):
    rng = np.random.default_rng(1)
    frame = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    start_map, u, v = rotation(overlap, 3, rng)
    time, singular = push([frame, start_map @ frame.T], u, v, 1e4)
    assert residual_size(2, overlap) == pytest.approx((1 + overlap) / 2, rel=1e-9)
    assert time == pytest.approx(math.log(1e4) - math.log(residual_size(2, overlap)), rel=1e-3)
    assert singular[-1] == pytest.approx(residual_size(2, overlap), rel=1e-3)


def test_four_layers_and_infinitely_many_have_known_delays():
    z = alignment_delay(4)  # z - 1 = e^{-z}
    assert z - 1 == pytest.approx(math.exp(-z), rel=1e-9)
    assert alignment_delay(10**5) == pytest.approx(1.4513692348833810, rel=1e-4)  # Ramanujan and Soldner's constant
    assert expi(math.log(1.4513692348833810)) == pytest.approx(0, abs=1e-12)


def test_the_delay_falls_with_the_overlap_from_for_ever_to_none_and_rises_with_depth():
    falling = [alignment_delay(8, overlap) for overlap in (-0.999, -0.5, 0, 0.5, 0.999)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > 5
    assert falling[-1] == pytest.approx(1, abs=1e-3)
    rising = [alignment_delay(depth) for depth in (3, 4, 8, 32, 128)]
    assert rising == sorted(rising)


@pytest.mark.parametrize("depth", [1, 2, 4, 16, 32])
def test_an_aligned_start_emerges_by_the_clock(depth):
    found = emergence_time(1e-3, depth, (1.1, 1.1), 1 - 1e-12, alpha=2.0)
    assert found == pytest.approx(fitting_time(1e-3, depth, 1.21, alpha=2.0), rel=1e-4)


@pytest.mark.parametrize("depth", [4, 16])
def test_a_flat_start_emerges_by_the_clock_times_its_delay(depth):
    clock = fitting_time(1e-4, depth, 1.28, alpha=3.0)
    for overlap in (0.2, 0.0, -0.2):
        late = emergence_time(1e-4, depth, (1.28**0.5, 1.28**0.5), overlap, alpha=3.0) / clock
        assert late == pytest.approx(alignment_delay(depth, overlap), rel=0.02)


def test_the_plane_is_the_whole_flow_of_a_wide_autoencoder():
    # encoder vector, N matrices and decoder vector of width 5 integrated as they are
    rng, depth, alpha, start = np.random.default_rng(3), 3, 1.7, 0.02
    frames = [np.linalg.qr(rng.standard_normal((5, 5)))[0] for _ in range(depth)]
    start_map = frames[2] @ frames[1] @ frames[0]
    e, d = 0.8 * rng.standard_normal(5), 0.5 * rng.standard_normal(5)
    size = start ** (1 / depth) / alpha

    def flow(_, y):
        e, d, W = y[:5], y[5:10], y[10:].reshape(depth, 5, 5)
        codes = [e]
        for layer in W:
            codes.append(alpha * layer @ codes[-1])
        miss, back, moves = 1 - d @ codes[-1], d, []
        for layer, code in zip(W[::-1], codes[-2::-1], strict=True):
            moves.append(alpha * np.outer(back, code) / depth)
            back = alpha * layer.T @ back
        return miss * np.concatenate([back, codes[-1], np.array(moves[::-1]).ravel()])

    def fitted(_, y):
        W = y[10:].reshape(depth, 5, 5)
        return alpha**depth * y[5:10] @ W[2] @ W[1] @ W[0] @ y[:5] - 0.5

    fitted.terminal = True
    begin = np.concatenate([e, d, *[size * frame.ravel() for frame in frames]])
    expected = solve_ivp(flow, (0, 1e3), begin, rtol=1e-9, atol=1e-11, events=fitted).t[-1]
    lengths = (np.linalg.norm(e), np.linalg.norm(d))
    overlap = d @ start_map @ e / lengths[0] / lengths[1]
    assert emergence_time(start, depth, lengths, overlap, alpha=alpha) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("call", [lambda d: residual_size(d), lambda d: alignment_delay(d)])
@pytest.mark.parametrize("depth", [1, 0, 2.5, True])
def test_bad_depths_are_refused(call, depth):
    with pytest.raises(ValueError, match="depth must be an integer of at least"):
        call(depth)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="two layers are late by a time"):
        alignment_delay(2)
    with pytest.raises(ValueError, match=r"overlap must lie in \(-1, 1\)"):
        residual_size(3, 1.0)
    with pytest.raises(ValueError, match="gains and alpha must be above 0"):
        emergence_time(0.1, 3, (0.0, 1.0))
    with pytest.raises(ValueError, match=r"start must lie between 0 and 0\.5, or it is there, not 0\.6"):
        emergence_time(0.6, 3, (1.0, 1.0))
    with pytest.raises(ValueError, match="depth must be an integer of at least 1"):
        emergence_time(0.1, 0, (1.0, 1.0))
