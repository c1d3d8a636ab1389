import math
import warnings

import pytest
import torch

from implicit_rank import data
from implicit_rank.linear import models
from implicit_rank.linear.dropout import MaskNoise
from implicit_rank.linear.operators import BatchMoments, DenseMoments, DiagonalMoments
from implicit_rank.linear.optimisers import OPTIMISERS
from implicit_rank.linear.regularised import (
    MODELS,
    check_penalties,
    check_prior,
    dead_units,
    start_weights,
    train_regularised,
)

N, D, K, M = 40, 11, 4, 3
PRIOR = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
PENALTIES = torch.tensor([0.1, 0.5, 1.1, 1.7], dtype=torch.float64)


def sample_matrix(seed=0, n=N, width=D):
    generator = torch.Generator().manual_seed(seed)
    scales = torch.linspace(2.5, 0.3, width, dtype=torch.float64)
    mixing = torch.randn(width, width, generator=generator, dtype=torch.float64)
    X = torch.randn(n, width, generator=generator, dtype=torch.float64) * scales @ torch.linalg.qr(mixing).Q
    return X - X.mean(dim=0)


def parameters(model, seed=1, members=M, width=D, k=K):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"encoder": (members, k, width), "decoder": (members, width, k)}
    if model == "vae":
        shapes |= {"log_variance": (members, k), "log_noise": (members,)}
    return {name: torch.randn(*shape, generator=generator, dtype=torch.float64) / 2 for name, shape in shapes.items()}


def sample_loss(model, X, parameters, j):
    """The loss of member j from samples, written from the paper's formulas and not from second moments."""
    W1, W2 = parameters["encoder"][j], parameters["decoder"][j]
    codes = X @ W1.T
    error = (X - codes @ W2.T).square().sum() / len(X)
    if model in ("uniform_l2", "nonuniform_l2"):
        return error + (PENALTIES * (W1.square().sum(1) + W2.square().sum(0))).sum()
    if model == "deterministic_nested_dropout":
        kept = [torch.arange(K) <= b for b in range(K)]
        return sum(p * (X - (codes * mask) @ W2.T).square().sum() / len(X) for p, mask in zip(PRIOR, kept, strict=True))
    if model == "vae":
        log_variance, log_noise = parameters["log_variance"][j], parameters["log_noise"][j]
        divergence = (codes.square() + log_variance.exp() - log_variance - 1).sum() / 2 / len(X)
        # E over z of the squared error, by the variance of a linear map of Gaussian noise
        spread = error + torch.trace(W2 @ torch.diag(log_variance.exp()) @ W2.T)
        normaliser = X.shape[1] / 2 * (log_noise + math.log(2 * math.pi))
        return divergence + spread / 2 / log_noise.exp() + normaliser
    return error


def closed_form(model, moments, now):
    if model in ("uniform_l2", "nonuniform_l2"):
        return models.l2(now, moments, PENALTIES.expand(M, K))
    if model == "deterministic_nested_dropout":
        return models.nested_dropout(now, moments, PRIOR.expand(M, K))
    if model == "vae":
        return models.linear_vae(now, moments)
    return models.reconstruction(now, moments)


@pytest.mark.parametrize("model", ["nonuniform_l2", "deterministic_nested_dropout", "vae", "plain"])
@pytest.mark.parametrize("seed", [0, 1])
def test_closed_forms_agree_with_autograd_on_the_samples(model, seed):
    X, now = sample_matrix(seed), parameters(model, seed + 5)
    loss, gradients = closed_form(model, DenseMoments(X.T @ X / N), now)
    leaves = {name: value.clone().requires_grad_() for name, value in now.items()}
    for j in range(M):
        value = sample_loss(model, X, leaves, j)
        slopes = torch.autograd.grad(value, list(leaves.values()))
        assert loss[j].item() == pytest.approx(value.item(), rel=1e-12)
        for name, slope in zip(leaves, slopes, strict=True):
            torch.testing.assert_close(gradients[name][j], slope[j], rtol=1e-10, atol=1e-12)


