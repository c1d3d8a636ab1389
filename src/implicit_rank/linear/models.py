"""The models of Bao 2020 as closed-form losses and gradients in terms of second moments.

Every function takes the parameters of m members (encoder (m, k, D), decoder (m, D, k)) and an operator that
multiplies rows by C, and returns the losses (m,) and the update direction of every parameter. All data
terms are means over samples of the squared error, without a factor one half, as in equation (1) and the
official code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from implicit_rank.linear.operators import Moments

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Products:
    """What all models share: W1 C and W2^T C (m, k, D), W2^T W2 and W1 C W1^T = Y Y^T / n (m, k, k)."""

    encoded: Tensor
    decoded: Tensor
    decoder_gram: Tensor
    code_moments: Tensor


def products(parameters: Parameters, moments: Moments) -> Products:
    """The products with C; the only place where the data enter."""
    W1, W2 = parameters["encoder"], parameters["decoder"]
    k = W1.shape[1]
    both = moments.times(torch.cat([W1, W2.mT], dim=1))
    encoded, decoded = both[:, :k], both[:, k:]
    return Products(encoded, decoded, torch.bmm(W2.mT, W2), torch.bmm(W1, encoded.mT))


def reconstruction(parameters: Parameters, moments: Moments, p: Products | None = None) -> tuple[Tensor, Parameters]:
    """Loss (1), the mean squared error ||x - W2 W1 x||^2, and its gradients.

    Book: eq-moment-loss
    """
    p = p or products(parameters, moments)
    W2, transposed = parameters["decoder"], p.encoded.mT
    loss = moments.trace - 2 * (W2 * transposed).sum((1, 2)) + (p.decoder_gram * p.code_moments).sum((1, 2))
    encoder = torch.baddbmm(p.decoded, p.decoder_gram, p.encoded, beta=-2, alpha=2)
    decoder = torch.baddbmm(transposed, W2, p.code_moments, beta=-2, alpha=2)
    return loss, {"encoder": encoder, "decoder": decoder}


def l2(parameters: Parameters, moments: Moments, penalties: Tensor) -> tuple[Tensor, Parameters]:
    """Loss (3) and its gradients; `penalties` (m, k) are the lambda_i, all equal for loss (2).

    Book: eq-moment-l2
    """
    loss, gradients = reconstruction(parameters, moments)
    W1, W2 = parameters["encoder"], parameters["decoder"]
    squares = W1.square().sum(2) + W2.square().sum(1)
    gradients["encoder"].addcmul_(penalties.unsqueeze(2), W1, value=2)
    gradients["decoder"].addcmul_(penalties.unsqueeze(1), W2, value=2)
    return loss + (penalties * squares).sum(1), gradients


def rotation_augmented(parameters: Parameters, moments: Moments) -> tuple[Tensor, Parameters]:
    """Loss (1) and the rotation augmented gradient of Algorithm 1.

    The rotation is subtracted from the gradient, as in the official code, so that a momentum or Adam acts
    on it too; with plain gradient descent the step is Algorithm 1 to the letter.

    Book: eq-rag-direction
    """
    p = products(parameters, moments)
    loss, gradients = reconstruction(parameters, moments, p)
    A = (p.code_moments.triu(1) - p.code_moments.tril(-1)) / 2
    gradients["encoder"].baddbmm_(A, parameters["encoder"], alpha=-1)
    gradients["decoder"].baddbmm_(parameters["decoder"], A)
    return loss, gradients


def kept(prior: Tensor) -> tuple[Tensor, Tensor]:
    """P(b >= i) (..., k) and P(b >= max(i, j)) (..., k, k) of a prior over b = 1..k, last axis."""
    tails = prior.flip(-1).cumsum(-1).flip(-1)
    return tails, torch.minimum(tails.unsqueeze(-1), tails.unsqueeze(-2))


def nested_dropout(parameters: Parameters, moments: Moments, prior: Tensor) -> tuple[Tensor, Parameters]:
    """Twice loss (6), deterministic nested dropout, and its gradients; `prior` is (m, k).

    Book: eq-moment-nested
    """
    p = products(parameters, moments)
    W2, transposed = parameters["decoder"], p.encoded.mT
    tails, pairs = kept(prior)
    gram, codes = p.decoder_gram * pairs, p.code_moments * pairs
    agreement = (W2 * transposed).sum(1)
    loss = moments.trace - 2 * (tails * agreement).sum(1) + (gram * p.code_moments).sum((1, 2))
    encoder = torch.baddbmm(tails.unsqueeze(2) * p.decoded, gram, p.encoded, beta=-2, alpha=2)
    decoder = torch.baddbmm(tails.unsqueeze(1) * transposed, W2, codes, beta=-2, alpha=2)
    return loss, {"encoder": encoder, "decoder": decoder}


def linear_vae(parameters: Parameters, moments: Moments) -> tuple[Tensor, Parameters]:
    """Minus the analytic ELBO of a linear VAE, and its gradients (Lucas et al. 2019).

    Codes are N(W1 x, diag(exp(log_variance))) with `log_variance` (m, k) shared by all samples; the
    decoder is N(W2 z, exp(log_noise) I) with `log_noise` (m,); the prior of z is N(0, I).

    Book: eq-linear-vae
    """
    p = products(parameters, moments)
    error, slope = reconstruction(parameters, moments, p)
    W2 = parameters["decoder"]
    D = W2.shape[1]
    variance, noise = parameters["log_variance"].exp(), parameters["log_noise"].exp()
    norms = p.decoder_gram.diagonal(dim1=1, dim2=2)
    spread = error + (variance * norms).sum(1)  # expected squared error
    codes = p.code_moments.diagonal(dim1=1, dim2=2).sum(1)
    divergence = (codes + (variance - parameters["log_variance"] - 1).sum(1)) / 2
    likelihood = spread / (2 * noise) + D / 2 * (parameters["log_noise"] + math.log(2 * math.pi))
    per_noise = (1 / noise).view(-1, 1, 1)
    return divergence + likelihood, {
        "encoder": slope["encoder"] * per_noise / 2 + p.encoded,
        "decoder": (slope["decoder"] / 2 + W2 * variance.unsqueeze(1)) * per_noise,
        "log_variance": (variance - 1) / 2 + variance * norms / (2 * noise.unsqueeze(1)),
        "log_noise": D / 2 - spread / (2 * noise),
    }
