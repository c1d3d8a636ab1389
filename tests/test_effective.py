"""Equations 1 to 7 on balanced chains with spectra that are not flat, against autograd, loops and real steps."""

import numpy as np
import pytest
import torch
from scipy.stats import linregress

from implicit_rank.theory import effective as theory

F64 = torch.float64
DEPTHS = (1, 2, 3, 5, 8)
SEEDS = (0, 1, 2)
everywhere = [pytest.mark.parametrize("depth", DEPTHS), pytest.mark.parametrize("seed", SEEDS)]


def every_chain(test):
    for mark in everywhere:
        test = mark(test)
    return test


def generator(seed):
    return torch.Generator().manual_seed(seed)


def draw(depth, seed, width=5):
    """A balanced chain with a generic spectrum and a generic gradient."""
    g = generator(seed)
    W_e, gradient = torch.randn(2, width, width, generator=g, dtype=F64)
    return theory.balanced_chain(0.5 * W_e, depth, g), gradient


def unbalanced(depth, seed, width=5):
    g = generator(seed)
    return [*torch.randn(depth, width, width, generator=g, dtype=F64) / width**0.5], torch.randn(
        width, width, generator=g, dtype=F64
    )


def stepped(layers, gradient, lr):
    return [w - lr * g for w, g in zip(layers, theory.layer_gradients(layers, gradient), strict=True)]


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


def columns(matrix):
    return matrix.T.reshape(-1)


# ---- the product and its gradients ----
@every_chain
def test_layer_gradients_are_those_of_autograd(depth, seed):
    layers, target = unbalanced(depth, seed)
    leaves = [layer.clone().requires_grad_() for layer in layers]
    W_e = torch.eye(5, dtype=F64)
    for leaf in leaves:
        W_e = leaf @ W_e
    (W_e - target).cos().sum().backward()
    gradient = -(theory.effective_matrix(layers) - target).sin()
    torch.testing.assert_close(theory.effective_matrix(layers), W_e.detach(), rtol=1e-12, atol=1e-14)
    for leaf, found in zip(leaves, theory.layer_gradients(layers, gradient), strict=True):
        torch.testing.assert_close(found, leaf.grad, rtol=1e-10, atol=1e-13)


@every_chain
def test_first_order_update_of_any_chain_is_the_derivative_of_a_step(depth, seed):
    layers, gradient = unbalanced(depth, seed)
    # a step of imaginary size: the imaginary part is the derivative, without the rounding of a difference
    W_e = torch.eye(5, dtype=torch.complex128)
    for layer, g in zip(layers, theory.layer_gradients(layers, gradient), strict=True):
        W_e = (layer - 1e-100j * g) @ W_e
    assert relative(theory.first_order_update(layers, gradient, 0.3), 0.3 * W_e.imag / 1e-100) < 1e-12


@every_chain
def test_a_balanced_chain_is_balanced_and_has_its_product(depth, seed):
    g = generator(seed)
    W_e = torch.randn(6, 6, generator=g, dtype=F64)
    layers = theory.balanced_chain(W_e, depth, g)
    assert len(layers) == depth
    assert relative(theory.effective_matrix(layers), W_e) < 1e-12
    assert all(gap.abs().max() < 1e-12 for gap in theory.imbalance(layers))
    assert len(theory.imbalance(layers)) == depth - 1
    roots = torch.linalg.svdvals(W_e) ** (1 / depth)
    for layer in layers:
        torch.testing.assert_close(torch.linalg.svdvals(layer), roots, rtol=1e-10, atol=0)
    if depth > 2:  # generic frames between, not the identity
        assert (layers[1] - torch.diag(layers[1].diagonal())).norm() > 0.1


# ---- equations 2 to 5 ----
@every_chain
def test_predicted_update_misses_a_real_step_by_second_order_only(depth, seed):
    layers, gradient = draw(depth, seed)
    W_e, rates = theory.effective_matrix(layers), (1e-3, 3e-4, 1e-4, 3e-5)
    errors = []
    for lr in rates:
        actual = theory.effective_matrix(stepped(layers, gradient, lr)) - W_e
        errors.append(relative(theory.predicted_update(W_e, gradient, depth, lr), actual))
    if depth == 1:
        assert max(errors) < 1e-10  # one layer has no second order; what is left is the rounding of a difference
    else:
        assert errors[0] < 0.05
        assert linregress(np.log(rates), np.log(errors)).slope == pytest.approx(1, abs=0.02)