def test_rag_with_gradient_descent_is_algorithm_1():
    X, now, rate = sample_matrix(2), parameters("rag", 3), 0.02
    _, gradients = models.rotation_augmented(now, DenseMoments(X.T @ X / N))
    moved = {name: value.clone() for name, value in now.items()}
    OPTIMISERS["gd"](rate).update(moved, gradients)
    for j in range(M):
        W1, W2 = (now[name][j].clone().requires_grad_() for name in ("encoder", "decoder"))
        slope1, slope2 = torch.autograd.grad(sample_loss("plain", X, {"encoder": [W1], "decoder": [W2]}, 0), (W1, W2))
        Y = W1.detach() @ X.T
        A = (torch.triu(Y @ Y.T, 1) - torch.tril(Y @ Y.T, -1)) / 2
        eye = torch.eye(K, dtype=torch.float64)
        torch.testing.assert_close(moved["encoder"][j], (eye + rate / N * A) @ W1.detach() - rate * slope1)
        torch.testing.assert_close(moved["decoder"][j], W2.detach() @ (eye - rate / N * A) - rate * slope2)


def test_mini_batch_of_everything_is_the_full_batch():
    X, now = sample_matrix(4), parameters("rag", 2)
    whole = models.reconstruction(now, DenseMoments(X.T @ X / N))
    batch = models.reconstruction(now, BatchMoments(X, N))
    torch.testing.assert_close(whole[0], batch[0])
    torch.testing.assert_close(whole[1]["encoder"], batch[1]["encoder"])


def test_mini_batches_visit_every_sample_before_they_repeat():
    X = torch.arange(12, dtype=torch.float64).view(12, 1)
    batches = BatchMoments(X, 4, seed=1)
    seen = []
    for _ in range(3):
        seen += batches.current.flatten().tolist()
        batches.draw()
    assert sorted(seen) == list(range(12))
    with pytest.raises(ValueError, match="between 1 and 12"):
        BatchMoments(X, 13)


def direct_masked_gradients(X, W1, W2, masks):
    """Gradients of the mean over samples of ||x - W2 (mask * W1 x)||^2 by autograd."""
    W1, W2 = W1.clone().requires_grad_(), W2.clone().requires_grad_()
    loss = (X - (masks * (X @ W1.T)) @ W2.T).square().sum() / len(X)
    return torch.autograd.grad(loss, (W1, W2))


@pytest.mark.parametrize("minibatch", [False, True])
def test_mask_noise_on_all_samples_gives_the_masked_gradient_itself(minibatch):
    X, now = sample_matrix(6), parameters("nested", 7)
    rows = BatchMoments(X, 16 if minibatch else N, seed=3)
    noise = MaskNoise(X, PRIOR.expand(M, K), (0, 1, 2), source=rows if minibatch else None)
    if not minibatch:
        rows = noise.rows
    drawn = noise.masks()
    noise.masks = lambda: drawn
    current = rows.current
    _, gradients = models.nested_dropout(now, DenseMoments(current.T @ current / len(current)), PRIOR.expand(M, K))
    noise.add(now, gradients)
    for j in range(M):
        slope1, slope2 = direct_masked_gradients(current, now["encoder"][j], now["decoder"][j], drawn[j].T)
        torch.testing.assert_close(gradients["encoder"][j], slope1)
        torch.testing.assert_close(gradients["decoder"][j], slope2)


def test_masks_follow_the_prior():
    noise = MaskNoise(sample_matrix(0, n=20_000, width=2), PRIOR.expand(2, K), (0, 1))
    masks = noise.masks()
    tails = PRIOR.flip(0).cumsum(0).flip(0)
    assert masks.shape == (2, K, 20_000)
    assert (masks.diff(dim=1) <= 0).all()  # a unit is never kept when an earlier one is dropped
    torch.testing.assert_close(masks.mean(dim=2), tails.expand(2, K), atol=0.015, rtol=0)
    assert not torch.equal(masks[0], masks[1])


def test_shrunk_noise_has_mean_zero_and_the_full_batch_covariance():
    X, now = sample_matrix(8), parameters("nested", 9, members=1)
    zero = {name: torch.zeros_like(value) for name, value in now.items()}
    spreads = {}
    for batch in (None, 10):
        noise = MaskNoise(X, PRIOR.expand(1, K), (5,), batch)
        draws = []
        for _ in range(3000):
            gradients = {name: value.clone() for name, value in zero.items()}
            noise.add(now, gradients)
            draws.append(torch.cat([gradients["encoder"].flatten(), gradients["decoder"].flatten()]))
        draws = torch.stack(draws)
        spreads[batch] = draws.var(dim=0)
        assert (draws.mean(dim=0).abs() < 5 * (spreads[batch] / 3000).sqrt() + 1e-12).all()
    ratio = spreads[10].sum() / spreads[None].sum()
    assert ratio.item() == pytest.approx(1, abs=0.06)


