"""The landscape of Bao 2020 against autograd and brute force, on generic spectra and shapes that are not square."""

import itertools

import pytest
import torch

from implicit_rank.theory import landscape
from implicit_rank.theory.landscape.hessian import pair_block
from implicit_rank.theory.landscape.losses import reconstruction_loss, spectrum
from implicit_rank.theory.landscape.stationary import class_count

INSTANCES = [(4, 2, 0), (5, 3, 1), (6, 3, 2), (7, 4, 3), (6, 1, 4)]


def instance(D, k, seed, spread=3.0):
    """Draw (C, s, U, penalties) with distinct eigenvalues and lambda_k < s_k."""
    g = torch.Generator().manual_seed(seed)
    s = 0.4 + torch.cumsum(0.2 + spread * torch.rand(D, generator=g, dtype=torch.float64), 0).flip(0)
    U = torch.linalg.qr(torch.randn(D, D, generator=g, dtype=torch.float64))[0]
    shares = torch.cumsum(0.1 + torch.rand(k + 1, generator=g, dtype=torch.float64), 0)
    return (U * s) @ U.T, s, U, s[k - 1] * shares[:-1] / shares[-1]


def weights(D, k, seed, *batch):
    g = torch.Generator().manual_seed(seed + 1000)
    normal = lambda *shape: torch.randn(*batch, *shape, generator=g, dtype=torch.float64)  # noqa: E731
    return normal(k, D), normal(D, k)


def flat(W1, W2):
    return torch.cat([W1.flatten(), W2.flatten()])


def hessian(loss, W1, W2):
    shape = W1.shape

    def of_flat(v):
        return loss(v[: W1.numel()].view(shape), v[W1.numel() :].view(shape[1], shape[0]))

    return torch.autograd.functional.hessian(of_flat, flat(W1, W2))


def slopes(loss, W1, W2):
    W1, W2 = W1.clone().requires_grad_(), W2.clone().requires_grad_()
    return torch.autograd.grad(loss(W1, W2).sum(), (W1, W2))


@pytest.mark.parametrize(("D", "k", "seed"), INSTANCES)
def test_moment_form_equals_the_sum_over_samples(D, k, seed):
    g = torch.Generator().manual_seed(seed)
    n = 11
    X = torch.randn(D, n, generator=g, dtype=torch.float64) * torch.arange(1, D + 1)[:, None]
    C = X @ X.T / n
    W1, W2 = weights(D, k, seed)
    direct = (X - W2 @ W1 @ X).square().sum() / n
    torch.testing.assert_close(landscape.reconstruction_loss(W1, W2, C), direct, rtol=1e-12, atol=0)
    lam = torch.linspace(0.3, 2.0, k, dtype=torch.float64)
    penalty = (lam.sqrt()[:, None] * W1).square().sum() + (W2 * lam.sqrt()).square().sum()
    torch.testing.assert_close(landscape.l2_loss(W1, W2, C, lam), direct + penalty, rtol=1e-12, atol=0)
    uniform = 0.7 * (W1.square().sum() + W2.square().sum())
    torch.testing.assert_close(landscape.l2_loss(W1, W2, C, 0.7), direct + uniform, rtol=1e-12, atol=0)
    prior = landscape.nested_dropout_prior("geometric", k, rho=0.6)
    expected = 0
    for b in range(1, k + 1):
        mask = (torch.arange(k) < b).double()
        expected = expected + prior[b - 1] * (X - W2 @ (mask[:, None] * (W1 @ X))).square().sum() / (2 * n)
    torch.testing.assert_close(landscape.nested_dropout_loss(W1, W2, C, prior), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("D", "k", "seed"), INSTANCES)
def test_gradients_equal_autograd_and_batches_equal_their_members(D, k, seed):
    C, _, _, lam = instance(D, k, seed)
    W1, W2 = weights(D, k, seed, 3)
    prior = torch.linspace(1, 2, k, dtype=torch.float64)
    prior = prior / prior.sum()
    for loss, gradients, extra in [
        (landscape.reconstruction_loss, landscape.reconstruction_gradients, ()),
        (landscape.l2_loss, landscape.l2_gradients, (lam,)),
        (landscape.nested_dropout_loss, landscape.nested_dropout_gradients, (prior,)),
    ]:
        value = loss(W1, W2, C, *extra)
        assert value.shape == (3,)
        torch.testing.assert_close(value[1], loss(W1[1], W2[1], C, *extra), rtol=1e-12, atol=0)
        wanted = slopes(lambda a, b, loss=loss, extra=extra: loss(a, b, C, *extra), W1, W2)
        for mine, autograd in zip(gradients(W1, W2, C, *extra), wanted, strict=True):
            torch.testing.assert_close(mine, autograd, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("D", "k", "seed"), INSTANCES)
