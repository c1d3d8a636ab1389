"""Fréchet distances against known answers and pytorch-fid's, singular covariances included."""

import warnings

import numpy as np
import pytest
import torch

from implicit_rank.evaluate import FeatureStatistics, feature_statistics, frechet_distance


def g(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(mu, sigma, n=100):
    return FeatureStatistics(torch.as_tensor(mu).double(), torch.as_tensor(sigma).double(), n)


def random_statistics(d, seed, rank=None):
    root = torch.randn(d, rank or d, generator=g(seed), dtype=torch.float64)
    return gaussian(torch.randn(d, generator=g(seed + 100), dtype=torch.float64), root @ root.T / d)


def test_known_answers():
    eye = torch.eye(4)
    shift = torch.tensor([3.0, 0, 4, 0])
    assert frechet_distance(gaussian(torch.zeros(4), eye), gaussian(shift, eye)) == pytest.approx(25)
    # commuting covariances: sum over (sqrt a - sqrt b)^2
    a, b = torch.tensor([1.0, 4, 9, 0]), torch.tensor([16.0, 4, 0, 25])
    zero = torch.zeros(4)
    found = frechet_distance(gaussian(zero, a.diag()), gaussian(zero, b.diag()))
    assert found == pytest.approx(9 + 0 + 9 + 25)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pytorch_fids_formula_where_it_is_well_conditioned(seed):
    from pytorch_fid.fid_score import calculate_frechet_distance

    a, b = random_statistics(12, seed), random_statistics(12, seed + 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # SciPy's, of sqrtm(disp=...)
        published = calculate_frechet_distance(*(x.numpy() for s in (a, b) for x in (s.mu, s.sigma)))
    assert frechet_distance(a, b) == pytest.approx(published, rel=1e-8)
    assert frechet_distance(b, a) == pytest.approx(published, rel=1e-8)


@pytest.mark.parametrize("rank", [1, 5, 20])
def test_singular_covariances_need_no_offset(rank):
    a, b = random_statistics(20, 3, rank), random_statistics(20, 4, rank)
    assert frechet_distance(a, a) < 1e-12 * float(a.sigma.trace())
    # the limit of full-rank covariances
    nearly = [gaussian(s.mu, s.sigma + 1e-12 * torch.eye(20)) for s in (a, b)]
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(*nearly), rel=1e-4)
    # a rotation of both changes nothing
    Q = torch.linalg.qr(torch.randn(20, 20, generator=g(7), dtype=torch.float64))[0]
    turned = [gaussian(Q @ s.mu, Q @ s.sigma @ Q.T) for s in (a, b)]
    turned = [gaussian(s.mu, (s.sigma + s.sigma.T) / 2) for s in turned]
    assert frechet_distance(*turned) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_gaussians_on_orthogonal_subspaces():
    a = gaussian(torch.zeros(6), torch.tensor([2.0, 3, 0, 0, 0, 0]).diag())
    b = gaussian(torch.zeros(6), torch.tensor([0.0, 0, 0, 5, 0, 1]).diag())
    assert frechet_distance(a, b) == pytest.approx(11)  # both traces, nothing in common
    nothing = gaussian(torch.zeros(6), torch.zeros(6, 6))
    assert frechet_distance(a, nothing) == pytest.approx(5)
    assert frechet_distance(nothing, nothing) == 0


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_statistics_are_numpys_whole_or_in_batches(offset):
    x = torch.randn(57, 5, generator=g(1), dtype=torch.float64) * torch.tensor([1, 2, 3, 0, 0.1]) + offset
    for given in (x, iter(x.split(10))):
        found = feature_statistics(given)
        assert found.n == 57
        assert np.allclose(found.mu, x.mean(0), rtol=1e-14)
        assert np.allclose(found.sigma, np.cov(x.T.numpy()), rtol=0, atol=1e-8)


def test_more_features_than_samples():
    x = torch.randn(8, 30, generator=g(2), dtype=torch.float64)
    found = frechet_distance(feature_statistics(x), feature_statistics(x + 2))
    assert found == pytest.approx(4 * 30, rel=1e-10)


def test_bad_input_is_one_sentence():
    good = random_statistics(3, 0)
    for bad, sentence in (
        (random_statistics(4, 0), "the same width, not 4 and 3"),
        (gaussian(torch.full((3,), torch.nan), torch.eye(3)), "mu must be finite"),
        (gaussian(torch.zeros(3), torch.full((3, 3), torch.inf)), "sigma must be finite"),
        (gaussian(torch.zeros(3), torch.triu(torch.ones(3, 3))), "symmetric"),
        (gaussian(torch.zeros(3), torch.ones(3)), r"sigma \(d, d\)"),
    ):
        with pytest.raises(ValueError, match=sentence):
            frechet_distance(bad, good)
    with pytest.raises(ValueError, match="at least two feature vectors, not 1"):
        feature_statistics(torch.ones(1, 3))
    with pytest.raises(ValueError, match="at least two feature vectors, not 0"):
        feature_statistics([])
    with pytest.raises(ValueError, match="features must be finite"):
        feature_statistics(torch.full((3, 3), torch.nan))
    with pytest.raises(ValueError, match=r"features must be \(n, d\)"):
        feature_statistics(torch.ones(3, 3, 3))
