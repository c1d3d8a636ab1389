"""The near-tie bound and each step of its proof, rates and momentum, and what nested dropout's proof leans on."""

import itertools
import math

import pytest
import torch

from implicit_rank.theory import landscape
from implicit_rank.theory.landscape.hessian import pair_block


def spectra(count, seed, most=9):
    """Random spectra of 2 to `most` eigenvalues, every second one with a near tie at a random place."""
    g = torch.Generator().manual_seed(seed)
    for n in range(count):
        k = int(torch.randint(2, most, (), generator=g))
        gaps = 0.05 + torch.rand(k, generator=g, dtype=torch.float64) ** 3
        if n % 2:
            gaps[1 + int(torch.randint(k - 1, (), generator=g))] *= 10 ** -(
                5 * torch.rand((), generator=g, dtype=torch.float64)
            )
        yield gaps.cumsum(0).flip(0), g


def draw_penalties(s, g):
    """Admissible penalties: at random, or crowded towards 0 or towards s_k."""
    power = 10 ** (2 * torch.rand((), generator=g, dtype=torch.float64) - 1)
    shares = torch.rand(len(s) + 1, generator=g, dtype=torch.float64).pow(power) + 1e-6
    return s[-1] * shares.cumsum(0)[:-1] / shares.sum()


def test_no_condition_number_of_thousands_falls_below_a_bound():
    closest = math.inf
    for s, g in spectra(700, 3):
        sharp, tie = landscape.l2_bound_sharp(s), landscape.l2_bound_near_tie(s)
        assert tie <= sharp
        for _ in range(4):
            kappa = landscape.l2_condition_number(s, draw_penalties(s, g))
            assert kappa >= sharp * (1 - 1e-6)
            closest = min(closest, float(kappa / tie))
    assert closest < 60  # the draws come near enough to say something


@pytest.mark.parametrize("seed", [0, 1])
def test_every_inequality_of_the_proof(seed):
    for s, g in spectra(200, 10 + seed):
        lam = draw_penalties(s, g)
        values = landscape.l2_hessian_eigenvalues(s, lam)
        least = values[0]
        for i in range(len(s) - 1):
            a, b, p, q = s[i], s[i + 1], lam[i], lam[i + 1]
            below = 2 - q / a - p / b
            assert below > (q - p) / b  # the denominator
            gap_step = 4 * (q**2 - p**2) * (1 / b - 1 / a) / below
            assert torch.linalg.eigvalsh(pair_block(a, b, p, q))[0] <= gap_step * (1 + 1e-9)
            assert gap_step < 4 * (p + q) * (a - b) / a < 8 * s[-1] * (a - b) / a
            assert least <= gap_step * (1 + 1e-9)
        assert values[-1] >= 2 * s[0]


def test_known_values_and_ties():
    close = torch.tensor([5.0, 4.0, 1.0001, 1.0], dtype=torch.float64)
    assert landscape.l2_bound_near_tie(close).item() == pytest.approx(5 * 1.0001 / (4 * 0.0001), rel=1e-9)
    assert landscape.l2_bound_near_tie([3.0, 1.0]).item() == pytest.approx(9 / 8)
    assert landscape.l2_bound_near_tie([4.0, 2.0, 1.0]).item() == pytest.approx(4 * 4 / (4 * 1 * 2))
    assert landscape.l2_bound_near_tie([2.0, 2.0, 1.0]).item() == math.inf
    assert landscape.l2_bound_near_tie([3.0, 2.0, 2.0]).item() == math.inf
    assert landscape.l2_bound_gap(close) < 200 < landscape.l2_bound_near_tie(close)
    assert landscape.l2_bound_sharp(close) == landscape.l2_bound_near_tie(close)
    for bad, sentence in (([1.0], "at least 2"), ([1.0, 2.0], "descending"), ([1.0, 0.0], "positive")):
        with pytest.raises(ValueError, match=sentence):
            landscape.l2_bound_near_tie(bad)


def test_at_two_units_the_bound_is_an_eighth_of_the_truth_in_the_limit():
    two = torch.tensor([1.0001, 1.0], dtype=torch.float64)
    ratio = landscape.l2_condition_number(two, landscape.best_penalties(two)) / landscape.l2_bound_near_tie(two)
    assert ratio.item() == pytest.approx(8, rel=0.05)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