def test_every_class_is_stationary_with_the_predicted_loss_spectrum_and_index(D, k, seed):
    C, s, U, lam = instance(D, k, seed)
    classes = list(landscape.stationary_classes(s, lam))
    assert len(set(classes)) == len(classes)
    assert len(classes) == class_count([int((s > x).sum()) for x in lam])
    g = torch.Generator().manual_seed(seed)
    chosen = classes if len(classes) < 40 else [classes[int(i)] for i in torch.randperm(len(classes), generator=g)[:30]]
    for assignment in {*chosen, landscape.optimal_assignment(s, lam), (None,) * k}:
        signs = [1 if torch.rand((), generator=g) < 0.5 else -1 for _ in range(k)]
        W1, W2 = landscape.stationary_point(U, s, lam, assignment, signs)
        assert max(x.abs().max() for x in landscape.l2_gradients(W1, W2, C, lam)) < 1e-12 * s[0]
        torch.testing.assert_close(
            landscape.class_loss(s, lam, assignment), landscape.l2_loss(W1, W2, C, lam), rtol=1e-12, atol=1e-12
        )
        exact = torch.linalg.eigvalsh(hessian(lambda a, b: landscape.l2_loss(a, b, C, lam), W1, W2))
        blocks = landscape.class_hessian_eigenvalues(s, lam, assignment)
        torch.testing.assert_close(blocks, exact, rtol=0, atol=1e-11 * exact.abs().max())
        assert landscape.class_index(s, lam, assignment) == int((exact < -1e-9 * exact.abs().max()).sum())


@pytest.mark.parametrize(("D", "k", "seed"), INSTANCES)
def test_exactly_one_class_has_no_way_down_and_it_has_the_least_loss(D, k, seed):
    _, s, _, lam = instance(D, k, seed)
    classes = list(landscape.stationary_classes(s, lam))
    minima = [a for a in classes if landscape.class_index(s, lam, a) == 0]
    assert minima == [tuple(range(k))]
    assert min(classes, key=lambda a: landscape.class_loss(s, lam, a).item()) == tuple(range(k))


def test_the_printed_form_is_stationary_for_the_identity_alone():
    s, lam = torch.tensor([5.0, 3.2, 2.1, 0.7]).double(), torch.tensor([0.2, 0.7, 1.5]).double()
    U = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    C = (U * s) @ U.T
    for permutation in itertools.permutations(range(3)):
        W1, W2 = landscape.printed_stationary_point(U, s, lam, permutation)
        size = flat(*landscape.l2_gradients(W1, W2, C, lam)).norm()
        if permutation == (0, 1, 2):
            assert size < 1e-13
        else:
            assert size > 1.5
        W1, W2 = landscape.stationary_point(U, s, lam, permutation)
        assert flat(*landscape.l2_gradients(W1, W2, C, lam)).norm() < 1e-13


def test_a_pair_in_the_wrong_order_can_still_have_sorted_magnitudes():
    """The proof sketch of Theorem 3 argues by magnitudes: here they descend although the order is wrong."""
    s, lam = torch.tensor([2.0, 1.0, 0.3]).double(), torch.tensor([0.1, 0.9]).double()
    W1, _ = landscape.stationary_point(torch.eye(3), s, lam, (1, 0))
    assert W1[0].norm() > W1[1].norm()
    assert landscape.rotation_curvature(s[[1, 0]], lam)[0, 1] > 0  # rotation does not lead down
    assert landscape.class_index(s, lam, (1, 0)) == 1  # but something does


