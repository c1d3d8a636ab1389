"""What principal components reconstruct: the linear autoencoder that other models are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def principal_errors(images: Tensor, test: Tensor, ranks: Sequence[int]) -> list[float]:
    """The test errors of reconstructions from so many principal components of uint8 training images, one a rank.

    Mean squared error over all pixels, 0..1, of `test` `(t, c, h, w)`, with mean and components of `images`
    `(n, c, h, w)`; a rank beyond the number of pixels reconstructs all.
    """
    seen, unseen = (x.flatten(1).double() / 255 for x in (images, test))
    mean = seen.mean(dim=0)
    axes = torch.linalg.eigh((seen - mean).T @ (seen - mean)).eigenvectors.flip(1)
    coordinates = ((unseen - mean) @ axes).square()
    left = coordinates.sum(dim=1, keepdim=True) - coordinates.cumsum(dim=1)
    # with no component the mean is all there is
    left = torch.cat([coordinates.sum(dim=1, keepdim=True), left], dim=1).mean(dim=0) / seen.shape[1]
    return [float(left[min(rank, seen.shape[1])].clamp_min(0)) for rank in ranks]
