"""Elementwise optimisers whose learning rate may differ from member to member.

`torch.optim` has one rate per tensor; here the leading axis of every tensor is the member axis, so a
rate is a tensor as well. The update rules are those of `torch.optim`, which serves as oracle in the tests.
"""

from __future__ import annotations

import torch
from torch import Tensor

Rate = float | Tensor | dict[str, float | Tensor]


class Optimiser:
    """Base of the optimisers: a learning rate and, per parameter, whatever state the rule keeps.

    `lr` is a float, a tensor `(m,)` with one rate per member, or a dictionary of these by parameter name.
    """

    def __init__(self, lr: Rate):
        self.lr = lr
        self.state: dict[str, dict[str, Tensor]] = {}

    def update(self, parameters: dict[str, Tensor], gradients: dict[str, Tensor]) -> None:
        """Take one step in place; every tensor has the member axis first."""
        for name, parameter in parameters.items():
            self._move(name, parameter, self._direction(name, gradients[name]))

    def _direction(self, name: str, gradient: Tensor) -> Tensor:
        raise NotImplementedError

    def _move(self, name: str, parameter: Tensor, direction: Tensor) -> None:
        lr = self.lr[name] if isinstance(self.lr, dict) else self.lr
        if isinstance(lr, Tensor):
            # a ragged ensemble holds only its first members in some tensors
            lr = lr[: parameter.shape[0]].to(parameter).view(-1, *[1] * (parameter.ndim - 1))
            parameter.addcmul_(direction, lr, value=-1)
        else:
            parameter.add_(direction, alpha=-lr)


class GradientDescent(Optimiser):
    """Plain gradient descent."""

    def _direction(self, name: str, gradient: Tensor) -> Tensor:
        return gradient


class Nesterov(Optimiser):
    """Gradient descent with Nesterov momentum, in the form of `torch.optim.SGD(nesterov=True)`."""

    def __init__(self, lr: Rate, momentum: float = 0.9):
        super().__init__(lr)
        self.momentum = momentum

    def _direction(self, name: str, gradient: Tensor) -> Tensor:
        state = self.state.setdefault(name, {"velocity": torch.zeros_like(gradient)})
        velocity = state["velocity"].mul_(self.momentum).add_(gradient)
        return gradient + self.momentum * velocity


class Adam(Optimiser):
    """Adam with bias correction (Kingma and Ba 2015), in the form of `torch.optim.Adam`."""

    def __init__(self, lr: Rate, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8):
        super().__init__(lr)
        self.betas, self.eps, self.steps = betas, eps, 0

    def update(self, parameters: dict[str, Tensor], gradients: dict[str, Tensor]) -> None:
        self.steps += 1
        super().update(parameters, gradients)

    def _direction(self, name: str, gradient: Tensor) -> Tensor:
        first, second = self.betas
        zeros = torch.zeros_like
        state = self.state.setdefault(name, {"mean": zeros(gradient), "square": zeros(gradient)})
        mean = state["mean"].lerp_(gradient, 1 - first)
        square = state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = (square / (1 - second**self.steps)).sqrt_().add_(self.eps)
        return mean / scale.mul_(1 - first**self.steps)


OPTIMISERS = {"gd": GradientDescent, "nesterov": Nesterov, "adam": Adam}
