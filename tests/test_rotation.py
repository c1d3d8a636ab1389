"""RAG, the Toda flow and the relation to GHA, against autograd, an ODE solver and finite steps."""

import math

import pytest
import torch
from scipy.integrate import solve_ivp

from implicit_rank.spectra import axis_distance, subspace_distance
from implicit_rank.theory import rotation
from implicit_rank.theory.landscape import reconstruction_gradients, reconstruction_loss

SHAPES = [(5, 2, 0), (6, 3, 1), (7, 4, 2), (9, 5, 3)]


def instance(D, k, seed):
    """Draw (C, s, U): distinct eigenvalues, the top k well above zero."""
    g = torch.Generator().manual_seed(seed)
    s = 0.2 + torch.cumsum(0.3 + torch.rand(D, generator=g, dtype=torch.float64), 0).flip(0)
    U = torch.linalg.qr(torch.randn(D, D, generator=g, dtype=torch.float64))[0]
    return (U * s) @ U.T, s, U


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + 500), dtype=torch.float64)


def orthogonal(k, seed):
    return torch.linalg.qr(normal(k, k, seed=seed))[0]


def symmetric(k, seed):
    Q, s = orthogonal(k, seed), torch.linspace(3, 0.5, k, dtype=torch.float64) ** 1.3
    return (Q * s) @ Q.T


