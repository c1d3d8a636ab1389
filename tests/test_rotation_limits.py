"""Theorem 5 at finite distance, the end foretold from the start, and the rivals' local rates, on generic inputs."""

import math

import pytest
import torch

from implicit_rank.theory import rotation
from implicit_rank.theory.landscape import reconstruction_gradients

# off-diagonal 12, 13, 23 of the instance on which Theorem 5 fails with any rate
RISING = (5e-4, 4e-3, 5e-3)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + 900), dtype=torch.float64)


def with_entries(diagonal, entries):
    M = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    i, j = torch.triu_indices(len(diagonal), len(diagonal), 1)
    M[i, j] = M[j, i] = torch.as_tensor(entries, dtype=torch.float64)
    return M


def random_moments(count, k, seed):
    """Draw symmetric matrices with a descending diagonal, gaps from 1e-7 to 1 and off-diagonals of every size."""
    g = torch.Generator().manual_seed(seed)
    gaps = 10 ** (-7 * torch.rand(count, k, generator=g, dtype=torch.float64))
    M = torch.diag_embed(gaps.flip(-1).cumsum(-1).flip(-1))
    off = torch.randn(count, k, k, generator=g, dtype=torch.float64).triu(1)
    off *= 10 ** (-7 * torch.rand(count, k, k, generator=g, dtype=torch.float64))
    off *= torch.rand(count, k, k, generator=g) < 0.8
    return M + off + off.mT


@pytest.mark.parametrize("k", [2, 3, 4, 5, 8])
def test_the_bound_holds_on_20000_matrices_with_near_ties(k):
    M = random_moments(4000, k, k)
    rate, bound = rotation.non_diagonality_rate(M), rotation.non_diagonality_rate_bound(M)
    Nd, gap = rotation.non_diagonality(M), rotation.smallest_gap(M)
    assert (rate <= bound + 1e-13 * Nd * (Nd + gap)).all()
    assert (Nd > 2 * gap).any()  # near ties are among them
    assert (Nd < 2 * gap).any() or k == 8
    if k == 2:  # one entry: no product of two
        torch.testing.assert_close(rate, -gap * Nd / 2)


@pytest.mark.parametrize("k", [3, 6, 40])
def test_no_smaller_multiple_of_the_square_would_do(k):
    """At a near tie, all equal entries in the first row: the share (k - 2) / (k - 1) of the bound is reached."""
    M = torch.diag(1e-9 * torch.arange(k, 0, -1).double())
    M[0, 1:] = M[1:, 0] = 1.0
    share = rotation.non_diagonality_rate(M) / rotation.non_diagonality_rate_bound(M)
    assert share.item() == pytest.approx((k - 2) / (k - 1), rel=1e-6)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_the_rate_is_the_flows(k):
    M = normal(k, k, seed=k)
    M = M + M.T + 3 * torch.diag(torch.arange(k, 0, -1).double())
    before, after = (rotation.non_diagonality(rotation.toda_flow(M, t)) for t in (-1e-5, 1e-5))
    assert rotation.non_diagonality_rate(M).item() == pytest.approx(
        ((after - before) / 2e-5).item(), rel=1e-5, abs=1e-9
    )


def test_small_entries_keep_their_digits():
    M = with_entries([3.0, 2.0, 1.0], [1e-14, 2e-14, 3e-14])
    assert rotation.non_diagonality(M).item() == pytest.approx(1.2e-13, rel=1e-12)
    near_tie = with_entries([1.0, 1 - 1e-7], [1e-9])
    gap = rotation.smallest_gap(near_tie).item()
    assert rotation.non_diagonality_rate(near_tie).item() == pytest.approx(-gap * 1e-9, rel=1e-12)


def test_an_entry_that_is_zero_may_rise():
    M = with_entries([3.0, 2.0, 1.0], [0.0, 0.1, 0.2])
    assert rotation.non_diagonality_rate(M).item() == pytest.approx(2 * (0.1 * 0.2 - 0.1 - 0.1))


def test_non_diagonality_rises_on_an_instance_that_keeps_every_assumption():
    M = with_entries([1.0, 1 - 1e-5, 1 - 2e-5], RISING)
    dominance = (M.abs().sum(1) - M.diagonal()) / M.diagonal()
    assert dominance.max() < 0.0091
    assert (M.diagonal().diff() < 0).all()
    assert torch.linalg.eigvalsh(M).min() > 0
    path = rotation.non_diagonality(rotation.toda_flow(M, torch.linspace(0, 200, 400)))
    assert path[0].item() == pytest.approx(0.0190)
    assert path.max().item() == pytest.approx(0.0199, abs=5e-5)
    assert 0 < rotation.non_diagonality_rate(M) < rotation.non_diagonality_rate_bound(M)
    # the order of the three matters: the other way round it falls
    assert rotation.non_diagonality_rate(with_entries([1.0, 1 - 1e-5, 1 - 2e-5], RISING[::-1])) < 0


