"""What one log entry holds of one member: error, spectra of W_e and of the codes, ranks by both rules."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from implicit_rank.autoencoder import Autoencoder
from implicit_rank.spectra import covariance_spectrum, numerical_rank, singular_values
from implicit_rank.train.batches import scaled

CHUNK = 500  # images evaluated at once


@torch.no_grad()
def measure(model: Autoencoder, images: Tensor, threshold: float) -> dict[str, np.ndarray]:
    """A member's numbers on uint8 `images` `(n, c, h, w)`, by the names of `History`."""
    dtype = next(model.parameters()).dtype
    error, codes = 0.0, []
    for chunk in images.split(CHUNK):
        target = scaled(chunk, dtype)
        output = model(target)
        error += (output.reconstruction - target).square().mean(dtype=torch.float64) * len(chunk)
        codes.append(output.codes)
    codes = torch.cat(codes).double()
    chain = model.chain
    linear = chain is not None and chain.activation is None
    width = codes.shape[1]
    nothing = torch.full((width,), torch.nan, dtype=torch.float64)
    effective = singular_values(model.chain.effective_matrix()) if linear else nothing
    return {
        "error": np.asarray((error / len(images)).cpu()),
        "singular_effective": effective.cpu().numpy(),
        "singular_codes": _filled(singular_values(codes), width),
        "spectrum_codes": _filled(covariance_spectrum(codes), width),
        "rank_effective": _rank(effective, threshold),
        "rank_codes": _rank(singular_values(codes), threshold),
        "rank_covariance": _rank(covariance_spectrum(codes), threshold),
    }


def _filled(values: Tensor, width: int) -> np.ndarray:
    """`width` values: fewer images than dimensions leave the last ones at zero."""
    return torch.nn.functional.pad(values, (0, width - values.shape[0])).cpu().numpy()


def _rank(values: Tensor, threshold: float) -> np.ndarray:
    if not values.isfinite().all():
        return np.array(np.nan)
    return np.array(float(numerical_rank(values, threshold)))
