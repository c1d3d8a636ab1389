"""Second moments: all that a full-batch linear autoencoder ever sees of its data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class SecondMoments:
    """The second moment matrix of a data set and its eigenvectors, all in float64.

    `C` (D, D); `mean` (D,) that was subtracted; `n` samples; `eigenvalues` (D,) descending; `U`
    (D, D) with eigenvectors as columns; `provenance` says in a sentence where the numbers come from;
    `image_shape` is the shape of one sample seen as an image, or None; `scale` the factor already
    applied to the samples.
    """

    name: str
    C: Tensor
    mean: Tensor
    n: int
    eigenvalues: Tensor
    U: Tensor
    provenance: str
    image_shape: tuple[int, ...] | None = None
    scale: float = 1.0

    @property
    def width(self) -> int:
        """Input width D."""
        return self.C.shape[0]

    def top(self, k: int) -> tuple[Tensor, Tensor]:
        """The k largest eigenvalues (k,) and their eigenvectors (D, k)."""
        if not 1 <= k < self.width:
            raise ValueError(f"k must lie between 1 and {self.width - 1} for width {self.width}, not {k}.")
        return self.eigenvalues[:k], self.U[:, :k]


def decompose(name: str, C: Tensor, mean: Tensor, n: int, provenance: str, **extra) -> SecondMoments:
    """The moments with eigenvalues and eigenvectors of `C` (D, D), largest first.

    The sign of an eigenvector makes its entry of largest magnitude positive. Raises ValueError unless C is
    finite, square and symmetric.
    """
    C = torch.as_tensor(C, dtype=torch.float64)
    if C.ndim != 2 or C.shape[0] != C.shape[1]:
        raise ValueError(f"the second moment matrix must be square, not {' x '.join(map(str, C.shape))}.")
    if not C.isfinite().all():
        raise ValueError("the second moment matrix must be finite.")
    if (C - C.T).abs().max() > 1e-10 * C.abs().max():
        raise ValueError("the second moment matrix must be symmetric.")
    eigenvalues, U = torch.linalg.eigh((C + C.T) / 2)
    eigenvalues, U = eigenvalues.flip(0), U.flip(1)
    signs = U.gather(0, U.abs().argmax(dim=0, keepdim=True)).sign()
    return SecondMoments(name, C, mean.double(), int(n), eigenvalues, U * signs, provenance, **extra)


def moments_of(
    name: str, X: Tensor, provenance: str, *, centred: bool = True, image_shape: tuple[int, ...] | None = None
) -> SecondMoments:
    """The moments of samples `X` (n, D), divisor n; `centred` subtracts the mean first."""
    X = torch.as_tensor(X, dtype=torch.float64)
    if X.ndim != 2 or X.shape[0] < 2:
        raise ValueError(f"samples must be a matrix (n, D) with n of at least 2, not {tuple(X.shape)}.")
    mean = X.mean(dim=0) if centred else torch.zeros(X.shape[1], dtype=torch.float64)
    centred_X = X - mean
    C = centred_X.T @ centred_X / len(X)
    return decompose(name, C, mean, len(X), provenance, image_shape=image_shape)


def rescaled(moments: SecondMoments, leading: float) -> SecondMoments:
    """The moments of the samples times the number that makes the largest eigenvalue `leading`.

    Learning rates and penalties tuned on one data set then mean the same on another.
    """
    if not leading > 0:
        raise ValueError(f"leading must be positive, not {leading}.")
    if not moments.eigenvalues[0] > 0:
        raise ValueError(f"{moments.name} does not vary at all, so it cannot be rescaled.")
    factor = float(leading / moments.eigenvalues[0])
    return replace(
        moments,
        C=moments.C * factor,
        mean=moments.mean * factor**0.5,
        eigenvalues=moments.eigenvalues * factor,
        scale=moments.scale * factor**0.5,
        provenance=f"{moments.provenance} Samples times {factor**0.5:.4g}: largest eigenvalue {leading:g}.",
    )


def pack(gram: np.ndarray, sums: np.ndarray, n: int) -> dict[str, np.ndarray]:
    """Integer moments as small arrays: the upper triangle over columns not all zero, as byte planes.

    `gram` (D, D) is X^T X and `sums` (D,) the column sums of unsigned 8-bit samples.
    """
    live = np.flatnonzero(sums)
    triangle = gram[np.ix_(live, live)][np.triu_indices(len(live))]
    if triangle.max(initial=0) >= 2**32:
        raise ValueError("second moments beyond 32 bits cannot be packed.")
    planes = triangle.astype("<u4").view(np.uint8).reshape(-1, 4).T
    # equal-weight bytes beside each other compress a tenth better than whole numbers
    return {"planes": np.ascontiguousarray(planes), "sums": sums.astype("<u4"), "n": np.array(n, "<u4")}


def unpack(arrays) -> tuple[np.ndarray, np.ndarray, int]:
    """X^T X (D, D) and column sums (D,) as int64, and n, from what `pack` made."""
    sums = arrays["sums"].astype(np.int64)
    live = np.flatnonzero(sums)
    triangle = np.ascontiguousarray(arrays["planes"].T).view("<u4").ravel().astype(np.int64)
    block = np.zeros((len(live), len(live)), np.int64)
    block[np.triu_indices(len(live))] = triangle
    block = np.triu(block) + np.triu(block, 1).T
    gram = np.zeros((len(sums), len(sums)), np.int64)
    gram[np.ix_(live, live)] = block
    return gram, sums, int(arrays["n"])


def packed_mnist() -> tuple[np.ndarray, np.ndarray, int]:
    """The exact integer X^T X (784, 784), column sums (784,) and n of MNIST's training images."""
    with files("implicit_rank").joinpath("assets/mnist_moments.npz").open("rb") as file:
        return unpack(np.load(file, allow_pickle=False))


def mnist_moments() -> SecondMoments:
    """The exact moments of MNIST's training set, pixels in [0, 1], centred (Bao 2020, 7)."""
    gram, sums, n = packed_mnist()
    exact = n * gram - np.outer(sums, sums)  # n^2 times the covariance of pixels 0..255, below 2^53
    C = torch.from_numpy(exact.astype(np.float64)) / (n * 255.0) ** 2
    mean = torch.from_numpy(sums / (n * 255.0))
    sentence = "All 60,000 MNIST training images, pixels 0 to 1, mean image subtracted: exact moments."
    return decompose("mnist", C, mean, n, sentence, image_shape=(28, 28))


def moments_with(s: Tensor, generator: torch.Generator) -> SecondMoments:
    """The second moments with the eigenvalues `s` (D,) and random axes."""
    U = torch.linalg.qr(torch.randn(len(s), len(s), generator=generator, dtype=torch.float64))[0]
    C = (U * s) @ U.T
    return decompose("generic", (C + C.T) / 2, torch.zeros(len(s)), 1, "Chosen eigenvalues, random axes.")