@pytest.fixture(scope="module")
def moments():
    return data.moments_of("generic", sample_matrix(0), "made for the tests.")


OPTIONS = {
    "uniform_l2": {"penalties": torch.full((K,), 0.1, dtype=torch.float64)},
    "nonuniform_l2": {"penalties": PENALTIES},
    "rag": {},
    "nested_dropout": {"prior": PRIOR, "samples": sample_matrix(0)},
    "deterministic_nested_dropout": {"prior": PRIOR},
    "vae": {},
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("optimiser", ["gd", "nesterov"])
def test_the_eigenbasis_gives_the_same_run(model, optimiser, moments):
    common = dict(lr=[0.004, 0.002], steps=60, record_at=range(0, 61, 20), seeds=(0, 1), start=0.1, **OPTIONS[model])
    plain = train_regularised(moments, model, optimiser, K, eigenbasis=False, **common)
    quick = train_regularised(moments, model, optimiser, K, eigenbasis=True, **common)
    torch.testing.assert_close(plain.decoder, quick.decoder, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(plain.encoder, quick.encoder, rtol=1e-8, atol=1e-10)
    for name, series in plain.descent.series.items():
        torch.testing.assert_close(series, quick.descent.series[name], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_members_do_not_influence_each_other(model, moments):
    common = dict(steps=40, record_at=[40], start=0.1, **OPTIONS[model])
    both = train_regularised(moments, model, "adam", K, lr=[0.02, 0.005], seeds=(3, 4), **common)
    alone = train_regularised(moments, model, "adam", K, lr=0.005, seeds=(4,), **common)
    torch.testing.assert_close(both.decoder[1], alone.decoder[0], rtol=1e-9, atol=1e-12)


RATES = {
    "nonuniform_l2": ("nesterov", 0.05),
    "rag": ("gd", 0.03),  # momentum unbalances the weights and leaves RAG a floor of misalignment
    "deterministic_nested_dropout": ("nesterov", 0.02),
}


@pytest.mark.parametrize("model", list(RATES))
def test_ordered_axes_are_found(model, moments):
    trained = train_regularised(
        moments,
        model,
        RATES[model][0],
        K,
        lr=RATES[model][1],
        steps=6000,
        record_at=[6000],
        seeds=(0, 1),
        **OPTIONS[model],
    )
    assert (trained.descent.series["d_align_ordered"][:, -1] < 0.01).all()
    assert (trained.descent.series["d_sub"][:, -1] < 1e-6).all()


def test_float32_runs_keep_distances_in_float64(moments):
    trained = train_regularised(
        moments, "rag", "nesterov", K, lr=0.02, steps=2000, record_at=[2000], dtype=torch.float32
    )
    assert trained.descent.series["d_sub"].dtype == torch.float64
    assert 0 <= trained.descent.series["d_sub"][0, -1] < 1e-8


def test_snapshots_and_early_stop(moments):
    trained = train_regularised(
        moments,
        "rag",
        "nesterov",
        K,
        lr=0.02,
        steps=5000,
        record_at=range(0, 5001, 50),
        snapshots_at=(0, 20),
        stop_at=0.3,
    )
    assert sorted(trained.snapshots) == [0, 20]
    assert trained.snapshots[20].shape == (1, D, K)
    assert trained.descent.steps[-1] < 5000
    assert trained.descent.series["d_align"][0, -1] <= 0.3 < trained.descent.series["d_align"][0, -2]


def test_a_member_that_diverges_is_stopped_with_a_reason(moments):
    trained = train_regularised(
        moments,
        "uniform_l2",
        "gd",
        K,
        lr=[0.02, 3.0],
        steps=300,
        record_at=[0, 300],
        seeds=(0, 0),
        start=0.1,
        penalties=OPTIONS["uniform_l2"]["penalties"],
    )
    assert trained.descent.stopped[0] is None
    assert "diverged" in trained.descent.stopped[1]
    assert trained.descent.series["d_sub"][0, -1] < 0.01
    assert trained.descent.series["d_sub"][1, -1].isnan()


def test_bad_input_is_refused_in_a_sentence(moments):
    run = {"lr": 0.01, "steps": 5, "record_at": [5]}
    cases = [
        (("ridge", "gd", K), {}, "unknown model 'ridge'; allowed: uniform_l2"),
        (("rag", "sgd", K), {}, "unknown optimiser 'sgd'; allowed: gd, nesterov, adam"),
        (("rag", "gd", D), {}, "k must lie between 1 and 10"),
        (("rag", "adam", K), {"eigenbasis": True}, "Adam's step depends on the basis"),
        (("nested_dropout", "gd", K), {"prior": PRIOR}, "stochastic nested dropout needs samples"),
        (("rag", "gd", K), {"batch": 4}, "mini-batches need samples"),
        (("rag", "gd", K), {"batch": 4, "samples": torch.zeros(5, 3)}, r"samples must be \(n, 11\)"),
        (("nonuniform_l2", "gd", K), {}, "needs penalties"),
        (("nonuniform_l2", "gd", K), {"penalties": PENALTIES[:3]}, "one number for each of the 4 units"),
        (("nonuniform_l2", "gd", K), {"penalties": -PENALTIES}, "positive and finite"),
        (("deterministic_nested_dropout", "gd", K), {}, "needs a prior"),
        (("deterministic_nested_dropout", "gd", K), {"prior": PRIOR[:2]}, "one probability for each"),
        (("deterministic_nested_dropout", "gd", K), {"prior": PRIOR * 2}, "must sum to 1, not 2"),
        (("rag", "gd", K), {"seeds": ()}, "at least one seed"),
    ]
    for arguments, options, message in cases:
        with pytest.raises(ValueError, match=message):
            train_regularised(moments, *arguments, **{**run, **options})
    with pytest.raises(ValueError, match="must be positive"):
        check_prior(torch.tensor([0.5, 0.0, 0.5]), 3)


def test_penalties_that_kill_units_warn_and_name_them():
    s = torch.tensor([3.0, 2.0, 1.0, 0.5])
    assert dead_units(torch.tensor([0.1, 2.0, 0.2, 0.6]), s) == [2, 4]
    with pytest.warns(UserWarning, match=r"2 of 4 units \(units 2, 4\)"):
        check_penalties(torch.tensor([0.1, 2.0, 0.2, 0.6]), 4, s)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_penalties(torch.tensor([0.1, 0.2, 0.3, 0.4]), 4, s)


def test_repeated_eigenvalues_warn_what_cannot_be_identified():
    C = torch.diag(torch.tensor([3.0, 2.0, 2.0, 1.0, 0.5], dtype=torch.float64))
    twins = data.decompose("twins", C, torch.zeros(5), 10, "made for the tests.")
    with pytest.warns(UserWarning, match="eigenvalues 2 and 3 of twins are equal"):
        train_regularised(twins, "rag", "gd", 3, lr=0.01, steps=3, record_at=[3])


def test_starting_weights_depend_on_their_seed_alone():
    W1, W2 = start_weights(3, 5, (4, 9), 1e-2)
    again = start_weights(3, 5, (9,), 1e-2)
    assert torch.equal(W1[1], again[0][0])
    assert torch.equal(W2[1], again[1][0])
    assert not torch.equal(W1[0], W2[0].T)


def test_diagonal_and_dense_operators_agree():
    X = sample_matrix(1)
    C = X.T @ X / N
    eigenvalues, U = torch.linalg.eigh(C)
    rows = parameters("rag")["encoder"]
    torch.testing.assert_close(DenseMoments(C).times(rows) @ U, DiagonalMoments(eigenvalues).times(rows @ U))


def test_given_starting_weights_are_used_and_left_alone(moments):
    start = start_weights(K, D, (5,), 0.2)
    kept = [W.clone() for W in start]
    common = {"lr": 0.01, "steps": 4, "record_at": [4], "eigenbasis": False}
    given = train_regularised(moments, "rag", "gd", K, start=start, seeds=(0,), **common)
    drawn = train_regularised(moments, "rag", "gd", K, start=0.2, seeds=(5,), **common)
    assert all(torch.equal(W, old) for W, old in zip(start, kept, strict=True))
    torch.testing.assert_close(given.decoder, drawn.decoder)
