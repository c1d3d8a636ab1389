"""LinearChain: N square linear maps in a row, the sub-network that makes gradient descent choose low rank."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from implicit_rank.parameters.numbers import real, truth, whole

INITS = ("default", "he", "orthogonal")
SHARINGS = (None, "all", "transpose", "pairs")


def initial_layer(
    width: int, init: str = "default", generator: torch.Generator | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """Draw one square weight `(width, width)` the way `init` says.

    "default" is `nn.Linear`'s own start, U(-1/sqrt d, 1/sqrt d), which is what Sun 2021 (3.1) must mean by its
    standard start and what Jing 2020's released code uses; "he" is the normal start with variance 2/d;
    "orthogonal" is a Haar-random orthogonal matrix (Sun 2021, 2.3).
    """
    return initial_map(width, width, init, generator, dtype)


def initial_map(
    outputs: int,
    inputs: int,
    init: str = "default",
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Draw one weight `(outputs, inputs)` of any shape; a square one is `initial_layer`'s, bit for bit.

    Variances go by the number of inputs; "orthogonal" is semi-orthogonal, so all singular values are one. In 16 bits
    it is drawn in float32 and rounded.
    """
    if init not in INITS:
        raise ValueError(f"init must be one of {', '.join(INITS)}, not {init!r}.")
    weight = torch.empty(outputs, inputs, dtype=dtype)
    if init == "default":
        return nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    if init == "he":
        return nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
    if weight.dtype in (torch.float16, torch.bfloat16):  # PyTorch's QR decomposition has no 16 bits
        return weight.copy_(nn.init.orthogonal_(weight.float(), generator=generator))
    return nn.init.orthogonal_(weight, generator=generator)