def test_the_factor_per_step_and_the_stable_rate_are_those_of_the_iteration(momentum):
    assert landscape.largest_stable_rate(4.0, 0.9).item() == pytest.approx(1.3571428 / 4)
    limit = landscape.largest_stable_rate(2.0, momentum).item()
    assert landscape.factor_per_step(2.0, limit, momentum).item() == pytest.approx(1)
    for h, lr in itertools.product((0.003, 0.4, 2.0), (0.3 * limit, 0.97 * limit, 1.03 * limit)):
        x, velocity, largest = 1.0, 0.0, []
        for _ in range(6000):  # torch.optim.SGD(nesterov=True), written out
            gradient = h * x
            velocity = momentum * velocity + gradient
            x -= lr * (gradient + momentum * velocity)
            largest.append(abs(x) + lr * abs(velocity))
            if not 1e-250 < largest[-1] < 1e250:
                break
        half = len(largest) // 2
        if half < 20:
            continue
        factor = landscape.factor_per_step(h, lr, momentum).item()
        measured = (largest[-1] / largest[half]) ** (1 / (len(largest) - 1 - half))
        assert measured == pytest.approx(factor, abs=0.02)


def test_the_best_momentum_pays_the_root():
    for kappa in (9.0, 400.0, 1e6):
        best = landscape.best_momentum(kappa).item()
        assert landscape.factor_per_step(1 / kappa, 1.0, best).item() == pytest.approx(1 - kappa**-0.5, rel=1e-6)
        for other in (best - 0.02 / kappa**0.5, best + 0.02 / kappa**0.5):
            assert landscape.factor_per_step(1 / kappa, 1.0, other) > 1 - kappa**-0.5
    for call, sentence in (
        (lambda: landscape.best_momentum(0.5), "at least 1"),
        (lambda: landscape.largest_stable_rate(-1.0), "positive"),
        (lambda: landscape.largest_stable_rate(1.0, 1.0), r"\[0, 1\)"),
        (lambda: landscape.factor_per_step(1.0, 0.0), "positive"),
        (lambda: landscape.brockett_cost(torch.eye(2), [1.0, 2.0, 3.0], torch.eye(3)), "must be"),
        (lambda: landscape.vae_optimum(torch.eye(3), [1.0, 0.9, 0.9], 2), "must exceed|not identifiable"),
        (lambda: landscape.axes_by_svd(torch.full((2, 2), math.nan)), "finite"),
    ):
        with pytest.raises(ValueError, match=sentence):
            call()


def test_the_gap_that_makes_nested_dropout_diagonal():
    g = torch.Generator().manual_seed(0)
    k, D = 4, 6
    prior = torch.tensor([0.1, 0.4, 0.3, 0.2], dtype=torch.float64)
    C = torch.randn(D, D, generator=g, dtype=torch.float64)
    C = C @ C.T
    U = torch.linalg.eigh(C).eigenvectors
    scales = 0.3 + torch.rand(k, generator=g, dtype=torch.float64)
    for order in ([5, 4, 3, 2], [2, 5, 3, 4], [1, 0, 4, 2]):  # every permutation of axes is stationary
        W1, W2 = scales[:, None] * U[:, order].T, U[:, order] / scales
        assert max(x.abs().max() for x in landscape.nested_dropout_gradients(W1, W2, C, prior)) < 1e-10
        assert landscape.stationarity_gap(W1, W2, C, prior) < 1e-10
    turn = torch.linalg.qr(torch.randn(k, k, generator=g, dtype=torch.float64)).Q
    assert landscape.stationarity_gap(turn @ U[:, -k:].T, U[:, -k:] @ turn.T, C, prior) > 0.01
    # the bracket of the proof has the signs it says
    c = prior.flip(0).cumsum(0).flip(0)
    for i, j, unit in itertools.product(range(k), repeat=3):
        bracket = (c[i] * c[max(unit, j)] - c[j] * c[max(i, unit)]).item()
        if i != j and unit > min(i, j):
            assert bracket * (j - i) > 1e-6
        else:
            assert abs(bracket) < 1e-12


def test_the_ring_lies_where_the_loss_is_least():
    s = torch.tensor([4.0, 2.5, 1.0]).double()
    for pair in (torch.tensor([0.1, 0.4]), torch.tensor([0.5, 2.3])):
        theta = torch.linspace(0, math.pi, 9, dtype=torch.float64)
        radius = landscape.ring_radius(s, pair, theta)
        assert landscape.plane_gradient(s, pair, radius, theta)[0].abs().max() < 1e-12
        assert radius[0] == 1
        assert landscape.valley_ratio(s, pair) > 2 * s[0] / s[1]