@pytest.mark.parametrize(("D", "k", "seed"), SHAPES)
def test_rag_step_is_algorithm_1_written_with_samples(D, k, seed):
    n, lr = 13, 0.03
    X = normal(D, n, seed=seed)
    W1, W2 = normal(k, D, seed=seed + 1), normal(D, k, seed=seed + 2)
    Y = W1 @ X
    A = 0.5 * (torch.triu(Y @ Y.T) - torch.tril(Y @ Y.T))
    a, b = W1.clone().requires_grad_(), W2.clone().requires_grad_()
    ((X - b @ a @ X).square().sum() / n).backward()
    eye = torch.eye(k, dtype=torch.float64)
    encoder, decoder = rotation.rag_step(W1, W2, X @ X.T / n, lr)
    torch.testing.assert_close(encoder, (eye + lr / n * A) @ W1 - lr * a.grad, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(decoder, W2 @ (eye - lr / n * A) - lr * b.grad, rtol=1e-12, atol=1e-12)


def test_generator_is_skew_and_batches():
    M = torch.stack([symmetric(4, seed) for seed in range(3)])
    A = rotation.rotation_generator(M)
    torch.testing.assert_close(A, -A.mT)
    assert A[0, 0, 1] == M[0, 0, 1] / 2
    torch.testing.assert_close(A[1], rotation.rotation_generator(M[1]))


@pytest.mark.parametrize(("D", "k", "seed"), SHAPES)
def test_the_rotation_conserves_the_loss_to_first_order_and_exactly_with_the_exponential(D, k, seed):
    C, _, _ = instance(D, k, seed)
    W1, W2 = normal(k, D, seed=seed) / 2, normal(D, k, seed=seed + 9) / 2
    loss = reconstruction_loss(W1, W2, C)
    steps = [rotation.rotation_step(W1, W2, C, lr) for lr in (1e-3, 1e-4, 1e-5)]
    changes = [(reconstruction_loss(*step, C) - loss).abs().item() for step in steps]
    assert changes[0] > 0
    assert changes[0] / changes[1] == pytest.approx(100, rel=0.1)
    assert changes[1] / changes[2] == pytest.approx(100, rel=0.1)
    exact = rotation.rotation_step(W1, W2, C, 0.1, exact=True)
    torch.testing.assert_close(reconstruction_loss(*exact, C), loss, rtol=1e-12, atol=0)


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_toda_flow_solves_the_differential_equation(k, seed):
    M0 = symmetric(k, seed)

    def field(_, m):
        M = torch.from_numpy(m).reshape(k, k)
        A = (M.triu(1) - M.tril(-1)) / 2
        return (A @ M - M @ A).flatten().numpy()

    times = torch.tensor([0.0, 0.4, 1.7, 6.0, 25.0], dtype=torch.float64)
    solved = solve_ivp(field, (0, 25), M0.flatten().numpy(), "DOP853", times.numpy(), rtol=1e-12, atol=1e-13)
    mine, Q = rotation.toda_path(M0, times)
    torch.testing.assert_close(mine.reshape(len(times), -1), torch.from_numpy(solved.y.T), rtol=0, atol=1e-10)
    torch.testing.assert_close(Q.mT @ M0 @ Q, mine, rtol=0, atol=1e-12)
    torch.testing.assert_close(rotation.toda_flow(M0, 1.7), mine[2], rtol=0, atol=1e-12)


def test_toda_flow_is_one_qr_decomposition_of_the_exponential():
    M0, t = symmetric(4, 3), 1.3
    Q, R = torch.linalg.qr(torch.linalg.matrix_exp(M0 * t / 2))
    Q = Q * R.diagonal().sign()
    torch.testing.assert_close(rotation.toda_flow(M0, t), Q.T @ M0 @ Q, rtol=0, atol=1e-12)
    torch.testing.assert_close(rotation.toda_flow(rotation.toda_flow(M0, t), -t), M0, rtol=0, atol=1e-11)


@pytest.mark.parametrize("seed", range(6))
def test_the_flow_sorts_and_its_leading_sums_only_grow(seed):
    M0 = symmetric(5, seed)
    M = rotation.toda_flow(M0, torch.linspace(0, 200, 120))
    sums = M.diagonal(dim1=-2, dim2=-1).cumsum(-1)[:, :-1]
    assert (sums.diff(dim=0) > -1e-11).all()
    wanted = torch.linalg.eigvalsh(M0).flip(0)
    torch.testing.assert_close(M[-1], torch.diag(wanted), rtol=0, atol=1e-8)
    rate = rotation.leading_sums_rate(M0)
    before, after = (rotation.toda_flow(M0, t).diagonal().cumsum(0)[:-1] for t in (-1e-5, 1e-5))
    torch.testing.assert_close(rate, (after - before) / 2e-5, rtol=1e-6, atol=1e-9)


def test_flipping_the_sign_of_the_generator_reverses_the_order():
    M0 = symmetric(4, 5)
    end = rotation.toda_flow(M0, -200.0)  # time reversal is the flipped sign
    torch.testing.assert_close(end.diagonal(), torch.linalg.eigvalsh(M0), rtol=0, atol=1e-8)


def test_an_exactly_diagonal_start_in_the_wrong_order_stays_and_is_left_after_a_nudge():
    M0 = torch.diag(torch.tensor([1.0, 3.0, 2.0]).double())
    torch.testing.assert_close(rotation.toda_flow(M0, 50.0), M0)
    nudge = torch.linalg.matrix_exp(1e-6 * (normal(3, 3) - normal(3, 3).T))
    end = rotation.toda_flow(nudge.T @ M0 @ nudge, 80.0)
    torch.testing.assert_close(end.diagonal(), torch.tensor([3.0, 2.0, 1.0]).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_local_rate_is_half_the_gap(seed):
    """Theorem 5 prints g; here g / 2, for the instantaneous rate at the optimum and along the exact flow."""
    s = torch.tensor([5.0, 4.6, 2.9, 1.4], dtype=torch.float64)
    g = 0.4
    turn = torch.linalg.matrix_exp(1e-3 * (normal(4, 4, seed=seed) - normal(4, 4, seed=seed).T))
    M0 = turn @ torch.diag(s) @ turn.T
    assert rotation.smallest_gap(M0).item() == pytest.approx(g, abs=1e-3)
    early, late = (rotation.non_diagonality(rotation.toda_flow(M0, t)) for t in (30.0, 32.0))
    assert (early / late).log().item() / 2 == pytest.approx(g / 2, rel=1e-3)


@pytest.mark.parametrize(("D", "k", "seed"), SHAPES)
def test_decay_rates_equal_the_jacobian_with_its_zero_modes(D, k, seed):
    C, s, U = instance(D, k, seed)
    W1, W2 = U[:, :k].T.contiguous(), U[:, :k].contiguous()

    def field(v):
        a, b = v[: k * D].view(k, D), v[k * D :].view(D, k)
        M = a @ C @ a.T
        A = (M.triu(1) - M.tril(-1)) / 2
        out = C - b @ a @ C
        return torch.cat([(A @ a + 2 * b.T @ out).flatten(), (-b @ A + 2 * out @ a.T).flatten()])

    start = torch.cat([W1.flatten(), W2.flatten()])
    assert field(start).abs().max() < 1e-12
    values = torch.linalg.eigvals(-torch.autograd.functional.jacobian(field, start))
    assert values.imag.abs().max() < 1e-5
    mine = rotation.rag_decay_rates(s, k)
    torch.testing.assert_close(mine, values.real.sort().values, rtol=0, atol=1e-5)
    assert int((mine.abs() < 1e-9).sum()) == k * (k + 1) // 2
    assert (mine > -1e-12).all()


@pytest.mark.parametrize(("D", "k", "seed"), SHAPES)
def test_spurious_fixed_points_stay_where_they_are(D, k, seed):
    C, s, U = instance(D, k, seed)
    scale = torch.linspace(0.7, 2.0, k, dtype=torch.float64)
    W1, W2 = rotation.spurious_fixed_point(U[:, :k], s[:k], orthogonal(k, seed), scale)
    assert max(x.abs().max() for x in reconstruction_gradients(W1, W2, C)) < 1e-12 * s[0]
    assert rotation.rotation_generator(rotation.code_moments(W1, C)).abs().max() < 1e-12
    after = rotation.rag_step(W1, W2, C, 0.01)
    torch.testing.assert_close(after[0], W1, rtol=0, atol=1e-12)
    assert axis_distance(W2, U[:, :k]) > 0.05
    assert subspace_distance(W2, U[:, :k]) < 1e-12


@pytest.mark.parametrize(("D", "k", "seed"), SHAPES)
def test_misalignment_follows_from_the_imbalance_of_a_fixed_point(D, k, seed):
    _, s, U = instance(D, k, seed)
    errors = []
    for size in (1e-2, 1e-3):
        # near the identity: Q S^(1/2) S^(-1/2) with a small rotation Q in the middle
        Q = torch.linalg.matrix_exp(size * (normal(k, k, seed=seed) - normal(k, k, seed=seed).T))
        W1, W2 = rotation.spurious_fixed_point(U[:, :k], s[:k], Q, s[:k].sqrt())
        found = axis_distance(W2, U[:, :k])
        errors.append((rotation.misalignment(rotation.imbalance(W1, W2), s[:k]) / found - 1).abs().item())
    assert errors[1] < 1e-2
    assert errors[1] < errors[0] / 5


@pytest.mark.parametrize(("D", "k", "seed"), SHAPES)
def test_the_gha_identity_holds_for_the_decoder_and_half_the_loss_alone(D, k, seed):
    C, _, _ = instance(D, k, seed)
    W, lr = normal(k, D, seed=seed) / 2, 0.01
    printed = rotation.rag_as_gha_step(W, C, lr)
    encoder_gradient, decoder_gradient = reconstruction_gradients(W, W.T, C)
    A = rotation.rotation_generator(rotation.code_moments(W, C))
    decoder = lambda share: W + lr * (A @ W - share * decoder_gradient.T)  # noqa: E731
    encoder = W + lr * (A @ W - encoder_gradient / 2)
    torch.testing.assert_close(printed, decoder(0.5), rtol=0, atol=1e-13)
    assert (printed - decoder(1)).norm() > 0.5 * lr
    assert (printed - encoder).norm() > 0.1 * lr
    # and Algorithm 1 itself is the full-gradient decoder
    torch.testing.assert_close(rotation.rag_step(W, W.T, C, lr)[1].T, decoder(1), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("D", "k", "seed"), SHAPES)
def test_the_transposed_start_is_left_at_the_first_step(D, k, seed):
    C, _, _ = instance(D, k, seed)
    W = normal(k, D, seed=seed)
    gap = rotation.gradient_gap(W, C)
    encoder, decoder = reconstruction_gradients(W, W.T, C)
    torch.testing.assert_close(gap, encoder - decoder.T, rtol=0, atol=1e-11)
    assert gap.norm() > 0.1
    W1, W2 = rotation.rag_step(W, W.T, C, 0.01)
    torch.testing.assert_close(W1 - W2.T, -0.01 * gap, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("D", "k", "seed"), SHAPES)
def test_the_flow_turns_the_imbalance_and_keeps_its_eigenvalues(D, k, seed):
    C, _, _ = instance(D, k, seed)
    W1, W2 = normal(k, D, seed=seed) / 2, normal(D, k, seed=seed + 4) / 2
    before = torch.linalg.eigvalsh(rotation.imbalance(W1, W2))
    worst = []
    for lr in (1e-3, 5e-4):
        a, b = W1, W2
        for _ in range(round(0.05 / lr)):
            a, b = rotation.rag_step(a, b, C, lr)
        worst.append((torch.linalg.eigvalsh(rotation.imbalance(a, b)) - before).abs().max().item())
        assert (rotation.imbalance(a, b) - rotation.imbalance(W1, W2)).abs().max() > 3 * worst[-1]
    assert worst[0] / worst[1] == pytest.approx(2, rel=0.25)  # the error of Euler's method, first order
    turned = rotation.rotation_step(W1, W2, C, 0.3, exact=True)
    torch.testing.assert_close(torch.linalg.eigvalsh(rotation.imbalance(*turned)), before, rtol=0, atol=1e-12)


def test_known_numbers():
    M = torch.tensor([[3.0, 0.5, -1.0], [0.5, 2.5, 0.0], [-1.0, 0.0, 1.0]]).double()
    assert rotation.non_diagonality(M).item() == 3
    assert rotation.smallest_gap(M).item() == 0.5
    torch.testing.assert_close(rotation.leading_sums_rate(M), torch.tensor([1.25, 1.0]).double())


def test_bad_input_gets_one_clear_sentence():
    C, s, _ = instance(5, 3, 0)
    W1, W2 = normal(3, 5), normal(5, 3)
    refused = [
        (lambda: rotation.rotation_generator(W1), "M must be a square matrix"),
        (lambda: rotation.rotation_generator(normal(3, 3)), "M must be symmetric"),
        (lambda: rotation.toda_flow(symmetric(3, 0) * math.inf, 1.0), "M must be finite"),
        (lambda: rotation.toda_flow(torch.stack([symmetric(3, 0)] * 2), 1.0), "M0 must be one matrix"),
        (lambda: rotation.toda_flow(symmetric(3, 0), math.nan), "t must be a finite time"),
        (lambda: rotation.rag_step(W1, W2, C, 0.0), "learning rate must be a positive number"),
        (lambda: rotation.rag_step(W1, W2, C[:3], 0.1), "C must be a square matrix"),
        (lambda: rotation.rag_step(W1, W1, C, 0.1), "decoder must have the shape"),
        (lambda: rotation.rag_decay_rates(s[:2], 3), "k must lie between 1 and the 2 eigenvalues"),
        (lambda: rotation.rag_decay_rates(torch.ones(3), 2), "not identifiable"),
    ]
    for call, sentence in refused:
        with pytest.raises(ValueError, match=sentence):
            call()