def test_the_determinant_of_a_pair_block_is_the_one_of_the_proof():
    g = torch.Generator().manual_seed(3)
    s, t = 1 + torch.rand(2, 50, generator=g, dtype=torch.float64) * 4
    lam, mu = torch.rand(2, 50, generator=g, dtype=torch.float64) * torch.stack([s, t])
    wanted = 16 * (lam + mu) ** 2 * (mu - lam) * (s - t)
    found = torch.linalg.det(pair_block(s, t, lam, mu))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_dead_units_are_named_and_the_spectrum_goes_on(seed):
    D, k = 6, 4
    C, s, U, _ = instance(D, k, seed)
    lam = torch.stack([0.1 * s[3], 0.4 * s[3], 1.05 * s[2], 1.3 * s[2]])
    with pytest.warns(UserWarning, match=r"2 of 4 units are dead .* number 3, 4 \(counted from 1\)"):
        values = landscape.l2_hessian_eigenvalues(s, lam, k)
    W1, W2 = landscape.stationary_point(U, s, lam, (0, 1, None, None))
    exact = torch.linalg.eigvalsh(hessian(lambda a, b: landscape.l2_loss(a, b, C, lam), W1, W2))
    torch.testing.assert_close(values, exact, rtol=0, atol=1e-11 * exact.abs().max())
    assert values[0] > 0


def test_head_spectrum_is_part_of_the_whole_and_has_no_zero_modes():
    _, s, _, lam = instance(9, 4, 5)
    whole, head = landscape.l2_hessian_eigenvalues(s, lam, 4), landscape.l2_hessian_eigenvalues(s[:4], lam, 4)
    assert whole.shape == (2 * 9 * 4,)
    assert head.shape == (2 * 4 * 4,)
    assert (whole[:, None] - head).abs().amin(0).max() < 1e-12
    assert whole[0] > 1e-4


@pytest.mark.parametrize(("D", "k", "seed"), INSTANCES[:4])
def test_rayleigh_quotients_of_scaling_and_rotation(D, k, seed):
    C, s, U, lam = instance(D, k, seed)
    W1, W2 = landscape.stationary_point(U, s, lam, tuple(range(k)))
    H = hessian(lambda a, b: landscape.l2_loss(a, b, C, lam), W1, W2)
    quotient = lambda v: v @ H @ v / (v @ v)  # noqa: E731
    for i in range(k):
        E = torch.zeros(k, k, dtype=torch.float64)
        E[i, i] = 1
        found = landscape.scaling_curvature(s, lam)[i]
        torch.testing.assert_close(quotient(flat(E @ W1, W2 @ E)), found, rtol=1e-9, atol=0)
        for j in range(i):
            A = torch.zeros(k, k, dtype=torch.float64)
            A[i, j], A[j, i] = 1, -1
            found = landscape.rotation_curvature(s, lam)[i, j]
            torch.testing.assert_close(quotient(flat(A @ W1, -W2 @ A)), found, rtol=1e-8, atol=1e-10)


def some_spectra(k, seed):
    g = torch.Generator().manual_seed(seed)
    yield torch.arange(k, 0, -1).double()
    yield torch.logspace(1, 0, k, dtype=torch.float64)
    yield 1 + (9 * torch.rand(k, generator=g, dtype=torch.float64)).sort(descending=True).values
    yield torch.cat([torch.linspace(10, 9.5, k - 1), torch.ones(1)]).double()
    yield torch.cat([torch.full((1,), 50.0), torch.linspace(1.2, 1, k - 1)]).double()


@pytest.mark.parametrize("k", [2, 3, 5, 9])
def test_l2_bounds_hold_at_the_best_penalties_and_dominate_the_printed_one(k):
    for s in some_spectra(k, k):
        best = landscape.best_penalties(s)
        assert (best > 0).all()
        assert (best.diff() > 0).all()
        assert best[-1] < s[-1]
        least = landscape.l2_condition_number(s, best)
        assert least <= landscape.l2_condition_number(s, landscape.linear_penalties(s)) * (1 + 1e-9)
        for bound in (
            landscape.l2_bound_quadratic,
            landscape.l2_bound_rotation,
            landscape.l2_bound_gap,
            landscape.l2_bound_near_tie,
        ):
            assert bound(s) <= least
        sharp = landscape.l2_bound_sharp(s)
        assert landscape.l2_bound_printed(s) <= sharp <= least
        assert least < 20 * sharp  # it says something