@every_chain
def test_predicted_update_is_the_exact_first_order_of_a_balanced_chain(depth, seed):
    layers, gradient = draw(depth, seed)
    predicted = theory.predicted_update(theory.effective_matrix(layers), gradient, depth, 0.1)
    assert relative(predicted, theory.first_order_update(layers, gradient, 0.1)) < 1e-11


@pytest.mark.parametrize("depth", [2, 3, 5, 8])
def test_it_is_not_that_of_an_unbalanced_chain(depth):
    layers, gradient = unbalanced(depth, 0)
    predicted = theory.predicted_update(theory.effective_matrix(layers), gradient, depth, 0.1)
    assert relative(predicted, theory.first_order_update(layers, gradient, 0.1)) > 0.1


@every_chain
def test_preconditioner_acts_on_stacked_columns(depth, seed):
    layers, gradient = draw(depth, seed)
    W_e = theory.effective_matrix(layers)
    P, update = theory.preconditioner(W_e, depth), theory.predicted_update(W_e, gradient, depth, 0.7)
    assert relative(-0.7 * P @ columns(gradient), columns(update)) < 1e-12
    if depth > 1:  # stacked rows, consistently: a flat spectrum would let this pass
        assert relative(-0.7 * P @ gradient.reshape(-1), update.reshape(-1)) > 0.1


@every_chain
def test_preconditioner_is_symmetric_positive_with_the_eigenvectors_of_equation_4(depth, seed):
    W_e = theory.effective_matrix(draw(depth, seed)[0])
    U, sigma, Vh = torch.linalg.svd(W_e)
    P, mu = theory.preconditioner(W_e, depth), theory.coefficients(sigma, depth)
    assert (P - P.T).abs().max() < 1e-13 * P.abs().max()
    assert torch.linalg.eigvalsh((P + P.T) / 2)[0] > 0
    for r in range(5):
        for q in range(5):
            e = columns(torch.outer(U[:, r], Vh[q]))
            assert (P @ e - mu[r, q] * e).norm() < 1e-12 * mu.max()
            wrong = torch.outer(U[:, r], Vh[q]).reshape(-1)
            if depth > 2 and r == 0 and q == 4:
                assert (P @ wrong - mu[r, q] * wrong).norm() > 0.05 * mu.max()


@every_chain
def test_preconditioner_is_the_sum_of_arora_and_others(depth, seed):
    # vec(A G B) = (B^T kron A) vec(G), with fractional powers of W W^T and W^T W
    W_e = theory.effective_matrix(draw(depth, seed)[0])

    def power(matrix, exponent):
        values, vectors = torch.linalg.eigh(matrix)
        return vectors @ torch.diag(values.clamp(min=0) ** exponent) @ vectors.T

    expected = sum(
        torch.kron(power(W_e.T @ W_e, (depth - j) / depth), power(W_e @ W_e.T, (j - 1) / depth))
        for j in range(1, depth + 1)
    )
    assert relative(theory.preconditioner(W_e, depth), expected) < 1e-9


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_flat_spectrum_hides_wrong_conventions(depth):
    Q = torch.nn.init.orthogonal_(torch.empty(4, 4, dtype=F64), generator=generator(0))
    P = theory.preconditioner(0.3 * Q, depth)
    flat = depth * 0.3 ** (2 * (depth - 1) / depth)
    torch.testing.assert_close(P, flat * torch.eye(16, dtype=F64), rtol=0, atol=1e-12)


SPECTRA = {
    "generic": [1.7, 0.9, 0.31, 0.05],
    "equal": [2.0, 2.0, 0.5, 0.5],
    "nearly equal": [1.0, 1.0 - 1e-9, 1.0 - 1e-5, 0.2],
    "zeros": [1.3, 0.4, 0.0, 0.0],
    "tiny": [1e-3, 1e-6, 1e-9, 1e-12],
}


def mu_loop(sigma, depth):
    def mu(a, b):
        return sum(a ** (2 * (depth - j) / depth) * b ** (2 * (j - 1) / depth) for j in range(1, depth + 1))

    return torch.tensor([[mu(a, b) for b in sigma] for a in sigma], dtype=F64)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("depth", [*DEPTHS, 40])
