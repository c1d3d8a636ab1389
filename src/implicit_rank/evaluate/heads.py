"""Classification heads side by side: stacked weights, one flat buffer for the optimiser, closed-form gradients."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

# hidden layers, dropout of one half after each, bias of the last layer
HEADS = {
    "linear": (0, False, True),
    "mlp": (1, False, True),  # the 2-layer ReLU MLP of Sun 2021
    "official": (2, True, False),  # the released code of Jing 2020
}


class Heads:
    """P heads with a leading axis: `weights[i]` `(P, out, in)` and `biases[i]` `(P, out, 1)` or None.

    All of them are views of `values`, and their gradients views of `values.grad`, so that an elementwise
    optimiser needs one call for everything. Starts are those of `nn.Linear`, U(-1/sqrt(in), 1/sqrt(in)), drawn from
    each head's own generator in float64, so that a head does not depend on its neighbours or on `dtype`.
    """

    def __init__(
        self,
        kind: str,
        inputs: int,
        classes: int,
        hidden: int,
        generators: list[torch.Generator],
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        if kind not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}, not {kind!r}.")
        layers, self.dropout, last_bias = HEADS[kind]
        self.hidden = [hidden] * layers
        self.generators = generators
        widths = [inputs, *self.hidden, classes]
        shapes = []
        for i, (width_in, width_out) in enumerate(pairwise(widths)):
            shapes.append((width_out, width_in))
            shapes.append((width_out, 1) if last_bias or i < layers else None)
        self.widest = max(widths[1:])
        size = sum(len(generators) * a * b for a, b in filter(None, shapes))
        self.values = torch.empty(size, dtype=dtype, device=device)
        self.values.grad = torch.zeros_like(self.values)
        self._shapes = [None if shape is None else (len(generators), *shape) for shape in shapes]
        values, gradients = self.split(self.values), self.split(self.values.grad)
        self.weights, self.biases = values[::2], values[1::2]
        self._weight_gradients, self._bias_gradients = gradients[::2], gradients[1::2]
        for p, generator in enumerate(generators):
            for weight, bias in zip(self.weights, self.biases, strict=True):
                bound = weight.shape[-1] ** -0.5
                for tensor in (weight, bias):
                    if tensor is not None:
                        start = torch.rand(tensor.shape[1:], generator=generator, dtype=torch.float64)
                        tensor[p] = (2 * start - 1) * bound
        bits = (torch.arange(256, device=device)[:, None] >> torch.arange(8, device=device)) & 1
        self._coins = 2.0 * bits.to(dtype)  # dropout scales what it keeps, here by two

    def split(self, values: Tensor) -> list[Tensor | None]:
        """The views of a flat buffer: weight, bias, weight, bias, ..., each `(P, ...)`; None for no bias."""
        views, start = [], 0
        for shape in self._shapes:
            size = 0 if shape is None else math.prod(shape)
            views.append(None if shape is None else values[start : start + size].view(shape))
            start += size
        return views

    def toss(self, batches: int, batch: int) -> Tensor | None:
        """Dropout's coins `(P, batches, bytes)`, eight a byte, on the CPU; None without dropout."""
        if not self.dropout:
            return None
        words = -(-sum(self.hidden) * batch // 64)
        coins = torch.empty(len(self.generators), batches, words, dtype=torch.int64)
        for own, generator in zip(coins, self.generators, strict=True):
            own.random_(-(2**63), None, generator=generator)
        return coins.view(torch.uint8)

    def masks(self, coins: Tensor | None, batch: int) -> Tensor | None:
        """Masks of zeros and twos `(batches, layers, P, hidden, batch)` from coins `(P, batches, bytes)`."""
        if coins is None:
            return None
        coins = coins.to(self.values.device).transpose(0, 1)
        unpacked = self._coins.index_select(0, coins.flatten().int()).view(*coins.shape[:2], -1)
        unpacked = unpacked[..., : sum(self.hidden) * batch]
        return unpacked.view(*coins.shape[:2], len(self.hidden), self.hidden[0], batch).transpose(1, 2)

    def logits(self, codes: Tensor, part: slice = slice(None)) -> Tensor:
        """The logits `(p, c, n)` of the heads in `part` for codes `([p,] n, d)`, without dropout."""
        layer = codes.expand(len(self.generators[part]), *codes.shape[-2:]).mT
        for i in range(len(self.weights)):
            layer = self._linear(i, layer, part)
            if i < len(self.hidden):
                layer = layer.relu_()
        return layer

    def gradient(self, codes: Tensor, targets: Tensor, masks: Tensor | None = None) -> None:
        """Fill `values.grad` with every head's own gradient of its mean cross-entropy over the batch.

        `codes` `(P, b, d)`; `targets` `(P, c, b)` one-hot; `masks` `(layers, P, hidden, b)`.
        """
        layers = [codes.mT]  # samples last: the matrix products and the softmax are fastest that way
        for i in range(len(self.hidden)):
            layer = self._linear(i, layers[-1]).relu_()
            layers.append(layer if masks is None else layer.mul_(masks[i]))
        # the cross-entropy's derivative: probabilities minus targets
        change = self._linear(len(self.hidden), layers[-1]).softmax(dim=-2).sub_(targets).mul_(1 / codes.shape[1])
        for i in reversed(range(len(self.weights))):
            torch.bmm(change, layers[i].mT, out=self._weight_gradients[i])
            if self._bias_gradients[i] is not None:
                torch.sum(change, dim=-1, keepdim=True, out=self._bias_gradients[i])
            if i:
                # a unit that is off, or dropped, passes nothing on: it is zero, and the others are positive
                change = torch.bmm(self.weights[i].mT, change).mul_(layers[i].sign())
                if masks is not None:
                    change.mul_(2)

    def _linear(self, i: int, columns: Tensor, part: slice = slice(None)) -> Tensor:
        weight, bias = self.weights[i][part], self.biases[i]
        return torch.bmm(weight, columns) if bias is None else torch.baddbmm(bias[part], weight, columns)
