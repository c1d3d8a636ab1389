"""Ranks and spectra: known answers, NumPy's covariance, and inputs that must be refused."""

import inspect

import numpy as np
import pytest
import torch

from implicit_rank.spectra import covariance_spectrum, effective_rank, numerical_rank, singular_values


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 7, 3)])
def test_singular_values_are_those_of_numpy(shape):
    matrix = normal(*shape)
    expected = np.linalg.svd(matrix.numpy(), compute_uv=False)
    np.testing.assert_allclose(singular_values(matrix).numpy(), expected, rtol=1e-12)


def test_singular_values_are_float64_and_off_the_graph():
    values = singular_values(normal(4, 3).float().requires_grad_())
    assert values.dtype == torch.float64
    assert not values.requires_grad


def test_a_matrix_with_nan_gives_nan_and_leaves_its_neighbours_alone():
    matrices = normal(3, 4, 5)
    expected = singular_values(matrices)
    matrices[1, 2, 3] = torch.inf
    values = singular_values(matrices)
    assert values[1].isnan().all()
    torch.testing.assert_close(values[[0, 2]], expected[[0, 2]], rtol=0, atol=0)


def test_the_promised_signature():
    parameters = inspect.signature(numerical_rank).parameters
    assert list(parameters) == ["singular_values", "threshold"]
    assert parameters["threshold"].default == 0.01


@pytest.mark.parametrize(
    ("values", "threshold", "rank"),
    [
        ([4.0, 3.0, 0.05, 0.03], 0.01, 3),
        ([0.03, 4.0, 0.05, 3.0], 0.01, 3),  # order does not matter
        ([4.0, 2.0, 1.0], 0.25, 2),  # a value at the threshold itself does not count
        ([4.0, 2.0, 1.0 + 1e-15], 0.25, 3),
        ([4e-200, 2e-200, 1e-200], 0.3, 2),  # relative, so tiny spectra have ranks as well
        ([3.0, 1e-30, 0.0], 0.0, 2),
        ([0.0, 0.0], 0.01, 0),
        ([7.0], 0.99, 1),
    ],
)
def test_numerical_rank_known_answers(values, threshold, rank):
    found = numerical_rank(torch.tensor(values, dtype=torch.float64), threshold)
    assert found.shape == ()
    assert not found.is_floating_point()
    assert int(found) == rank


def test_numerical_rank_has_a_threshold_of_one_hundredth():
    assert int(numerical_rank(torch.tensor([100.0, 1.01, 0.99]))) == 2


def test_numerical_rank_of_a_batch_is_that_of_its_members():
    batch = torch.stack([torch.tensor([1.0, 0.5, 0.1]), torch.zeros(3), torch.tensor([9.0, 9.0, 9.0])]).repeat(2, 1, 1)
    assert numerical_rank(batch, 0.2).tolist() == [[2, 0, 3]] * 2


def test_numerical_rank_of_a_made_up_low_rank_matrix():
    for seed in range(3):
        matrix = normal(12, 4, seed=seed) @ normal(4, 9, seed=seed + 10)
        assert int(numerical_rank(singular_values(matrix), 1e-10)) == 4
        assert int(numerical_rank(singular_values(matrix + 1e-3 * normal(12, 9, seed=seed)), 1e-10)) == 9


@pytest.mark.parametrize("bad", [[1.0, torch.nan], [torch.inf, 1.0], [1.0, -1e-9]])
def test_numerical_rank_refuses_what_is_no_spectrum(bad):
    with pytest.raises(ValueError, match="finite and not negative"):
        numerical_rank(torch.tensor(bad))


@pytest.mark.parametrize("bad", [torch.zeros(0), torch.zeros(3, 0), torch.tensor(1.0)])
def test_numerical_rank_refuses_nothing_at_all(bad):
    with pytest.raises(ValueError, match="at least one value"):
        numerical_rank(bad)


