"""Edges and thresholds of noisy low-rank matrices, against large random matrices and published numbers."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from implicit_rank.theory.visibility import (
    bbp_edge,
    detection_limit,
    gavish_donoho_threshold,
    marchenko_pastur_median,
    noise_delay,
    noisy_singular_value,
)

SHAPES = [(300, 1200), (1200, 300), (500, 500), (40, 1600)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("noise", [0.3, 2.0])
def test_noise_alone_ends_at_the_edge_and_has_the_median(shape, noise):
    values = np.linalg.svd(noise * np.random.default_rng(0).standard_normal(shape), compute_uv=False)
    assert values[0] == pytest.approx(bbp_edge(shape, noise), rel=0.03)
    beta = min(shape) / max(shape)
    assert np.median(values) == pytest.approx(noise * math.sqrt(max(shape) * marchenko_pastur_median(beta)), rel=0.02)
    # the two rules agree where all is noise: omega times the median is lambda times the noise
    assert gavish_donoho_threshold(shape) * np.median(values) == pytest.approx(
        gavish_donoho_threshold(shape, noise), rel=0.02
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("times", [0.6, 1.5, 3.0])
def test_a_signal_shows_where_the_formula_says(shape, times):
    rng, noise = np.random.default_rng(1), 0.7
    strength = times * detection_limit(shape, noise)
    u, v = rng.standard_normal(shape[0]), rng.standard_normal(shape[1])
    signal = strength * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
    largest = np.linalg.svd(signal + noise * rng.standard_normal(shape), compute_uv=False)[0]
    assert largest == pytest.approx(noisy_singular_value(strength, shape, noise), rel=0.03)
    assert (largest > 1.02 * bbp_edge(shape, noise)) == (times > 1)


def test_at_the_limit_a_signal_lies_on_the_edge():
    for shape in SHAPES:
        limit = detection_limit(shape, 0.4)
        assert noisy_singular_value(limit * (1 + 1e-9), shape, 0.4) == pytest.approx(bbp_edge(shape, 0.4), rel=1e-8)


@pytest.mark.parametrize("beta", [0.05, 0.25, 0.5, 0.75, 1.0])
def test_the_factor_of_the_median_is_the_published_approximation(beta):
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43  # Gavish and Donoho 2014, eq. 5: to 0.02
    assert gavish_donoho_threshold((int(200 * beta), 200)) == pytest.approx(omega, abs=0.02)
    assert gavish_donoho_threshold((200, int(200 * beta))) == pytest.approx(omega, abs=0.02)
    assert gavish_donoho_threshold((200, 200)) == pytest.approx(2.8582, abs=3e-4)


def test_square_matrices_have_four_over_the_root_of_three():
    assert gavish_donoho_threshold((50, 50), 0.3) == pytest.approx(4 / math.sqrt(3) * math.sqrt(50) * 0.3)
    assert gavish_donoho_threshold((64, 256), 0.2) == pytest.approx(gavish_donoho_threshold((256, 64), 0.2))


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.999, 1.0])
def test_the_median_halves_the_law(beta):
    low, high = (1 - math.sqrt(beta)) ** 2, (1 + math.sqrt(beta)) ** 2
    density = lambda x: math.sqrt((high - x) * (x - low)) / (2 * math.pi * beta * x)  # noqa: E731
    below, _ = quad(density, low + 1e-15, marchenko_pastur_median(beta), limit=500)
    assert below == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("shape", [(120, 480), (300, 300)])
def test_the_threshold_is_the_best_one(shape):
    # among all hard thresholds, that of least error for the worst signal: just above it keeping wins, below killing
    noise, tau = 1.0, gavish_donoho_threshold(shape, 1.0)
    rng = np.random.default_rng(2)
    u, v = rng.standard_normal(shape[0]), rng.standard_normal(shape[1])
    u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)

    def gain(strength):
        wins = []
        for seed in range(12):
            signal = strength * np.outer(u, v)
            U, s, Vh = np.linalg.svd(signal + noise * np.random.default_rng(seed).standard_normal(shape))
            wins.append(strength**2 - np.square(s[0] * np.outer(U[:, 0], Vh[0]) - signal).sum())
        return np.mean(wins) / strength**2

    strengths = np.linspace(1.01, 3, 200) * detection_limit(shape, noise)
    at = min(strengths, key=lambda s: abs(noisy_singular_value(s, shape, noise) - tau))
    assert gain(1.2 * at) > 0.05
    assert gain(0.85 * at) < -0.05


def test_noise_waits_by_the_square_of_its_weakness():
    assert noise_delay([9.0, 6.0, 2.0, 1.0], 2) == 9
    assert noise_delay([9.0, 6.0, 2.0, 1.0], 1) == 2.25
    for bad in (0, 4):
        with pytest.raises(ValueError, match="rank must be from 1 to 3"):
            noise_delay([9.0, 6.0, 2.0, 1.0], bad)


def test_bad_input_is_refused():
    for call in (bbp_edge, detection_limit, gavish_donoho_threshold):
        with pytest.raises(ValueError, match="shape must be two numbers of at least 1"):
            call((0, 3), 1.0)
        with pytest.raises(ValueError, match="noise must be a finite number that is not negative"):
            call((2, 3), -1.0)
    with pytest.raises(ValueError, match=r"beta must lie in \(0, 1\]"):
        marchenko_pastur_median(1.5)
    with pytest.raises(ValueError, match="strength must be"):
        noisy_singular_value(-1.0, (2, 3), 1.0)