class LinearChain(nn.Module):
    """A product of `depth` bias-free square linear maps, to be put at an autoencoder's bottleneck.

    It computes `W_N ... W_1 z` for codes `z` of shape `(..., width)`. The function class is that of one
    linear map; what changes is the path of gradient descent (Jing 2020, eq. 1; Sun 2021, 2.1).

    Parameters: `init` is "default", "he" or "orthogonal" (see `initial_layer`); `scale` multiplies the
    start of the whole product W_e, so each layer gets `scale ** (1 / depth)` (Sun 2021, 2.3); `alpha`
    re-parameterises W_i = alpha * What_i without changing the start (Sun 2021, 2.4); `sharing` is None, "all"
    (one matrix used everywhere; Jing 2020, Fig. 11), "transpose" (W and its transpose in turn) or "pairs" (W_1,
    W_1, W_2, W_2, ...: neighbours share; an odd last map stands alone); `activation` is a function put
    between the maps (Jing 2020, Fig. 10); `frozen` keeps the maps at their start (Jing 2020, Fig. 9);
    `generator` draws the start; `inner` caps the rank: the maps are `(inner, width)`, `(inner, inner)`, ...,
    `(width, inner)`, so at least two of them, none shared (Sun 2021, 3.2). Numbers may be NumPy's. Raises
    ValueError, in one sentence, for anything else.

    A `state_dict` also holds, as text in a uint8 tensor, the shape, `alpha`, `scale`, `sharing` and the name of
    the activation: without them the weights mean another map. `load_state_dict` into a chain of others is
    a ValueError that names both. A state saved without them lacks the key `_extra_state`, which PyTorch
    reports as missing; `strict=False` takes its weights as they are.
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
        inner: int | None = None,
    ):
        super().__init__()
        given = {"width": (whole(width), width), "depth": (whole(depth), depth)}
        for name, (number, value) in given.items():
            if number is None or number < 1:
                raise ValueError(f"{name} must be an integer of at least 1, not {value!r}.")
        width, depth = (number for number, _ in given.values())
        for name, value in (("scale", scale), ("alpha", alpha)):
            if not _is_positive(real(value)):
                raise ValueError(f"{name} must be a positive finite number, not {value!r}.")
        if truth(frozen) is None:
            raise ValueError(f"frozen must be True or False, not {frozen!r}.")
        if sharing not in SHARINGS:
            raise ValueError(f"sharing must be None, 'all', 'transpose' or 'pairs', not {sharing!r}.")
        if activation is not None and not callable(activation):
            raise ValueError(f"activation must be None or a function of a tensor, not {activation!r}.")
        if inner is not None:
            if whole(inner) is None or not 1 <= inner <= width:
                raise ValueError(f"inner must be None or an integer from 1 to the width {width}, not {inner!r}.")
            inner = whole(inner)
            if depth < 2 or sharing is not None:
                raise ValueError("an inner width needs a depth of at least 2 and maps that are not shared.")
        self.width, self.depth, self.init, self.inner = width, depth, init, inner
        self.scale, self.alpha, self.sharing, self.frozen = real(scale), real(alpha), sharing, truth(frozen)
        self.activation = activation
        factor = self.scale ** (1 / depth) / self.alpha
        count = {None: depth, "pairs": (depth + 1) // 2}.get(sharing, 1)
        if inner is None:
            starts = [initial_layer(width, init, generator, dtype) for _ in range(count)]
        else:
            widths = [width, *[inner] * (depth - 1), width]
            starts = [initial_map(after, before, init, generator, dtype) for before, after in pairwise(widths)]
        weights = [start.mul_(factor).to(device) for start in starts]
        self.weights = nn.ParameterList([nn.Parameter(weight, requires_grad=not self.frozen) for weight in weights])

    @classmethod
    @torch.no_grad()
    def from_matrix(cls, matrix: Tensor, rank: int, alpha: float = 1.0) -> LinearChain:
        """Two maps of inner width `rank` whose product is the best approximation of `matrix` (d, d).

        With the truncated SVD U S V^T they are W_1 = sqrt(S) V^T and W_2 = U sqrt(S): balanced, and the start of
        Sun 2021's second stage (3.2). The SVD is float64, the maps have the matrix's dtype and device. A singular
        value of zero stays zero under gradient descent. ValueError for a matrix that is not square or not finite.
        """
        if not isinstance(matrix, Tensor):
            raise ValueError(f"matrix must be a tensor (torch.from_numpy makes one), not {type(matrix).__name__}.")
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"matrix must be square, not of shape {tuple(matrix.shape)}.")
        if whole(rank) is None or not 1 <= rank <= len(matrix):
            raise ValueError(f"rank must be an integer from 1 to the width {len(matrix)}, not {rank!r}.")
        rank = whole(rank)
        if not torch.isfinite(matrix).all():
            raise ValueError("matrix must be finite, and this one holds NaN or infinite entries.")
        U, S, Vh = torch.linalg.svd(matrix.double())
        root = S[:rank].sqrt()
        # its random start is overwritten: a generator of its own keeps the global one untouched
        options = {"dtype": matrix.dtype, "device": matrix.device, "generator": torch.Generator()}
        chain = cls(len(matrix), 2, alpha=alpha, inner=rank, **options)
        chain.init = "from_matrix"
        chain.weights[0].copy_(root[:, None] * Vh[:rank] / chain.alpha)
        chain.weights[1].copy_(U[:, :rank] * root / chain.alpha)
        return chain

    def layers(self) -> list[Tensor]:
        """The maps W_1, ..., W_N as they act, each `(out, in)`, alpha included."""
        return self._in_order([self.alpha * weight for weight in self.weights])

    def raw_layers(self) -> list[Tensor]:
        """The maps What_1, ..., What_N without alpha: the parameters or views of them, shared ones repeated."""
        return self._in_order(list(self.weights))

    def _in_order(self, weights: list[Tensor]) -> list[Tensor]:
        if self.sharing is None:
            return weights
        if self.sharing == "pairs":
            return [weights[i // 2] for i in range(self.depth)]
        turned = weights[0].T if self.sharing == "transpose" else weights[0]
        return [turned if i % 2 else weights[0] for i in range(self.depth)]

    def freeze(self) -> LinearChain:
        """Keep the maps as they are from now on (a later freeze than Jing 2020's Fig. 9) and return the chain."""
        self.frozen = True
        for weight in self.weights:
            weight.requires_grad_(False)
            weight.grad = None
        return self

    def forward(self, codes: Tensor) -> Tensor:
        """Map codes `(..., width)` to codes `(..., width)`."""
        for i, layer in enumerate(self.layers()):
            if i and self.activation is not None:
                codes = self.activation(codes)
            codes = nn.functional.linear(codes, layer)
        return codes

    def effective_matrix(self) -> Tensor:
        """`W_e = W_N ... W_1` `(width, width)`, differentiable; ValueError with an activation between.

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
        """The one bias-free `nn.Linear` that acts as the chain does, in the weights' own precision."""
        kind = self.weights[0].device.type
        with torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else contextlib.nullcontext():
            effective = self.effective_matrix()
        # no start is drawn for it: a collapse midway must not shift a seeded run's random numbers
        options = {"bias": False, "device": effective.device, "dtype": effective.dtype}
        linear = nn.utils.skip_init(nn.Linear, self.width, self.width, **options)
        linear.weight.copy_(effective)
        return linear

    def parameter_groups(self, lr: float) -> list[dict]:
        """Optimiser groups with the maps' learning rate divided by N (Sun 2021, 2.5); none of frozen maps.

        The division keeps the largest coefficient of the preconditioner, about N sigma_1^2, from growing with N.
        An activation's own parameters, if any, are a group at `lr` itself.
        """
        if not _is_positive(real(lr)):
            raise ValueError(f"lr must be a positive finite number, not {lr!r}.")
        groups = [] if self.frozen else [{"params": list(self.weights), "lr": lr / self.depth}]
        own = list(self.activation.parameters()) if isinstance(self.activation, nn.Module) else []
        return groups + ([{"params": own, "lr": lr}] if own else [])

    def get_extra_state(self) -> Tensor:
        """What the weights mean, as JSON text in a uint8 tensor: the `_extra_state` of a `state_dict`.

        A tensor, so that `torch.load(weights_only=True)` and safetensors take it; of bytes, so that no cast rounds
        it; and no buffer, so that it is never stacked over an ensemble, moved or traced.
        """
        return torch.tensor(list(json.dumps(self._meaning()).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse the weights of a chain in which they mean something else (ValueError naming both)."""
        try:
            theirs = json.loads(bytes(state.to("cpu", torch.uint8).tolist()))
            ours = self._meaning()
            differing = [name for name in ours if theirs[name] != ours[name]]
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError("the state is not that of a LinearChain: its _extra_state cannot be read.") from error
        if differing:
            one, other = (", ".join(f"{name} {of[name]!r}" for name in differing) for of in (theirs, ours))
            raise ValueError(
                f"the state is of a LinearChain with {one}, and this one has {other}: build it like that one."
            )

    def _meaning(self) -> dict[str, Any]:
        names = ("width", "depth", "inner", "alpha", "scale", "sharing")
        activation = getattr(self.activation, "__name__", type(self.activation).__name__)
        # torch.relu, nn.functional.relu and nn.ReLU() are one
        named = None if self.activation is None else activation.lower().replace("_", "")
        return {name: getattr(self, name) for name in names} | {"activation": named}

    def extra_repr(self) -> str:
        inner = "" if self.inner is None else f", inner={self.inner}"
        return (
            f"width={self.width}, depth={self.depth}, init={self.init!r}, scale={self.scale:g}, "
            f"alpha={self.alpha:g}, sharing={self.sharing!r}, frozen={self.frozen}{inner}"
        )


def _is_positive(number: float | None) -> bool:
    return number is not None and 0 < number < math.inf