@pytest.mark.parametrize("threshold", [-0.01, 1.0, 1.5, float("nan"), float("inf")])
def test_numerical_rank_refuses_a_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match=r"threshold must lie in \[0, 1\)"):
        numerical_rank(torch.ones(2), threshold)


@pytest.mark.parametrize(("n", "d"), [(40, 6), (5, 9)])
def test_covariance_spectrum_is_that_of_numpys_covariance(n, d):
    codes = normal(n, d) @ normal(d, d, seed=1) + 20  # far from centred
    expected = np.linalg.svd(np.cov(codes.numpy(), rowvar=False), compute_uv=False)
    found = covariance_spectrum(codes).numpy()
    assert found.shape == (min(n, d),)
    np.testing.assert_allclose(found, expected[: min(n, d)], rtol=1e-9, atol=1e-9 * expected[0])
    np.testing.assert_allclose(expected[min(n, d) :], 0, atol=1e-9 * expected[0])


def test_covariance_spectrum_of_a_batch_and_of_float32():
    codes = normal(2, 3, 10, 4).float()
    found = covariance_spectrum(codes)
    assert found.shape == (2, 3, 4)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found[1, 2], covariance_spectrum(codes[1, 2]), rtol=1e-12, atol=0)


@pytest.mark.parametrize("codes", [torch.ones(1, 4), torch.ones(4)])
def test_covariance_spectrum_refuses_less_than_two_samples(codes):
    with pytest.raises(ValueError, match="at least two samples"):
        covariance_spectrum(codes)


def test_a_threshold_on_the_covariance_is_its_root_on_the_centred_codes():
    differs = False
    for seed in range(4):
        codes = normal(30, 8, seed=seed) * torch.logspace(0, -3, 8, dtype=torch.float64)
        spectrum, centred = covariance_spectrum(codes), singular_values(codes - codes.mean(dim=0))
        for threshold in (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4):
            rank = numerical_rank(spectrum, threshold)
            assert rank == numerical_rank(centred, threshold**0.5)
            differs |= bool(rank != numerical_rank(centred, threshold))
    assert differs  # one threshold on both would be another rank


@pytest.mark.parametrize(
    ("values", "rank"),
    [([2.0, 2.0, 2.0, 2.0], 4), ([5.0, 0.0, 0.0], 1), ([2.0, 1.0, 1.0], 2**1.5), ([1.0, 1.0, 0.0], 2)],
)
def test_effective_rank_known_answers(values, rank):
    values = torch.tensor(values, dtype=torch.float64)
    assert effective_rank(values).item() == pytest.approx(rank, rel=1e-14)
    assert effective_rank(1e-6 * values).item() == pytest.approx(rank, rel=1e-12)
    assert effective_rank(values.repeat(2, 3, 1)).shape == (2, 3)


def test_effective_rank_of_nothing_is_nan():
    assert effective_rank(torch.zeros(3)).isnan()


@pytest.mark.parametrize("rank", [numerical_rank, effective_rank])
def test_a_matrix_is_not_taken_for_spectra(rank):
    codes = normal(20, 4)
    with pytest.raises(ValueError, match="singular_values must be finite and not negative"):
        rank(codes)
    with pytest.raises(ValueError, match=r"must be spectra \(..., k\), each descending, and not a matrix"):
        rank(codes.abs())
    with pytest.raises(ValueError, match="at least one value along its last axis"):
        rank(torch.zeros(3, 0))
    assert rank(singular_values(torch.stack([codes, codes.abs()]))).shape == (2,)


def test_numpys_arrays_are_taken_as_they_are():
    codes = normal(20, 4)
    for function in (singular_values, covariance_spectrum):
        assert torch.equal(function(codes.numpy()), function(codes))
    values = singular_values(codes)
    assert int(numerical_rank(values.numpy(), np.float64(0.5))) == int(numerical_rank(values, 0.5))
    assert effective_rank(values.numpy()) == effective_rank(values)
    with pytest.raises(ValueError, match=r"matrix must be \(..., a, b\)"):
        singular_values(values)
