"""The Brockett cost tr(N O M O^T) of a rotation O: what unequal penalties, nested dropout and the VAE make of one.

Rotations turn the latent space, W1 -> O W1 and W2 -> W2 O^T, and leave W2 W1 as it is (Bao 2020, Appendices F and G).
`weights` (k,) are the diagonal of N, `M` is symmetric `(k, k)`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.theory.landscape.losses import spectrum


def brockett_cost(O: Tensor, weights: Tensor, M: Tensor) -> Tensor:  # noqa: E741
    """`tr(N O M O^T)` for rotations O `(..., k, k)`, N = diag(weights).

    Raises ValueError for shapes that do not fit.

    Book: eq-bao-brockett
    """
    O, n, M = _checked(O, weights, M)  # noqa: E741
    return (n * (O @ M @ O.mT).diagonal(dim1=-2, dim2=-1)).sum(-1)


def brockett_generator(M: Tensor, weights: Tensor) -> Tensor:
    """The skew `[M, N]`, `M_ij (n_j - n_i)`, along which turning lowers `tr(N M)` fastest: minus its gradient.

    Book: eq-bao-brockett-generator
    """
    _, n, M = _checked(torch.eye(len(torch.as_tensor(weights)), dtype=torch.float64), weights, M)
    return M * (n - n[:, None])


def brockett_curvature(weights: Tensor, diagonal: Tensor) -> Tensor:
    """The second derivatives `-2 (n_i - n_j)(m_i - m_j)` `(k, k)` of the cost at O = I, M diagonal, turning i into j.

    The angle is the unit: it is a curvature along a turn of length 1 in angle, not in the weights.

    Book: eq-bao-brockett-curvature
    """
    n, m = (torch.as_tensor(x, dtype=torch.float64) for x in (weights, diagonal))
    return -2 * (n[:, None] - n) * (m[:, None] - m)


def vae_optimum(U: Tensor, s: Tensor, k: int, order: Tensor | None = None) -> dict[str, Tensor]:
    """A stationary point of the linear VAE: `W2 = U (S - v)^(1/2)`, `W1 = S^-1 W2^T`, variances v / s_i, noise v.

    `U` (D, D) and `s` (D,) are all axes and eigenvalues; v is the mean of the D - k last ones, and unit a carries the
    component `order[a]` of the first k, any order being as good. The names are those of `linear.models.linear_vae`,
    each with a leading axis of one member. Raises ValueError unless s_k exceeds v (Lucas et al. 2019; Bao 2020, F).

    Book: eq-bao-vae-optimum
    """
    s = spectrum(s, k)
    if not k < len(s):
        raise ValueError(
            f"the linear VAE's noise is the mean of the eigenvalues beyond k, so k must be below {len(s)}."
        )
    order = torch.arange(k) if order is None else torch.as_tensor(order)
    noise, own = s[k:].mean(), s[:k][order]
    if not own.min() > noise > 0:
        raise ValueError("the first k eigenvalues must exceed the mean of the others, and that must be positive.")
    axes = torch.as_tensor(U, dtype=torch.float64)[:, :k][:, order]
    decoder = axes * (own - noise).sqrt()
    return {
        "encoder": (decoder / own).T[None].clone(),
        "decoder": decoder[None].clone(),
        "log_variance": (noise / own).log()[None],
        "log_noise": noise.log()[None],
    }


def _checked(O: Tensor, weights: Tensor, M: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: E741
    O, n, M = (torch.as_tensor(x, dtype=torch.float64) for x in (O, weights, M))  # noqa: E741
    k = n.shape[-1] if n.ndim == 1 else 0
    if k == 0 or O.shape[-2:] != (k, k) or M.shape[-2:] != (k, k):
        raise ValueError(
            f"rotation and M must be (k, k) and weights (k,): {tuple(O.shape)}, {tuple(M.shape)}, {tuple(n.shape)}."
        )
    return O, n, M
