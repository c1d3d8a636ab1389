"""What autoencoders minimise: every function gives one scalar, with its reductions stated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own habit

if TYPE_CHECKING:
    from implicit_rank.autoencoder.model import Output

LOSSES = {"mse": None, "vae-official": 0.1, "elbo": 1.0}  # with their default beta


def objective(
    output: Output,
    images: Tensor,
    *,
    loss: str = "mse",
    beta: float | Tensor | None = None,
    l1: float | Tensor = 0.0,
    l2: float | Tensor = 0.0,
) -> Tensor:
    """The training loss of a batch, a scalar, for images `(b, c, h, w)` in [0, 1], P = c h w, codes (b, d).

    - "mse": squared error, mean over all b P entries (released code; the paper's eq. 1 has the sum).
    - "vae-official": binary cross-entropy, mean over all b P entries, plus `beta` (0.1) times the mean over all b d
      entries of -(1 + log var - mean^2 - var), twice the divergence (released code).
    - "elbo": (cross-entropy summed over an image + `beta` (1) times `divergence`), mean over the batch,
      divided by P, so that its size and learning rates compare with the others. It equals "vae-official" when
      its beta is `effective_beta` of the other's.

    To each is added `l1` times the mean over the batch of sum_j |z_j| and `l2` times that of sum_j z_j^2, for
    the codes z after the chain (Jing 2020, 4.1, gives no coefficients). "mse" has no `beta` and does not read it.
    Coefficients are numbers or 0-d tensors. Raises ValueError, in one sentence, for another loss, for
    a VAE's loss without log-variances, and for images of another shape than the reconstruction's.

    Book: eq-irmae, eq-vae-released
    """
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {loss!r}.")
    if output.reconstruction.shape != images.shape:
        shapes = f"{tuple(output.reconstruction.shape)} and {tuple(images.shape)}"
        raise ValueError(f"reconstruction and images must have the same shape, not {shapes}.")
    if loss == "mse":
        total = F.mse_loss(output.reconstruction, images)
    else:
        if output.log_variance is None:
            raise ValueError(f"the loss {loss!r} needs a VAE, and this autoencoder gives no log-variance.")
        beta = LOSSES[loss] if beta is None else beta
        per_image = beta * divergence(output.features, output.log_variance).mean()
        share = 2 / output.features.shape[-1] if loss == "vae-official" else 1 / images[0].numel()
        total = cross_entropy(output.reconstruction, images) + share * per_image
    if isinstance(l1, Tensor) or l1:
        total = total + l1 * output.codes.abs().sum(-1).mean()
    if isinstance(l2, Tensor) or l2:
        total = total + l2 * output.codes.square().sum(-1).mean()
    return total


def cross_entropy(reconstruction: Tensor, images: Tensor) -> Tensor:
    """The binary cross-entropy, mean over all entries, logarithms cut at -100 as PyTorch does.

    Where a member has diverged to NaN the result is NaN: PyTorch's own function stops the program instead, on a GPU
    beyond repair. Under autocast it is computed in full precision.
    """
    if reconstruction.dtype in (torch.float16, torch.bfloat16):
        reconstruction = reconstruction.float()
    probabilities = torch.nan_to_num(reconstruction, nan=0.5)
    with torch.autocast(reconstruction.device.type, enabled=False):
        mean = F.binary_cross_entropy(probabilities, images.to(reconstruction.dtype))
    return mean + 0 * reconstruction.sum()  # puts the NaN back


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, diag var) || N(0, I)) in nats, twice `(b, d)` -> `(b,)`.

    It is -1/2 sum_j (1 + log var_j - mean_j^2 - var_j).
    """
    return -(1 + log_variance - mean.square() - log_variance.exp()).sum(-1) / 2


def effective_beta(image_shape: tuple[int, int, int], code_width: int, beta: float = 0.1) -> float:
    """The "elbo" beta whose loss and gradients are those of "vae-official": 2 beta c h w / d.

    With the released code's 0.1 it is 1.6 for MNIST, 4.8 for CelebA and 19.2 for the shapes.

    Book: eq-effective-beta
    """
    return 2 * beta * math.prod(image_shape) / code_width
