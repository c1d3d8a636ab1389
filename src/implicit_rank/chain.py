"""LinearChain: N square linear maps in a row, the sub-network that makes gradient descent choose low rank."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

INITS = ("default", "he", "orthogonal")
SHARINGS = (None, "all", "transpose")


def initial_layer(
    width: int,
    init: str = "default",
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Draw one square weight ``(width, width)`` the way ``init`` says.

    "default" is ``nn.Linear``'s own start, U(-1/sqrt d, 1/sqrt d), which is what Sun 2021 (3.1) must mean by its
    standard start and what Jing 2020's released code uses; "he" is the normal start with variance 2/d;
    "orthogonal" is a Haar-random orthogonal matrix (Sun 2021, 2.3).
    """
    if init not in INITS:
        raise ValueError(f"init must be one of {', '.join(INITS)}, not {init!r}.")
    weight = torch.empty(width, width, dtype=dtype)
    if init == "default":
        return nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    if init == "he":
        return nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
    return nn.init.orthogonal_(weight, generator=generator)


class LinearChain(nn.Module):
    """A product of ``depth`` bias-free square linear maps, to be put at an autoencoder's bottleneck.

    It computes ``W_N ... W_1 z`` for codes ``z`` of shape ``(..., width)``. The function class is that of one
    linear map; what changes is the path of gradient descent (Jing 2020, eq. 1; Sun 2021, 2.1).

    Parameters: ``init`` is "default", "he" or "orthogonal" (see :func:`initial_layer`); ``scale`` multiplies the
    start of the whole product W_e, so each layer gets ``scale ** (1 / depth)`` (Sun 2021, 2.3); ``alpha``
    re-parameterises W_i = alpha * What_i without changing the start (Sun 2021, 2.4); ``sharing`` is None, "all"
    (one matrix used everywhere) or "transpose" (W and its transpose in turn); ``activation`` is a function put
    between the maps (Jing 2020, Fig. 10); ``frozen`` keeps the maps at their start (Jing 2020, Fig. 9);
    ``generator`` draws the start. Raises ValueError, in one sentence, for anything else.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        init: str = "default",
        scale: float = 1.0,
        alpha: float = 1.0,
        sharing: str | None = None,
        activation: Callable[[Tensor], Tensor] | None = None,
        frozen: bool = False,
        generator: torch.Generator | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ):
        super().__init__()
        for name, value in (("width", width), ("depth", depth)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, not {value!r}.")
        for name, value in (("scale", scale), ("alpha", alpha)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise ValueError(f"{name} must be a positive finite number, not {value!r}.")
        if sharing not in SHARINGS:
            raise ValueError(f"sharing must be None, 'all' or 'transpose', not {sharing!r}.")
        if activation is not None and not callable(activation):
            raise ValueError(f"activation must be None or a function of a tensor, not {activation!r}.")
        self.width, self.depth, self.init = width, depth, init
        self.scale, self.alpha, self.sharing, self.frozen = float(scale), float(alpha), sharing, frozen
        self.activation = activation
        factor = self.scale ** (1 / depth) / self.alpha
        weights = [
            initial_layer(width, init, generator, dtype).mul_(factor).to(device)
            for _ in range(depth if sharing is None else 1)
        ]
        self.weights = nn.ParameterList([nn.Parameter(weight, requires_grad=not frozen) for weight in weights])

    def layers(self) -> list[Tensor]:
        """Return the maps W_1, ..., W_N as they act, each ``(width, width)``, alpha included."""
        weights = [self.alpha * weight for weight in self.weights]
        if self.sharing is None:
            return weights
        turned = weights[0].T if self.sharing == "transpose" else weights[0]
        return [turned if i % 2 else weights[0] for i in range(self.depth)]

    def forward(self, codes: Tensor) -> Tensor:
        """Map codes ``(..., width)`` to codes ``(..., width)``."""
        for i, layer in enumerate(self.layers()):
            if i and self.activation is not None:
                codes = self.activation(codes)
            codes = nn.functional.linear(codes, layer)
        return codes

    def effective_matrix(self) -> Tensor:
        """Return ``W_e = W_N ... W_1`` ``(width, width)``, differentiable; ValueError with an activation between.

        Book: eq-effective
        """
        if self.activation is not None:
            raise ValueError("a chain with an activation between its maps has no effective matrix.")
        product = None
        for layer in self.layers():
            product = layer if product is None else layer @ product
        return product

    @torch.no_grad()
    def collapse(self) -> nn.Linear:
        """Return the one bias-free ``nn.Linear`` that acts as the chain does, for inference."""
        effective = self.effective_matrix()
        # no start is drawn for it: a collapse midway must not shift a seeded run's random numbers
        options = {"bias": False, "device": effective.device, "dtype": effective.dtype}
        linear = nn.utils.skip_init(nn.Linear, self.width, self.width, **options)
        linear.weight.copy_(effective)
        return linear

    def parameter_groups(self, lr: float) -> list[dict]:
        """Return optimiser groups with the learning rate divided by N (Sun 2021, 2.5); empty when frozen.

        The division keeps the largest coefficient of the preconditioner, about N sigma_1^2, from growing with N.
        """
        if not 0 < lr < math.inf:
            raise ValueError(f"lr must be a positive finite number, not {lr!r}.")
        return [] if self.frozen else [{"params": list(self.weights), "lr": lr / self.depth}]

    def extra_repr(self) -> str:
        return (
            f"width={self.width}, depth={self.depth}, init={self.init!r}, scale={self.scale:g}, "
            f"alpha={self.alpha:g}, sharing={self.sharing!r}, frozen={self.frozen}"
        )
