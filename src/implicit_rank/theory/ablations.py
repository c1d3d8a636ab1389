"""What gradient descent does to a chain of maps that is frozen or tied: the counterparts of Sun 2021, equation 5.

float64 in, float64 out. Coefficients are those of one step without the learning rate, to first order, in the singular
bases of W_e; `implicit_rank.theory.effective.coefficients` has those of free maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from implicit_rank.parameters.numbers import whole


def frozen_coefficients(singular_values: Tensor) -> Tensor:
    """Sigma_r^2 `(d,)`: how fast direction r of W_e A moves when W_e is frozen and the encoder's A learns.

    They never change, whatever is learned. Raises ValueError for bad singular values.

    Book: eq-frozen-update
    """
    return _spectrum(singular_values) ** 2


def tied_coefficients(singular_values: Tensor, depth: int, uses: int = 1) -> Tensor:
    """The coefficients `(d, d)` of a chain in which each weight is used `uses` times in a row.

    They are the sum over weights of (sum over a weight's positions j of sigma_r^{(N-j)/N} sigma_s^{(j-1)/N})^2, for
    symmetric positive weights that commute and are balanced: `uses` = 1 gives mu (Sun 2021, eq. 5), `uses` = N
    Jing 2020's Figure 11. Raises ValueError unless `uses` divides `depth`.

    Book: eq-tied-coefficients
    """
    sigma = _spectrum(singular_values)
    if whole(depth) is None or depth < 1:
        raise ValueError(f"depth must be an integer of at least 1, not {depth!r}.")
    if whole(uses) is None or uses < 1 or depth % uses:
        raise ValueError(f"uses must be an integer that divides the depth {depth}, not {uses!r}.")
    depth, uses = whole(depth), whole(uses)
    powers = torch.arange(depth, dtype=torch.float64) / depth
    table = sigma[:, None] ** powers  # (d, N); 0 ** 0 is 1, as the sum wants
    terms = table.flip(1)[:, None, :] * table[None, :, :]
    return terms.unflatten(2, (depth // uses, uses)).sum(dim=3).square().sum(dim=2)


def transpose_coefficients(singular_values: Tensor, depth: int) -> Tensor:
    """The coefficients `(d, d)` of G + G^T for a chain W, W^T, W, ...: W_e = (W^T W)^{N/2}, N even.

    With m_r = sigma_r^{2/N} and n = N/2 they are (m_r + m_s) (sum_k m_r^{n-k} m_s^{k-1})^2, in the basis of W_e. Raises
    ValueError for an odd depth.

    Book: eq-transpose-coefficients
    """
    sigma = _spectrum(singular_values)
    if whole(depth) is None or depth < 2 or depth % 2:
        raise ValueError(f"depth must be an even integer of at least 2, not {depth!r}.")
    n = whole(depth) // 2
    m = sigma ** (2 / depth)
    powers = torch.arange(n, dtype=torch.float64)
    table = m[:, None] ** powers
    return (m[:, None] + m[None, :]) * (table.flip(1) @ table.T).square()


def spectrum_behind(singular_values: Tensor, feature_spectrum: Tensor, generator: torch.Generator) -> Tensor:
    """The covariance spectrum `(d,)`, descending, of codes W_e z for features z that do not know W_e.

    `feature_spectrum` (d,) are the eigenvalues of the features' covariance; their axes are turned at random, drawn
    from `generator`, as those of a W_e that was drawn without looking at them. The prediction for frozen maps.

    Book: eq-frozen-spectrum
    """
    sigma, variances = _spectrum(singular_values), _spectrum(feature_spectrum)
    if sigma.shape != variances.shape:
        raise ValueError(f"both spectra must have one width, not {len(sigma)} and {len(variances)}.")
    turn = torch.empty(len(sigma), len(sigma), dtype=torch.float64)
    torch.nn.init.orthogonal_(turn, generator=generator)
    factor = sigma[:, None] * turn * variances.sqrt()
    return torch.linalg.svdvals(factor) ** 2


def expected_spectrum_behind(
    singular_values: Sequence[Tensor], feature_spectra: Sequence[Tensor], seeds: Sequence[int]
) -> Tensor:
    """The spectrum `(d,)` over its largest value that `spectrum_behind` gives, averaged over draws of frozen maps.

    One draw is the singular values `(d,)` of its W_e, a spectrum of features of at most d values, the others taken
    as zero, and a seed of the turn between them. ValueError where there is no draw or a draw lacks one of the three.
    """
    drawn = []
    for sigma, features, seed in zip(singular_values, feature_spectra, seeds, strict=True):
        features = torch.as_tensor(features, dtype=torch.float64).clamp_min(0)  # rounding leaves some below zero
        features = torch.cat([features, features.new_zeros(len(sigma) - len(features))])  # fewer images than features
        spectrum = spectrum_behind(sigma, features, torch.Generator().manual_seed(seed))
        drawn.append(spectrum / spectrum[0])
    if not drawn:
        raise ValueError("an average needs one draw of frozen maps or more.")
    return torch.stack(drawn).mean(dim=0)


def _spectrum(values: Tensor) -> Tensor:
    values = torch.as_tensor(values, dtype=torch.float64)
    if values.ndim != 1 or not values.isfinite().all() or (values < 0).any():
        raise ValueError("a spectrum must be a vector of finite numbers that are not negative.")
    return values