def test_printed_bound_never_exceeds_the_sharp_one_on_random_spectra():
    g = torch.Generator().manual_seed(7)
    for _ in range(400):
        k = int(torch.randint(2, 40, (), generator=g))
        power = 6 * torch.rand((), generator=g, dtype=torch.float64)
        s = 0.2 + torch.rand(k, generator=g, dtype=torch.float64).pow(power).sort(descending=True).values * 10
        if (s.diff() > -1e-9).any():
            continue
        assert landscape.l2_bound_printed(s) <= landscape.l2_bound_sharp(s)


def test_known_values_of_the_bounds():
    s = torch.tensor([4.0, 3.0, 1.0]).double()
    assert landscape.l2_bound_printed(s).item() == pytest.approx(2 * 2 * 3 * 2 / 4)
    assert landscape.l2_bound_printed(s[:2]).item() == 0
    assert landscape.l2_bound_quadratic(s).item() == pytest.approx(16)
    assert landscape.nested_dropout_bound_printed(s).item() == pytest.approx(8 * 4 * 4 / 3)
    assert landscape.nested_dropout_bound_sharp(s).item() == pytest.approx(8 * 4 * (1 + 1 / 2))


@pytest.mark.parametrize(("D", "k", "seed"), INSTANCES[:4])
@pytest.mark.parametrize("kind", ["geometric", "uniform", "optimal"])
def test_nested_dropout_spectrum_has_k_zero_modes_and_equals_autograd_in_every_gauge(D, k, seed, kind):
    C, s, U, _ = instance(D, k, seed)
    prior = landscape.nested_dropout_prior(kind, k, rho=0.7, s=s[:k], last=0.1)
    gauge = torch.linspace(0.6, -1.7, k, dtype=torch.float64)
    W1, W2 = gauge[:, None] * U[:, :k].T, U[:, :k] / gauge
    assert max(x.abs().max() for x in landscape.nested_dropout_gradients(W1, W2, C, prior)) < 1e-12 * s[0]
    exact = torch.linalg.eigvalsh(hessian(lambda a, b: landscape.nested_dropout_loss(a, b, C, prior), W1, W2))
    off, on = landscape.nested_dropout_hessian_eigenvalues(s, prior, gauge)
    assert off.shape == (2 * D * k - k,)
    assert torch.equal(on, torch.zeros(k).double())
    assert off[0] > 1e-5
    torch.testing.assert_close(torch.cat([on, off]), exact, rtol=0, atol=1e-11 * exact.abs().max())


@pytest.mark.parametrize("k", [2, 3, 6, 12])
def test_nested_dropout_bounds_hold_for_every_prior_off_the_zero_modes(k):
    for s in some_spectra(k, k):
        printed, sharp = landscape.nested_dropout_bound_printed(s), landscape.nested_dropout_bound_sharp(s)
        assert printed <= sharp * (1 + 1e-12)
        for prior in (
            landscape.nested_dropout_prior("uniform", k),
            landscape.nested_dropout_prior("geometric", k),
            landscape.nested_dropout_prior("optimal", k, s=s, last=1e-3),
        ):
            assert landscape.nested_dropout_condition_number(s, prior) >= sharp


def test_priors():
    geometric = landscape.nested_dropout_prior("geometric", 5)
    tails = geometric.flip(0).cumsum(0).flip(0)
    torch.testing.assert_close(tails, 0.9 ** torch.arange(5).double(), rtol=1e-12, atol=0)
    s = torch.tensor([5.0, 4.0, 2.0, 1.5]).double()
    best = landscape.nested_dropout_prior("optimal", 4, s=s)
    assert best[-1] == 0
    torch.testing.assert_close(best[:3] * (s[:3] - s[1:]), (best[0] * 1.0).expand(3), rtol=1e-12, atol=0)
    off, _ = landscape.nested_dropout_hessian_eigenvalues(s, best)  # the limit has its own path
    assert off[0].abs() < 1e-12  # because unit k is never trained
    with pytest.raises(ValueError, match="unit 4 is then never trained"):
        landscape.nested_dropout_loss(torch.ones(4, 6), torch.ones(6, 4), torch.eye(6), best)


