"""Samplers: they return the moments they were given, and stay in the subspace that the codes fill."""

import pytest
import torch

from implicit_rank.evaluate import fit_gaussian, fit_mixture

D = 9


def g(seed=0):
    return torch.Generator().manual_seed(seed)


def low_rank_codes(rank, n=600, seed=0, scale=1.0):
    mix = torch.randn(rank, D, generator=g(seed + 1), dtype=torch.float64)
    spread = torch.linspace(1, 0.2, rank, dtype=torch.float64)
    coordinates = torch.randn(n, rank, generator=g(seed), dtype=torch.float64) * spread
    return scale * (coordinates @ mix + torch.randn(D, generator=g(seed + 2), dtype=torch.float64))


@pytest.mark.parametrize("rank", [1, 4, D])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_a_gaussian_keeps_mean_covariance_and_subspace(rank, scale):
    codes = low_rank_codes(rank, scale=scale)
    sampler = fit_gaussian(codes)
    assert sampler.rank == rank
    covariance = torch.cov(codes.T)
    assert torch.allclose(sampler.factors[0] @ sampler.factors[0].T, covariance, rtol=0, atol=1e-9 * scale**2)
    drawn = sampler.sample(20_000, g(5), torch.float64)
    assert torch.allclose(drawn.mean(0), codes.mean(0), rtol=0, atol=0.06 * scale)
    assert torch.allclose(torch.cov(drawn.T), covariance, rtol=0, atol=0.15 * scale**2)
    # nothing outside the codes' own affine subspace
    _, _, V = torch.linalg.svd(codes - codes.mean(0))
    assert ((drawn - codes.mean(0)) @ V[rank:].T).abs().max() < 1e-9 * scale if rank < D else True


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("scale", [1e-4, 1e3])
def test_a_mixture_finds_its_components_on_rank_deficient_codes(rank, scale):
    a, b = low_rank_codes(rank, 500), low_rank_codes(rank, 300)
    axis = (a[0] - a[1]) / (a[0] - a[1]).norm()
    codes = scale * torch.cat([a, b + 40 * axis])
    sampler = fit_mixture(codes, 2, seed=1)
    assert sampler.converged
    assert sampler.rank == rank
    assert sorted(sampler.weights.tolist()) == pytest.approx([0.375, 0.625], abs=0.01)
    drawn = sampler.sample(5000, g(3), torch.float64)
    _, _, V = torch.linalg.svd(codes - codes.mean(0))
    assert ((drawn - codes.mean(0)) @ V[rank:].T).abs().max() < 1e-8 * scale
    # two clusters, and nothing between them: a single Gaussian would fill the gap
    place = (drawn / scale) @ axis
    middle = ((codes / scale) @ axis).min() + 20
    assert ((place - middle).abs() < 8).double().mean() < 0.01
    single = fit_gaussian(codes).sample(5000, g(3), torch.float64) / scale @ axis
    assert ((single - middle).abs() < 8).double().mean() > 0.1


def test_the_scale_of_the_codes_does_not_matter():
    codes = low_rank_codes(4)
    one, other = fit_mixture(codes, 3, seed=2), fit_mixture(codes * 1e4, 3, seed=2)
    drawn, scaled = one.sample(200, g(), torch.float64), other.sample(200, g(), torch.float64)
    # the signs of principal axes are free, so weights and means are compared
    assert torch.allclose(one.weights, other.weights, rtol=0, atol=1e-6)
    assert torch.allclose(one.means, other.means / 1e4, rtol=0, atol=1e-5)
    assert drawn.std() == pytest.approx((scaled / 1e4).std().item(), rel=0.1)


def test_codes_that_are_one_point_are_sampled_as_that_point():
    point = torch.tensor([[1.1, -2.3, 0.7]])
    for sampler in (fit_gaussian(point.repeat(20, 1)), fit_mixture(point.repeat(20, 1), 4)):
        assert sampler.rank == 0
        assert torch.allclose(sampler.sample(5, g()), point.expand(5, 3))


def test_generators_and_seeds_rule():
    codes = low_rank_codes(3).float()
    one, two = fit_mixture(codes, 4, seed=7), fit_mixture(codes, 4, seed=7)
    assert torch.equal(one.sample(30, g(1)), two.sample(30, g(1)))
    assert not torch.equal(one.sample(30, g(1)), one.sample(30, g(2)))
    assert one.sample(30, g(1)).dtype == torch.float32


def test_unfinished_fits_say_so_without_a_warning():
    assert not fit_mixture(low_rank_codes(5), 4, iterations=1).converged


def test_bad_input_is_one_sentence():
    codes = low_rank_codes(3)
    with pytest.raises(ValueError, match="must be finite"):
        fit_gaussian(codes / 0)
    with pytest.raises(ValueError, match="must be finite"):
        fit_mixture(codes * torch.nan, 4)
    with pytest.raises(ValueError, match="components must lie between 1 and the 3 codes, not 4"):
        fit_mixture(codes[:3], 4)
    with pytest.raises(ValueError, match="at least two samples"):
        fit_gaussian(codes[:1])
    with pytest.raises(ValueError, match="count must be at least 1"):
        fit_gaussian(codes).sample(0, g())