def haar(count, k, seed):
    Q, R = torch.linalg.qr(normal(count, k, k, seed=seed))
    return Q * R.diagonal(dim1=1, dim2=2).sign().unsqueeze(1)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_expected_misalignment_is_the_mean_over_rotations(k):
    s = 5 * 0.7 ** torch.arange(k, dtype=torch.float64)
    B0 = normal(k, k, seed=k)
    B0 = (B0 + B0.T) / 20 + 0.02 * torch.eye(k).double()
    O = haar(40_000, k, k)  # noqa: E741
    turned = O @ B0 @ O.mT
    drawn = rotation.misalignment((turned + turned.mT) / 2, s)
    expected = rotation.expected_misalignment(s, B0)
    assert abs(drawn.mean() - expected) < 4 * drawn.std() / 200
    assert drawn.std() / 200 < 0.02 * expected  # the test tells 8 % apart
    torch.testing.assert_close(
        rotation.expected_misalignment(s, torch.stack([B0, 2 * B0])), expected * torch.tensor([1, 4])
    )
    torch.testing.assert_close(rotation.expected_misalignment(s, torch.eye(k) * 3.0), torch.tensor(0.0).double())


def test_expected_misalignment_of_gaussian_starts():
    s, D, size = torch.tensor([5.0, 4.1, 2.0, 1.2]).double(), 30, 0.05
    W1, W2 = size * normal(4000, 4, D), size * normal(4000, D, 4, seed=1)
    B = rotation.imbalance(W1, W2)
    wanted = rotation.expected_gaussian_misalignment(s, D, size)
    assert rotation.expected_misalignment(s, B).mean().item() == pytest.approx(wanted, rel=0.05)
    assert rotation.misalignment(B, s).mean().item() == pytest.approx(wanted, rel=0.05)


def gha(W, C, k):
    return W @ C - (W @ C @ W.T).tril() @ W


def weighted_oja(W, C, k):
    return W @ C - rotation.oja_weights(k)[:, None] * (W @ C @ W.T @ W)


def eigengame(W, C, k):
    V = W / W.norm(dim=1, keepdim=True)
    M = V @ C @ V.T
    slope = 2 * (V @ C - (M / M.diagonal()).tril(-1) @ V @ C)
    return slope - (slope * V).sum(1, keepdim=True) * V


@pytest.mark.parametrize(("D", "k", "seed"), [(5, 2, 0), (7, 4, 1), (9, 5, 2)])
@pytest.mark.parametrize(
    ("field", "rates"),
    [
        (gha, rotation.gha_decay_rates),
        (weighted_oja, rotation.weighted_oja_decay_rates),
        (eigengame, rotation.eigengame_decay_rates),
    ],
)
def test_the_rivals_rates_are_the_jacobians(field, rates, D, k, seed):
    g = torch.Generator().manual_seed(seed)
    s = 0.2 + torch.cumsum(0.3 + torch.rand(D, generator=g, dtype=torch.float64), 0).flip(0)
    C, axes = torch.diag(s), torch.eye(D, dtype=torch.float64)[:k]
    axes = axes / rotation.oja_weights(k).sqrt()[:, None] if field is weighted_oja else axes
    assert field(axes, C, k).abs().max() < 1e-12
    slope = torch.autograd.functional.jacobian(lambda w: field(w.view(k, D), C, k).flatten(), axes.flatten().clone())
    found = torch.linalg.eigvals(-slope)
    assert found.imag.abs().max() < 1e-9
    found = found.real.sort().values
    if field is eigengame:  # of the k lengths nothing moves
        found = found[k:]
    torch.testing.assert_close(rates(s, k), found, rtol=0, atol=1e-9)
    assert (rates(s, k) > 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_ghas_extra_term_changes_the_loss_and_rags_does_not(seed):
    D, k = 7, 4
    X = normal(D, 20, seed=seed)
    C, W = X @ X.T / 20, normal(k, D, seed=seed) / 2
    encoder, decoder = reconstruction_gradients(W, W.T, C)
    extra = rotation.gha_extra(W, C)
    rate = (encoder * extra).sum() + (decoder * extra.T).sum()
    torch.testing.assert_close(rotation.gha_loss_rate(W, C), rate)
    assert rate.abs() > 1e-3
    turn = rotation.rotation_generator(rotation.code_moments(W, C)) @ W
    assert ((encoder * turn).sum() + (decoder * turn.T).sum()).abs() < 1e-12 * rate.abs() + 1e-12
    # GHA is half a decoder gradient and this term
    torch.testing.assert_close(rotation.gha_step(W, C, 0.01), W + 0.01 * (extra - decoder.T / 2))


def test_bad_input_gets_one_clear_sentence():
    s = torch.tensor([3.0, 2.0, 1.0]).double()
    refused = [
        (lambda: rotation.non_diagonality_rate_bound(torch.diag(s.flip(0))), "must descend strictly"),
        (lambda: rotation.non_diagonality_rate_bound(normal(3, 3)), "M must be symmetric"),
        (lambda: rotation.expected_misalignment(s, torch.eye(2)), "B0 must have a row for each"),
        (lambda: rotation.expected_misalignment(s[:1], torch.eye(1)), "two or more eigenvalues"),
        (lambda: rotation.expected_misalignment(s, torch.eye(3) * math.nan), "M must be finite"),
        (lambda: rotation.expected_gaussian_misalignment(s[:1], 4, 0.1), "two or more eigenvalues"),
        (lambda: rotation.gha_decay_rates(s, 4), "k must lie between 1 and the 3 eigenvalues"),
    ]
    for call, sentence in refused:
        with pytest.raises(ValueError, match=sentence):
            call()
