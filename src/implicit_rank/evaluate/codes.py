"""Codes of an autoencoder over a whole data set: before and after its linear maps, their spectra and ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from implicit_rank.spectra import covariance_spectrum, numerical_rank, singular_values

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
Decode = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class CodeSpectra:
    """Spectra of codes `(..., n, d)`, descending, k = min(n, d), float64, and the ranks counted in them.

    `code_matrix` (..., k) are the singular values of the codes as they are, and their count `rank_codes` (...) is
    the rank of Sun 2021; `centred` and `rank_centred` are those of the codes minus their mean; `covariance` and
    `rank_covariance` are those of the covariance (Jing 2020). A threshold t on `centred` counts what t^2 counts on
    `covariance`, so the three ranks must never be mixed.
    """

    code_matrix: Tensor
    centred: Tensor
    covariance: Tensor
    rank_codes: Tensor
    rank_centred: Tensor
    rank_covariance: Tensor
    threshold: float


def in_chunks(images: Tensor, chunk: int, device: torch.device | str, dtype: torch.dtype) -> Iterator[Tensor]:
    """Yield parts of uint8 images `(n, c, h, w)` as floats in [0, 1] on the device."""
    require_tensor("images", images)
    if images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
        raise ValueError(
            f"images must be a uint8 tensor (n, c, h, w), not {images.dtype} of shape {tuple(images.shape)}."
        )
    for part in images.split(chunk):
        yield part.to(device).to(dtype) / 255


@torch.no_grad()
def collect_codes(
    encode: Encode,
    images: Tensor,
    *,
    chunk: int = 1000,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Features before and codes after the linear maps, each `(n, d)`, on the device.

    `encode` maps images `(b, c, h, w)` in [0, 1] to both (a VAE's are its means); `images` are uint8. The
    released code of Jing 2020 classifies features, its text codes. Raises ValueError for images that are not uint8.
    """
    pairs = [encode(part) for part in in_chunks(images, chunk, device, dtype)]
    return torch.cat([features for features, _ in pairs]), torch.cat([codes for _, codes in pairs])


@torch.no_grad()
def reconstruction_error(
    encode: Encode,
    decode: Decode,
    images: Tensor,
    *,
    chunk: int = 1000,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> float:
    """The mean squared error over all entries of reconstructed uint8 images `(n, c, h, w)`, pixels 0 to 1.

    NaN where a reconstruction is not finite.
    """
    total = torch.zeros((), dtype=torch.float64, device=device)
    for part in in_chunks(images, chunk, device, dtype):
        total += (decode(encode(part)[1]) - part).double().square().sum()
    error = float(total) / images.numel()
    return error if error < float("inf") else float("nan")


def code_spectra(codes: Tensor, threshold: float = 0.01) -> CodeSpectra:
    """Spectra and ranks of codes `(..., n, d)` by the rules of both papers (Sun 2021, 3.1; Jing 2020, 4.1).

    A rank counts what exceeds `threshold` times the largest. Raises ValueError for codes that are not finite or of
    fewer than two samples.
    """
    require_finite("codes", codes)
    covariance = covariance_spectrum(codes)
    code_matrix = singular_values(codes)
    centred = (covariance * (codes.shape[-2] - 1)).sqrt()
    ranks = (numerical_rank(values, threshold) for values in (code_matrix, centred, covariance))
    return CodeSpectra(code_matrix, centred, covariance, *ranks, threshold)


def require_tensor(name: str, value: Tensor) -> None:
    """Raise ValueError, in one sentence, unless `value` is a tensor."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} must be a tensor (torch.from_numpy makes one), not {type(value).__name__}.")


def require_finite(name: str, tensor: Tensor) -> None:
    """Raise ValueError, in one sentence, unless this is a tensor whose entries are all finite."""
    require_tensor(name, tensor)
    if not tensor.isfinite().all():
        bad = int((~tensor.isfinite()).sum())
        raise ValueError(f"{name} must be finite, but {bad} of {tensor.numel()} entries are not.")
