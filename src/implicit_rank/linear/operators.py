"""Ways to multiply rows by the second moment matrix C: whole, diagonal in its eigenbasis, of a mini-batch."""

from __future__ import annotations

import torch
from torch import Tensor


class DenseMoments:
    """C itself, (D, D)."""

    def __init__(self, C: Tensor):
        self.C, self.trace = C, C.trace()

    def times(self, rows: Tensor) -> Tensor:
        """Rows C for rows (m, r, D)."""
        return (rows.reshape(-1, rows.shape[-1]) @ self.C).view_as(rows)

    def draw(self) -> None:
        """Do nothing: the full batch is the same at every step."""


class DiagonalMoments:
    """C in its own eigenbasis: the eigenvalues (D,), and one multiplication an entry.

    Book: thm-eigenbasis
    """

    def __init__(self, eigenvalues: Tensor):
        self.eigenvalues, self.trace = eigenvalues, eigenvalues.sum()

    def times(self, rows: Tensor) -> Tensor:
        """Rows C for rows (m, r, D)."""
        return rows * self.eigenvalues

    def draw(self) -> None:
        """Do nothing: the full batch is the same at every step."""


class BatchMoments:
    """The second moments of a fresh mini-batch of samples (n, D) at every step (Bao 2020, App. I.2).

    Batches walk through a random order of the samples, a new order each time round; all members see the same
    batches. The matrix itself is never formed.
    """

    def __init__(self, samples: Tensor, batch: int, seed: int = 0):
        if not 1 <= batch <= len(samples):
            raise ValueError(f"batch must lie between 1 and {len(samples)}, the number of samples, not {batch}.")
        self.samples, self.batch = samples, batch
        self.generator = torch.Generator().manual_seed(seed)
        self.order = torch.empty(0, dtype=torch.long)
        self.draw()

    def draw(self) -> None:
        """Go on to the next mini-batch."""
        if len(self.order) < self.batch:
            self.order = torch.randperm(len(self.samples), generator=self.generator)
        chosen, self.order = self.order[: self.batch], self.order[self.batch :]
        self.current = self.samples[chosen.to(self.samples.device)]
        self.trace = self.current.square().sum() / self.batch

    def times(self, rows: Tensor) -> Tensor:
        """Rows C_batch for rows (m, r, D)."""
        flat = rows.reshape(-1, rows.shape[-1])
        return (flat @ self.current.T @ self.current / self.batch).view_as(rows)


Moments = DenseMoments | DiagonalMoments | BatchMoments