@pytest.mark.parametrize(("D", "k"), [(784, 20), (1000, 500)])
def test_memory_and_work_of_a_full_spectrum_grow_like_the_number_of_weights(D, k):
    s = torch.linspace(100, 1, D, dtype=torch.float64)
    lam = landscape.linear_penalties(s, k)
    calls = Allocations()
    with calls:
        values = landscape.l2_hessian_eigenvalues(s, lam, k)
    assert values.shape == (2 * D * k,)
    assert values[0] > 0
    # a few dozen copies of the spectrum; the matrix itself would take 2 D k times its size
    assert calls.largest <= 16 * 2 * D * k * 8 / 2
    assert calls.largest * 20 < (2 * D * k) ** 2 * 8
    # so does the work: no loop over pairs of directions, and not many passes over the spectrum
    assert calls.count < 10 * (D + k)
    assert calls.written < 100 * 2 * D * k * 8


class Allocations(torch.utils._python_dispatch.TorchDispatchMode):
    """Watches the largest tensor that any operation returns, how many operations there are, and the bytes of all."""

    largest = count = written = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.count += 1
        for item in out if isinstance(out, tuple | list) else [out]:
            if isinstance(item, torch.Tensor):
                self.largest = max(self.largest, item.numel() * item.element_size())
                self.written += item.numel() * item.element_size()
        return out


def test_bad_input_gets_one_clear_sentence():
    C, s, U, lam = instance(5, 3, 0)
    W1, W2 = weights(5, 3, 0)
    refused = [
        (lambda: landscape.reconstruction_loss(W1, W2, C[:4]), "C must be a square matrix"),
        (lambda: landscape.reconstruction_loss(W1, W2, C + torch.triu(C)), "C must be symmetric"),
        (lambda: landscape.reconstruction_loss(W1, W2, C * torch.nan), "C must be finite"),
        (lambda: landscape.reconstruction_loss(W1[:, :4], W2, C), r"encoder must have the shape \(..., k, 5\)"),
        (lambda: landscape.reconstruction_loss(W1, W2.T, C), r"decoder must have the shape \(..., 5, 3\)"),
        (lambda: landscape.reconstruction_loss(C, C, C), "below the input width 5, not 5"),
        (lambda: landscape.l2_loss(W1, W2, C, lam[:2]), "one number for each of the 3 units"),
        (lambda: landscape.l2_loss(W1, W2, C, -lam), "penalties must be positive"),
        (
            lambda: spectrum(torch.tensor([3.0, 2, 2, 1]), 3),
            "eigenvalues 2 and 3 are equal .* the axes 2 and 3 are not identifiable, only the plane",
        ),
        (lambda: spectrum(torch.tensor([3.0, 2, 2, 1]), 2), "last of the top 2 axes"),
        (lambda: spectrum(torch.tensor([3.0, 2, 0, 0]), 3), "number 3 is zero"),
        (lambda: spectrum(torch.tensor([3.0, 2, 1]), 4), "between 1 and the 3 eigenvalues given, not 4"),
        (lambda: landscape.stationary_point(U, s, lam, (0, 1, 1)), "units 1 and 2 both carry component 1"),
        (lambda: landscape.stationary_point(U, s, lam, (0, 1, 7)), "None or a component from 0 to 4"),
        (lambda: landscape.stationary_point(U, s, s[:3] + 1, (0, 1, 2)), "unit 0 cannot carry component 0"),
        (lambda: landscape.stationary_point(U[:, :2], s, lam, (0, 1, 2)), "one column for each of the 5"),
        (lambda: landscape.stationary_point(U[:3, :3], s[:3], lam, (0, 1, 2)), "below the input width 3"),
        (lambda: landscape.l2_hessian_eigenvalues(s.flip(0), lam, 3), "descending order"),
        (lambda: landscape.l2_hessian_eigenvalues(s, lam.flip(0), 3), "ascending order"),
        (lambda: landscape.l2_hessian_eigenvalues(s, lam, 4), "one number for each of the 4 units"),
        (lambda: landscape.l2_hessian_eigenvalues(torch.tensor([3.0, 3, 1]), lam[:2] / 10, 2), "not identifiable"),
        (lambda: list(landscape.stationary_classes(s, torch.ones(2))), "penalties must differ"),
        (
            lambda: list(landscape.stationary_classes(torch.arange(40.0, 0, -1), torch.linspace(0.1, 0.9, 8))),
            "200,000 classes",
        ),
        (lambda: landscape.l2_bound_printed(s[:1]), "at least 2 units"),
        (lambda: landscape.nested_dropout_loss(W1, W2, C, torch.tensor([0.5, 0.5])), "each of the 3 units"),
        (lambda: landscape.nested_dropout_loss(W1, W2, C, torch.tensor([0.5, 0.5, 0.5])), "must sum to 1, not 1.5"),
        (
            lambda: landscape.nested_dropout_loss(W1, W2, C, torch.tensor([0.5, 0.0, 0.5])),
            "units 2 and 3 then have the same",
        ),
        (lambda: landscape.nested_dropout_prior("best", 3), "unknown prior 'best'; allowed: geometric"),
        (lambda: landscape.nested_dropout_prior("geometric", 3, rho=1), "rho must lie between"),
        (lambda: landscape.nested_dropout_prior("optimal", 3), "needs the top k eigenvalues"),
    ]
    for call, sentence in refused:
        with pytest.raises(ValueError, match=sentence) as caught:
            call()
        assert str(caught.value).count(". ") == 0


