"""How a chain of linear maps moves its product: Sun 2021, equations 1 to 7, and what holds beside them.

Everything is float64 in, float64 out. A chain is a list `[W_1, ..., W_N]` of `(d, d)` tensors and acts as
`W_e = W_N ... W_1`; `gradient` is the loss's derivative with respect to W_e; vec stacks columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from implicit_rank.parameters.numbers import whole


def effective_matrix(layers: Sequence[Tensor]) -> Tensor:
    """The product `W_N ... W_1` `(d, d)` (Sun 2021, 2.1).

    Book: eq-effective
    """
    layers = _chain(layers)
    return _product(layers, len(layers[0]))


def layer_gradients(layers: Sequence[Tensor], gradient: Tensor) -> list[Tensor]:
    """The gradient of every W_i, `(W_N ... W_{i+1})^T G (W_{i-1} ... W_1)^T`, from G = dL/dW_e.

    Book: eq-layer-gradient
    """
    layers, gradient = _chain(layers), _square(gradient, "gradient")
    _alike(gradient, layers[0], "the layers")
    width = len(gradient)
    return [_product(layers[i + 1 :], width).T @ gradient @ _product(layers[:i], width).T for i in range(len(layers))]


def first_order_update(layers: Sequence[Tensor], gradient: Tensor, lr: float) -> Tensor:
    """The first-order change `(d, d)` of W_e in one step on the layers, for any chain, balanced or not.

    It is `-lr sum_i A_i A_i^T G B_i^T B_i`, A_i = W_N ... W_{i+1} being what follows layer i and
    B_i = W_{i-1} ... W_1 what precedes it.

    Book: eq-first-order
    """
    layers = _chain(layers)
    change = torch.zeros_like(layers[0])
    for i, step in enumerate(layer_gradients(layers, gradient)):
        change -= lr * _product(layers[i + 1 :], len(change)) @ step @ _product(layers[:i], len(change))
    return change


def imbalance(layers: Sequence[Tensor]) -> list[Tensor]:
    """`W_{i+1}^T W_{i+1} - W_i W_i^T` for i = 1..N-1; all zero means balanced (Sun 2021, eq. 1).

    Book: eq-balance
    """
    return [up.T @ up - low @ low.T for low, up in pairwise(_chain(layers))]


def relative_imbalance(start: float, size: float, depth: int) -> float:
    """The factor `(start / size)^{2/N}` by which a chain's relative imbalance shrinks as its product grows.

    `start` and `size` are the singular value of the direction that grows, before and after. Raises ValueError for sizes
    that are not above 0 and for a depth below 1.

    Book: eq-relative-imbalance
    """
    if not (0 < start < math.inf and 0 < size < math.inf):
        raise ValueError(f"start and size must be finite numbers above 0, not {start} and {size}.")
    return (start / size) ** (2 / _depth(depth))


def imbalance_step(layers: Sequence[Tensor], gradient: Tensor, lr: float) -> list[Tensor]:
    """By how much one step of gradient descent changes each imbalance: `lr^2 (G_{i+1}^T G_{i+1} - G_i G_i^T)`.

    Book: eq-imbalance-step
    """
    return [lr**2 * change for change in imbalance(layer_gradients(layers, gradient))]


def coefficients(singular_values: Tensor, depth: int) -> Tensor:
    """Mu `(d, d)`, `mu_{r,r'} = sum_j sigma_r^{2(N-j)/N} sigma_r'^{2(j-1)/N}` (Sun 2021, eq. 5).

    They are the eigenvalues of the preconditioner. Raises ValueError for a depth below 1 or bad singular values.

    Book: eq-mu, eq-mu-top
    """
    sigma, depth = _spectrum(singular_values), _depth(depth)
    powers = torch.arange(depth, dtype=torch.float64) * 2 / depth
    table = sigma[:, None] ** powers  # (d, N); 0 ** 0 is 1, as the sum wants
    return table.flip(1) @ table.T


def coefficients_closed_form(singular_values: Tensor, depth: int) -> Tensor:
    """Mu `(d, d)` as the summed geometric series `(a^N - b^N) / (a - b)`, a and b being sigma^{2/N}.

    On the diagonal, and where two values agree to rounding, it is N a^{N-1}.

    Book: eq-mu-closed
    """
    sigma, depth = _spectrum(singular_values), _depth(depth)
    a, b = torch.broadcast_tensors((sigma ** (2 / depth))[:, None], (sigma ** (2 / depth))[None, :])
    near = (a - b).abs() <= 1e-6 * torch.maximum(a, b)
    quotient = (a**depth - b**depth) / torch.where(near, torch.ones_like(a), a - b)
    return torch.where(near, depth * ((a + b) / 2) ** (depth - 1), quotient)


def coefficients_limit(singular_values: Tensor) -> Tensor:
    """The limit `(d, d)` of mu / N for N to infinity: the logarithmic mean of sigma_r^2 and sigma_r'^2.

    Book: eq-mu-limit
    """
    square = _spectrum(singular_values) ** 2
    a, b = torch.broadcast_tensors(square[:, None], square[None, :])
    near = (a - b).abs() <= 1e-6 * torch.maximum(a, b)
    gap = torch.where(near, torch.ones_like(a), a.log() - b.log())
    mean = torch.where(near, (a + b) / 2, (a - b) / gap)
    return torch.where((a == 0) | (b == 0), torch.zeros_like(mean), mean)


def preconditioner(W_e: Tensor, depth: int) -> Tensor:
    """P `(d*d, d*d)` with `vec(update) = -lr P vec(gradient)`, vec column-major (Sun 2021, eq. 2-4).

    P = sum over r, r' of mu_{r,r'} e e^T with e = vec(u_r v_r'^T); it holds for balanced chains, to first order.

    Book: eq-update, eq-preconditioner
    """
    U, sigma, Vh = torch.linalg.svd(_square(W_e, "W_e"))
    mu = coefficients(sigma, depth)
    # vec(u v^T) = v kron u, so the basis matrix is V kron U, and its columns run over r' slowly, r fast
    basis = torch.kron(Vh.T.contiguous(), U.contiguous())
    return (basis * mu.T.reshape(1, -1)) @ basis.T


def predicted_update(W_e: Tensor, gradient: Tensor, depth: int, lr: float) -> Tensor:
    """The first-order change `(d, d)` of W_e, `-lr U (mu * (U^T G V)) V^T` (Sun 2021, eq. 2 and 7).

    The same as `preconditioner` applied to vec(G), in O(d^3) instead of O(d^4).

    Book: eq-update-modes
    """
    W_e, gradient = _square(W_e, "W_e"), _square(gradient, "gradient")
    _alike(gradient, W_e, "W_e")
    U, sigma, Vh = torch.linalg.svd(W_e)
    projected = U.T @ gradient @ Vh.T
    return -lr * U @ (coefficients(sigma, depth) * projected) @ Vh


def batch_gradient(output_gradients: Tensor, codes: Tensor) -> Tensor:
    """DL/dW_e `(d, d)` from per-sample gradients dL/dz_N and codes z, both `(n, d)` (Sun 2021, eq. 6).

    It is the sum over the batch of outer products, not the outer product of sums.

    Book: eq-batch-gradient
    """
    if output_gradients.ndim != 2 or output_gradients.shape != codes.shape:
        shapes = f"{tuple(output_gradients.shape)} and {tuple(codes.shape)}"
        raise ValueError(f"output_gradients and codes must share a shape (n, d), not have {shapes}.")
    return output_gradients.detach().double().T @ codes.detach().double()


def balanced_chain(W_e: Tensor, depth: int, generator: torch.Generator | None = None) -> list[Tensor]:
    """A balanced chain with product `W_e`: N-th roots of its singular values, random frames between.

    With W_e = U S V^T the layers are `W_i = Q_i S^{1/N} Q_{i-1}^T`, Q_0 = V, Q_N = U and the rest Haar-random.

    Book: eq-balanced-chain
    """
    U, sigma, Vh = torch.linalg.svd(_square(W_e, "W_e"))
    frames = [Vh.T]
    for _ in range(_depth(depth) - 1):
        frame = torch.empty_like(U)
        frames.append(torch.nn.init.orthogonal_(frame, generator=generator))
    frames.append(U)
    root = torch.diag(sigma ** (1 / depth))
    return [up @ root @ low.T for low, up in pairwise(frames)]


def _product(layers: Sequence[Tensor], width: int) -> Tensor:
    """`W_N ... W_1`; the identity for no layers."""
    product = torch.eye(width, dtype=torch.float64)
    for layer in layers:
        product = layer @ product
    return product


def _chain(layers: Sequence[Tensor]) -> list[Tensor]:
    layers = [_square(layer, f"layers[{i}]") for i, layer in enumerate(layers)]
    if len({len(layer) for layer in layers}) != 1:
        raise ValueError(f"layers must be one or more matrices of one width, not of widths {[*map(len, layers)]}.")
    return layers


def _alike(gradient: Tensor, other: Tensor, name: str) -> None:
    if gradient.shape != other.shape:
        raise ValueError(f"gradient must be as wide as {name} ({len(other)}), not {len(gradient)}.")


def _spectrum(singular_values: Tensor) -> Tensor:
    sigma = torch.as_tensor(singular_values, dtype=torch.float64)
    if sigma.ndim != 1 or not sigma.isfinite().all() or (sigma < 0).any():
        raise ValueError("singular_values must be a vector of finite numbers that are not negative.")
    return sigma


def _depth(depth: int) -> int:
    if whole(depth) is None or depth < 1:
        raise ValueError(f"depth must be an integer of at least 1, not {depth!r}.")
    return whole(depth)


def _square(matrix: Tensor, name: str) -> Tensor:
    matrix = torch.as_tensor(matrix, dtype=torch.float64).detach()
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must be a square matrix, not one of shape {tuple(matrix.shape)}.")
    if not matrix.isfinite().all():
        raise ValueError(f"{name} must be finite; it holds NaN or infinity.")
    return matrix