def test_coefficients_and_their_closed_form_are_the_sum_of_equation_5(depth, name):
    sigma, expected = torch.tensor(SPECTRA[name], dtype=F64), mu_loop(SPECTRA[name], depth)
    mu = theory.coefficients(sigma, depth)
    torch.testing.assert_close(mu, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(theory.coefficients_closed_form(sigma, depth), expected, rtol=1e-8, atol=0)
    torch.testing.assert_close(mu, mu.T, rtol=1e-13, atol=0)
    assert mu[0, 0].item() == pytest.approx(depth * SPECTRA[name][0] ** (2 * (depth - 1) / depth), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in SPECTRA if name != "tiny"])
def test_the_limit_is_approached_like_one_over_the_depth(name):
    sigma = torch.tensor(SPECTRA[name], dtype=F64)
    limit = theory.coefficients_limit(sigma)
    far, near = ((theory.coefficients(sigma, N) / N - limit).abs().max().item() for N in (1000, 4000))
    assert near < 2e-3
    assert far / near == pytest.approx(4, rel=0.05)


def test_the_limit_is_the_logarithmic_mean():
    limit = theory.coefficients_limit(torch.tensor([2.0, 1.0, 0.0]))
    expected = torch.tensor([[4, 3 / np.log(4), 0], [3 / np.log(4), 1, 0], [0, 0, 0]], dtype=F64)
    torch.testing.assert_close(limit, expected, rtol=1e-12, atol=0)


# ---- balance and batch ----
@every_chain
def test_one_step_changes_the_balance_by_exactly_its_square(depth, seed):
    layers, gradient = unbalanced(depth, seed)
    lr = 0.5  # large: no first-order statement
    before, after = theory.imbalance(layers), theory.imbalance(stepped(layers, gradient, lr))
    changes = theory.imbalance_step(layers, gradient, lr)
    assert len(changes) == depth - 1
    for a, b, change in zip(before, after, changes, strict=True):
        assert change.abs().max() > 1e-3
        torch.testing.assert_close(b - a, change, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_growth_along_one_direction_balances_by_the_power_two_over_n(depth):
    g, start = generator(depth), 1e-2
    layers = [
        start ** (1 / depth) * torch.nn.init.orthogonal_(torch.empty(5, 5, dtype=F64), generator=g)
        for _ in range(depth)
    ]
    layers[0] = layers[0] @ torch.diag(1 + 0.2 * torch.rand(5, generator=g, dtype=F64))  # not balanced
    u, v = torch.randn(2, 5, generator=g, dtype=F64)
    gradient = -torch.outer(u, v) / u.norm() / v.norm()

    def state():
        gaps, sizes = theory.imbalance(layers), [torch.linalg.matrix_norm(low @ low.T, 2) for low in layers[:-1]]
        worst = max((torch.linalg.matrix_norm(D, 2) / s).item() for D, s in zip(gaps, sizes, strict=True))
        return worst, max(sizes).item() ** (depth / 2)

    before, began = state()
    while theory.effective_matrix(layers).norm() < 3:
        layers = stepped(layers, gradient, 2e-3)
    after, grown = state()
    assert after / before == pytest.approx(theory.relative_imbalance(began, grown, depth), rel=0.1)
    with pytest.raises(ValueError, match="start and size must be finite numbers above 0"):
        theory.relative_imbalance(0.0, 1.0, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_batch_gradient_is_the_sum_over_samples(seed):
    g = generator(seed)
    Z, Y = torch.randn(2, 9, 4, generator=g, dtype=F64)
    W = torch.randn(4, 4, generator=g, dtype=F64, requires_grad=True)
    out = Z @ W.T
    out.retain_grad()
    (out - Y).pow(4).mean().backward()
    torch.testing.assert_close(theory.batch_gradient(out.grad, Z), W.grad, rtol=1e-12, atol=1e-15)
    means = 9 * torch.outer(out.grad.mean(0), Z.mean(0))
    assert relative(means, W.grad) > 0.3


# ---- float64 out, whatever comes in; refusals ----
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, F64])
def test_everything_is_float64_and_off_the_graph(dtype):
    layers = [layer.to(dtype).requires_grad_() for layer in unbalanced(3, 0)[0]]
    G = torch.eye(5, dtype=dtype)
    results = [
        theory.effective_matrix(layers),
        *theory.layer_gradients(layers, G),
        theory.first_order_update(layers, G, 0.1),
        *theory.imbalance(layers),
        *theory.imbalance_step(layers, G, 0.1),
        theory.preconditioner(layers[0], 3),
        theory.predicted_update(layers[0], G, 3, 0.1),
        *theory.balanced_chain(layers[0], 3),
        theory.batch_gradient(layers[0], layers[1]),
        theory.coefficients(torch.ones(3, dtype=dtype), 3),
        theory.coefficients_closed_form(torch.ones(3, dtype=dtype), 3),
        theory.coefficients_limit(torch.ones(3, dtype=dtype)),
    ]
    assert {result.dtype for result in results} == {F64}
    assert not any(result.requires_grad for result in results)


