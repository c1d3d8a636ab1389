"""Stochastic nested dropout: one b drawn for every sample at every step (Rippel et al. 2014, Bao 2020, 5).

Its gradient is the deterministic one plus the noise of the masks. The noise needs real samples: it depends
on their fourth moments, which the second moment matrix does not know. Drawing masks for all n samples is
exact. Far cheaper, and the same to second order, is to draw them for a small batch of samples and shrink
the noise by sqrt(batch / n): the noise then has mean zero and exactly the covariance that n samples give.
"""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.linear.models import Parameters, kept
from implicit_rank.linear.operators import BatchMoments


class MaskNoise:
    """The random part of the gradient of stochastic nested dropout, for m members with their own seeds.

    `samples` (n, D) in the basis of the weights; `prior` (m, k); `batch` is n for exact full-batch
    noise. With `source` the masks fall on that mini-batch's samples, unshrunk: mini-batch nested dropout.

    Book: eq-mask-noise
    """

    def __init__(
        self,
        samples: Tensor,
        prior: Tensor,
        seeds: tuple[int, ...],
        batch: int | None = None,
        source: BatchMoments | None = None,
    ):
        self.source = source
        self.rows = source or BatchMoments(samples, batch or len(samples))
        self.shrink = 1.0 if source else (self.rows.batch / len(samples)) ** 0.5
        self.tails, self.pairs = kept(prior)
        self.cumulative = prior.double().cpu().cumsum(1)
        # far from the seeds of the starting weights
        self.generators = [torch.Generator().manual_seed(seed + 7_654_321) for seed in seeds]

    def masks(self) -> Tensor:
        """Fresh masks (m, k, batch): unit i of a sample is kept when its b is at least i."""
        k, batch = self.cumulative.shape[1], self.rows.batch
        draws = torch.stack([torch.rand(batch, generator=g, dtype=torch.float64) for g in self.generators])
        b = torch.searchsorted(self.cumulative, draws, right=True).clamp_(max=k - 1)
        kept_units = torch.arange(k).view(1, k, 1) <= b.unsqueeze(1)
        return kept_units.to(self.tails)

    def add(self, parameters: Parameters, gradients: Parameters) -> None:
        """Add the noise of this step to the gradients of deterministic nested dropout, in place."""
        if self.source is None and self.shrink < 1:
            self.rows.draw()
        X = self.rows.current
        W1, W2 = parameters["encoder"], parameters["decoder"]
        m, k, D = W1.shape
        M, tails = self.masks(), self.tails.unsqueeze(2)
        seen = (torch.cat([W1, W2.mT], dim=1).view(-1, D) @ X.T).view(m, 2 * k, -1)
        codes, projected = seen[:, :k], seen[:, k:]  # y = W1 x and W2^T x, one column a sample
        gram = torch.bmm(W2.mT, W2)
        masked = M * codes
        encoder_part = (M - tails) * projected
        encoder_part += torch.bmm(gram * self.pairs, codes) - M * torch.bmm(gram, masked)
        decoder_part = (M - tails) * codes
        code_noise = torch.bmm(masked, masked.mT) - torch.bmm(codes, codes.mT) * self.pairs
        noise = (torch.cat([encoder_part, decoder_part], dim=1).view(2 * m * k, -1) @ X).view(m, 2 * k, D)
        scale = -2 * self.shrink / len(X)
        gradients["encoder"].add_(noise[:, :k], alpha=scale)
        gradients["decoder"].add_(noise[:, k:].mT, alpha=scale).baddbmm_(W2, code_noise, alpha=-scale)