def test_loss_1_and_2_have_the_symmetries_the_paper_says():
    C, _, _, _ = instance(6, 3, 8)
    W1, W2 = weights(6, 3, 8)
    A = torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    O = torch.linalg.qr(A)[0]  # noqa: E741
    loss = reconstruction_loss(W1, W2, C)
    torch.testing.assert_close(reconstruction_loss(A @ W1, W2 @ A.inverse(), C), loss, rtol=1e-10, atol=0)
    uniform = landscape.l2_loss(W1, W2, C, 0.3)
    torch.testing.assert_close(landscape.l2_loss(O @ W1, W2 @ O.T, C, 0.3), uniform, rtol=1e-12, atol=0)
    assert (landscape.l2_loss(A @ W1, W2 @ A.inverse(), C, 0.3) - uniform).abs() > 0.01
    lam = torch.tensor([0.1, 0.3, 0.5]).double()
    assert (landscape.l2_loss(O @ W1, W2 @ O.T, C, lam) - landscape.l2_loss(W1, W2, C, lam)).abs() > 0.01


def test_the_plane_of_figure_1():
    C, s, U, lam = instance(5, 2, 3)
    alpha, theta = torch.meshgrid(torch.linspace(0, 1.4, 5).double(), torch.linspace(0, 3, 6).double(), indexing="ij")
    W1, W2 = landscape.plane_point(U, s, lam, alpha, theta)
    loss = landscape.plane_loss(s, lam, alpha, theta)
    torch.testing.assert_close(loss, landscape.l2_loss(W1, W2, C, lam), rtol=1e-12, atol=0)
    a, t = alpha.clone().requires_grad_(), theta.clone().requires_grad_()
    wanted = torch.autograd.grad(landscape.plane_loss(s, lam, a, t).sum(), (a, t))
    for mine, autograd in zip(landscape.plane_gradient(s, lam, alpha, theta), wanted, strict=True):
        torch.testing.assert_close(mine, autograd, rtol=1e-11, atol=1e-11)
    curvature = torch.autograd.functional.hessian(
        lambda v: landscape.plane_loss(s, lam, v.norm(), torch.atan2(v[1], v[0])), torch.tensor([1.0, 0.0]).double()
    )
    assert abs(curvature[0, 1]) < 1e-10
    torch.testing.assert_close(curvature[0, 0] / curvature[1, 1], landscape.valley_ratio(s, lam), rtol=1e-9, atol=0)
    with pytest.raises(ValueError, match="lambda_1 < lambda_2 < s_2"):
        landscape.plane_loss(s, s[:2] * 2, alpha, theta)


@pytest.mark.parametrize("k", [2, 5, 8])
def test_the_best_prior_beats_the_others_and_respects_the_bound(k):
    for s in some_spectra(k, k):
        best = landscape.best_prior(s)
        least = landscape.nested_dropout_condition_number(s, best)
        assert landscape.nested_dropout_bound_sharp(s) <= least
        for kind in ("uniform", "geometric"):
            other = landscape.nested_dropout_prior(kind, k)
            assert least <= landscape.nested_dropout_condition_number(s, other) * (1 + 1e-9)
