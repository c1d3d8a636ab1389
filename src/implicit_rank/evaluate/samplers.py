"""Gaussian and mixture samplers of codes that stay sound when the codes fill only a subspace.

One rule holds for both: codes are taken into the subspace of their principal axes, those with more than `FLAT` times
the largest variance; the density is fitted there, and samples never leave it. Nothing is added to the directions that
the codes do not use, and no constant depends on the codes' scale: scikit-learn's `reg_covar` is `RIDGE` times the
mean variance in the subspace.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from implicit_rank.evaluate.codes import require_finite, require_tensor

FLAT = 1e-6
RIDGE = 1e-6


@dataclass(frozen=True)
class Mixture:
    """A mixture of k Gaussians over codes of width d, each on a subspace of r dimensions (k = 1: one Gaussian).

    `weights` (k,); `means` (k, d); `factors` (k, d, r) with covariance factor factor^T, all float64 on the CPU.
    `converged` says whether the fit settled within its iterations.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor
    converged: bool = True

    @property
    def rank(self) -> int:
        """Dimensions r of the subspace that samples lie in."""
        return self.factors.shape[-1]

    def sample(self, count: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """`count` codes `(count, d)`, independent draws, from a CPU generator."""
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}.")
        component = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.rank, generator=generator, dtype=torch.float64)
        codes = torch.empty(count, self.means.shape[1], dtype=torch.float64)
        for k in range(len(self.weights)):
            own = component == k
            codes[own] = self.means[k] + noise[own] @ self.factors[k].T
        return codes.to(dtype)


def fit_gaussian(codes: Tensor) -> Mixture:
    """The Gaussian with the mean and covariance of codes `(n, d)` (Jing 2020, Fig. 6).

    Raises ValueError for codes that are not finite or of fewer than two samples.
    """
    mean, axes, coordinates = principal_coordinates(codes)
    factor = axes * (coordinates.square().sum(dim=0) / (len(codes) - 1)).sqrt()
    return Mixture(torch.ones(1, dtype=torch.float64), mean[None], factor[None])


def fit_mixture(codes: Tensor, components: int, seed: int = 0, *, iterations: int = 200) -> Mixture:
    """A mixture of full-covariance Gaussians fitted to codes `(n, d)` by scikit-learn's EM after k-means.

    Four components for MNIST (Sun 2021, 3.2; Jing 2020, Fig. 7), ten for CelebA. The covariance type is stated in
    neither paper. Raises ValueError for codes that are not finite or fewer than components.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    if not 1 <= components <= len(codes):
        raise ValueError(f"components must lie between 1 and the {len(codes)} codes, not {components}.")
    mean, axes, coordinates = principal_coordinates(codes)
    if axes.shape[1] == 0:
        return fit_gaussian(codes)  # all codes are one point
    ridge = RIDGE * float(coordinates.var(dim=0).mean())
    model = GaussianMixture(components, covariance_type="full", reg_covar=ridge, max_iter=iterations, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the result says so itself
        model.fit(coordinates.numpy())
    means, covariances = torch.from_numpy(model.means_), torch.from_numpy(model.covariances_)
    factors = axes @ torch.linalg.cholesky(covariances)
    return Mixture(torch.from_numpy(model.weights_), mean + means @ axes.T, factors, bool(model.converged_))


def principal_coordinates(codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean `(d,)`, the r principal axes in use `(d, r)` and the codes' coordinates on them `(n, r)`.

    float64 on the CPU; r counts the variances above `FLAT` times the largest.
    """
    require_tensor("codes", codes)
    if codes.ndim != 2 or len(codes) < 2:
        raise ValueError(f"codes must be (n, d) with at least two samples, not of shape {tuple(codes.shape)}.")
    require_finite("codes", codes)
    codes = codes.detach().cpu().double()
    mean = codes.mean(dim=0)
    variances, axes = torch.linalg.eigh((codes - mean).T @ (codes - mean) / (len(codes) - 1))
    variances, axes = variances.flip(0), axes.flip(1)
    # codes that do not vary leave rounding noise of their own size behind
    least = max(FLAT * float(variances[0]), 1e-24 * float(mean.square().sum()))
    axes = axes[:, variances > least]
    return mean, axes, (codes - mean) @ axes