I3 = torch.eye(3, dtype=F64)
SQUARE_ONLY = {
    "effective_matrix": lambda bad: theory.effective_matrix([I3, bad]),
    "layer_gradients": lambda bad: theory.layer_gradients([bad, I3], I3),
    "layer_gradients' gradient": lambda bad: theory.layer_gradients([I3], bad),
    "first_order_update": lambda bad: theory.first_order_update([bad], I3, 0.1),
    "imbalance": lambda bad: theory.imbalance([I3, bad]),
    "imbalance_step": lambda bad: theory.imbalance_step([I3, I3], bad, 0.1),
    "preconditioner": lambda bad: theory.preconditioner(bad, 2),
    "predicted_update": lambda bad: theory.predicted_update(bad, I3, 2, 0.1),
    "predicted_update's gradient": lambda bad: theory.predicted_update(I3, bad, 2, 0.1),
    "balanced_chain": lambda bad: theory.balanced_chain(bad, 2),
}


@pytest.mark.parametrize("name", SQUARE_ONLY)
@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (torch.ones(3, 4), "must be a square matrix, not one of shape"),
        (torch.ones(3), "must be a square matrix, not one of shape"),
        (torch.full((3, 3), torch.nan), "must be finite; it holds NaN or infinity"),
        (torch.full((3, 3), torch.inf), "must be finite; it holds NaN or infinity"),
    ],
)
def test_what_is_not_square_or_not_finite_is_refused(name, bad, sentence):
    with pytest.raises(ValueError, match=sentence):
        SQUARE_ONLY[name](bad)


def test_unequal_widths_are_refused():
    I4 = torch.eye(4)
    for call in (theory.effective_matrix, theory.imbalance):
        with pytest.raises(ValueError, match=r"of one width, not of widths \[3, 4\]"):
            call([I3, I4])
        with pytest.raises(ValueError, match="one or more matrices"):
            call([])
    with pytest.raises(ValueError, match=r"gradient must be as wide as the layers \(3\), not 4"):
        theory.layer_gradients([I3, I3], I4)
    with pytest.raises(ValueError, match=r"gradient must be as wide as W_e \(3\), not 4"):
        theory.predicted_update(I3, I4, 2, 0.1)
    with pytest.raises(ValueError, match="must share a shape"):
        theory.batch_gradient(torch.ones(5, 3), torch.ones(6, 3))


@pytest.mark.parametrize("depth", [0, -1, 2.0, True])
def test_a_bad_depth_is_refused(depth):
    ones = torch.ones(3)
    for call in (
        lambda: theory.coefficients(ones, depth),
        lambda: theory.coefficients_closed_form(ones, depth),
        lambda: theory.preconditioner(I3, depth),
        lambda: theory.predicted_update(I3, I3, depth, 0.1),
        lambda: theory.balanced_chain(I3, depth),
    ):
        with pytest.raises(ValueError, match="depth must be an integer of at least 1"):
            call()


@pytest.mark.parametrize("bad", [[1.0, -0.1], [1.0, float("nan")], [[1.0]]])
def test_bad_singular_values_are_refused(bad):
    for call in (
        lambda: theory.coefficients(torch.tensor(bad), 3),
        lambda: theory.coefficients_closed_form(torch.tensor(bad), 3),
        lambda: theory.coefficients_limit(torch.tensor(bad)),
    ):
        with pytest.raises(ValueError, match="vector of finite numbers that are not negative"):
            call()
