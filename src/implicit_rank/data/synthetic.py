"""The synthetic data of Bao 2020, Figure 4, in its two readings: the paper's words and the official code.

The words are "the data singular values are 1, ..., m" with m = 1000. `synthetic_paper` takes them at the
letter: the data matrix X itself has singular values 1, ..., m. The covariance X^T X / n then has
eigenvalues i^2 / n, and since the paper gives no n, the official code's n = 5000 is used. The official code
does something else: Gaussian samples whose population covariance has eigenvalues from 100 down to 1 in
equal steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.data.moments import SecondMoments, decompose, moments_of


def haar_rotation(width: int, generator: torch.Generator) -> Tensor:
    """A uniformly random orthogonal matrix (width, width), float64."""
    Q, R = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))
    return Q * R.diagonal().sign()


def synthetic_paper(width: int = 1000, n: int = 5000, seed: int = 0) -> SecondMoments:
    """The exact moments of a data matrix with singular values 1, ..., `width` (Bao 2020, 7)."""
    _check(width, n)
    U = haar_rotation(width, torch.Generator().manual_seed(seed))
    eigenvalues = torch.arange(width, 0, -1, dtype=torch.float64) ** 2 / n
    C = (U * eigenvalues) @ U.T
    sentence = (
        f"Data matrix with singular values exactly 1, ..., {width} and n = {n}, Haar eigenvectors "
        f"(seed {seed}), not centred."
    )
    return decompose("synthetic-paper", (C + C.T) / 2, torch.zeros(width), n, sentence)


def synthetic_official(width: int = 1000, n: int = 5000, seed: int = 0) -> SecondMoments:
    """The sample moments of the official code's data: n Gaussian samples, eigenvalues 100 to 1."""
    X = synthetic_samples(width, n, seed)
    sentence = (
        f"{n} Gaussian samples, population covariance with {width} eigenvalues from 100 to 1 in equal steps, "
        f"Haar eigenvectors (seed {seed}), not centred; axes from the samples."
    )
    return moments_of("synthetic-official", X, sentence, centred=False)


def synthetic_samples(width: int = 1000, n: int = 5000, seed: int = 0) -> Tensor:
    """The Gaussian samples (n, width) behind `synthetic_official`, float64."""
    _check(width, n)
    generator = torch.Generator().manual_seed(seed)
    U = haar_rotation(width, generator)
    deviations = torch.linspace(100, 1, width, dtype=torch.float64).sqrt()
    return torch.randn(n, width, generator=generator, dtype=torch.float64) * deviations @ U.T


def _check(width: int, n: int) -> None:
    if width < 2 or n < width:
        raise ValueError(f"synthetic data needs width >= 2 and n >= width, not width {width} and n {n}.")
