"""How much faster a full-batch step through second moments is than the same step on the samples."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from implicit_rank.linear import models
from implicit_rank.linear.operators import DenseMoments, DiagonalMoments


@dataclass(frozen=True)
class Comparison:
    """Median seconds of a step three ways, and how far the weights after a step differ (relative, largest entry)."""

    samples: float
    moments: float
    eigenbasis: float
    difference: float
    eigenbasis_difference: float

    @property
    def speedup(self) -> float:
        """Seconds on the samples over seconds through C."""
        return self.samples / self.moments


def compare(
    n: int = 60_000, width: int = 784, k: int = 20, *, lr: float = 1e-3, repeats: int = 3, seed: int = 0
) -> Comparison:
    """Time one RAG step on n Gaussian samples (n, width), through their C and in its eigenbasis: float64, one process.

    The step on the samples is what the official code does: forward pass, automatic differentiation, rotation.
    """
    generator = torch.Generator().manual_seed(seed)
    scales = torch.linspace(2, 0.1, width, dtype=torch.float64)
    X = torch.randn(n, width, generator=generator, dtype=torch.float64) * scales
    W1 = torch.randn(k, width, generator=generator, dtype=torch.float64) / width**0.5
    W2 = torch.randn(width, k, generator=generator, dtype=torch.float64) / width**0.5
    C = X.T @ X / n
    eigenvalues, U = torch.linalg.eigh(C)
    dense, diagonal = DenseMoments(C), DiagonalMoments(eigenvalues)
    rotated = (W1 @ U, U.T @ W2)
    on_samples, slow = _timed(lambda: sample_step(X, W1, W2, lr), repeats)
    through_moments, fast = _timed(lambda: moment_step(dense, W1, W2, lr), 30 * repeats)
    in_eigenbasis, fastest = _timed(lambda: moment_step(diagonal, *rotated, lr), 30 * repeats)
    back = (fastest[0] @ U.T, U @ fastest[1])
    return Comparison(
        on_samples, through_moments, in_eigenbasis, _difference(slow, fast, (W1, W2)), _difference(slow, back, (W1, W2))
    )


def sample_step(X: Tensor, W1: Tensor, W2: Tensor, lr: float) -> tuple[Tensor, Tensor]:
    """The weights after one RAG step computed from the samples X (n, D) (Bao 2020, Algorithm 1)."""
    encoder, decoder = W1.clone().requires_grad_(), W2.clone().requires_grad_()
    codes = X @ encoder.T
    ((X - codes @ decoder.T).square().sum() / len(X)).backward()
    with torch.no_grad():
        M = codes.T @ codes / len(X)
        A = (M.triu(1) - M.tril(-1)) / 2
        return W1 + lr * (A @ W1 - encoder.grad), W2 - lr * (W2 @ A + decoder.grad)


def moment_step(moments: DenseMoments | DiagonalMoments, W1: Tensor, W2: Tensor, lr: float) -> tuple[Tensor, Tensor]:
    """The weights after one RAG step computed from second moments."""
    _, slope = models.rotation_augmented({"encoder": W1[None], "decoder": W2[None]}, moments)
    return W1 - lr * slope["encoder"][0], W2 - lr * slope["decoder"][0]


def seconds_per_1000_steps(width: int, k: int, *, eigenbasis: bool, dtype: torch.dtype, steps: int = 20) -> float:
    """The seconds that 1,000 RAG steps of one member take at a width, from `steps` of them."""
    generator = torch.Generator().manual_seed(0)
    eigenvalues = torch.linspace(100, 1, width, dtype=dtype)
    operator = DiagonalMoments(eigenvalues) if eigenbasis else DenseMoments(torch.diag(eigenvalues))
    W1 = torch.randn(k, width, generator=generator, dtype=dtype) / width
    W2 = torch.randn(width, k, generator=generator, dtype=dtype) / width
    return 1000 * _timed(lambda: moment_step(operator, W1, W2, 1e-4), steps)[0]


def _timed(action: Callable, repeats: int) -> tuple[float, tuple[Tensor, Tensor]]:
    result, seconds = action(), []  # the first call warms up
    for _ in range(repeats):
        began = time.perf_counter()
        result = action()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), result


def _difference(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor], start: tuple[Tensor, Tensor]) -> float:
    """The largest difference of the two moves from `start`, relative to the largest entry of the move."""
    return max(((x - y).abs().max() / (x - z).abs().max()).item() for x, y, z in zip(a, b, start, strict=True))
