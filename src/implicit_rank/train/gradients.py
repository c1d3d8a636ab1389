"""Losses and gradients of all members at one step: member by member, or all at once with a leading member axis."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from implicit_rank.autoencoder import LOSSES, Autoencoder, objective
from implicit_rank.train.settings import Member, Settings

Batch = Sequence[tuple[Tensor, Tensor | None]]


def autocast(settings: Settings, device: torch.device):
    """The context in which products are taken in bfloat16, where asked for."""
    if settings.precision != "bfloat16":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def coefficients(settings: Settings, member: Member) -> dict[str, float]:
    """The numbers of a member's loss: beta of a VAE, l1 and l2 of its codes."""
    beta = LOSSES[settings.loss] if member.beta is None else member.beta
    return {"l1": member.l1, "l2": member.l2} | ({} if beta is None else {"beta": beta})


class MemberByMember:
    """Gradients of one model after another: nothing is wasted, and a stopped member costs nothing."""

    def __init__(
        self, models: Sequence[Autoencoder], members: Sequence[Member], settings: Settings, device: torch.device
    ):
        self.models, self.members, self.settings, self.device = list(models), list(members), settings, device

    def __call__(self, batch: Batch) -> Tensor:
        """Fill every parameter's `.grad` and return the losses `(m,)`, detached."""
        losses = []
        for model, member, (images, noise) in zip(self.models, self.members, batch, strict=True):
            for parameter in model.parameters():
                parameter.grad = None
            with autocast(self.settings, self.device):
                output = model(images, noise)
            loss = objective(output, images, loss=self.settings.loss, **coefficients(self.settings, member))
            loss.backward()
            losses.append(loss.detach())
        return torch.stack(losses)


class PaddedChain(nn.Module):
    """A chain whose maps are one tensor `weights` (N, d, d), padded with the identity, for use under vmap.

    `between` (N,) is 1 where the activation stands before map j. The counterpart of `LinearChain`'s loop.
    """

    def __init__(self, weights: Tensor, between: Tensor, activation=None):
        super().__init__()
        self.weights, self.activation = nn.Parameter(weights), activation
        self.register_buffer("between", between)

    def forward(self, codes: Tensor) -> Tensor:
        for j in range(self.weights.shape[0]):
            if j and self.activation is not None:
                codes = torch.where(self.between[j] > 0, self.activation(codes), codes)
            codes = codes @ self.weights[j].mT
        return codes


class AllAtOnce:
    """Gradients of all models by one vectorised pass: stacked parameters, `functional_call` and `vmap`.

    Members may differ in depth, sharing, inner width and activation (one kind of activation in an ensemble): chains
    are padded with identities to the greatest depth, inner widths with zeros. Autograd carries the gradient of
    the stack back to every model's own parameters.
    """

    def __init__(
        self, models: Sequence[Autoencoder], members: Sequence[Member], settings: Settings, device: torch.device
    ):
        self.models, self.settings, self.device = list(models), settings, device
        first = models[0]
        self.names = [name for name, _ in first.named_parameters() if not name.startswith("chain.")]
        self.parameters = [dict(model.named_parameters()) for model in models]
        self.template = copy.deepcopy(first).requires_grad_(False)
        like = next(first.parameters())
        table = [coefficients(settings, member) for member in members]
        self.coefficients = {key: like.new_tensor([row[key] for row in table]) for key in table[0]}
        chains = [model.chain for model in models]
        self.chains = None if all(chain is None for chain in chains) else chains
        self.fixed = {}
        if self.chains is not None:
            self.depth = max(len(chain.raw_layers()) if chain is not None else 0 for chain in chains)
            self.width = next(chain.width for chain in chains if chain is not None)
            self.identity = torch.eye(self.width, dtype=like.dtype, device=device)
            self.alpha = like.new_tensor([self._alphas(chain) for chain in chains])[:, :, None, None]
            activations = {c.activation for c in chains if c is not None and c.activation is not None}
            if len(activations) > 1:
                raise ValueError("members of one ensemble may use one kind of activation between the maps, not two.")
            active = [chain is not None and chain.activation is not None for chain in chains]
            between = [
                [float(active[i] and 0 < j < chain.depth) if chain is not None else 0.0 for j in range(self.depth)]
                for i, chain in enumerate(chains)
            ]
            self.fixed["chain.between"] = like.new_tensor(between)
            empty = like.new_zeros(self.depth, self.width, self.width)
            activation = next(iter(activations), None)
            self.template.chain = PaddedChain(empty, like.new_zeros(self.depth), activation).requires_grad_(False)

    def _alphas(self, chain) -> list[float]:
        own = [] if chain is None else [chain.alpha] * len(chain.raw_layers())
        return own + [1.0] * (self.depth - len(own))

    def _padded(self, chain) -> list[Tensor]:
        maps = [] if chain is None else chain.raw_layers()
        d = self.width
        square = [nn.functional.pad(w, (0, d - w.shape[1], 0, d - w.shape[0])) for w in maps]
        return square + [self.identity] * (self.depth - len(maps))

    def __call__(self, batch: Batch) -> Tensor:
        """Fill every parameter's `.grad` and return the losses `(m,)`, detached."""
        for model in self.models:
            for parameter in model.parameters():
                parameter.grad = None
        images = torch.stack([images for images, _ in batch])
        noises = None if batch[0][1] is None else torch.stack([noise for _, noise in batch])
        losses = self.losses(images, noises)
        losses.sum().backward()
        return losses.detach()

    def losses(self, images: Tensor, noises: Tensor | None) -> Tensor:
        """The losses `(m,)` of batches `(m, b, c, h, w)` and noise `(m, b, d)`, differentiable."""
        stacked = {name: torch.stack([own[name] for own in self.parameters]) for name in self.names} | self.fixed
        if self.chains is not None:
            maps = torch.stack([torch.stack(self._padded(chain)) for chain in self.chains])
            stacked["chain.weights"] = self.alpha * maps

        def loss(weights, numbers, images, noise):
            with autocast(self.settings, self.device):
                output = functional_call(self.template, weights, (images, noise))
            return objective(output, images, loss=self.settings.loss, **numbers)

        return vmap(loss, in_dims=(0, 0, 0, None if noises is None else 0))(stacked, self.coefficients, images, noises)


def vectorised(settings: Settings, device: torch.device, members: int) -> bool:
    """Whether all members take their step at once: where asked for, and by default on CUDA (see tests/benchmarks)."""
    return settings.strategy == "vmap" or (settings.strategy == "auto" and device.type == "cuda" and members > 1)


def gradients(models, members, settings: Settings, device: torch.device):
    """The way of taking gradients that the settings ask for."""
    way = AllAtOnce if vectorised(settings, device, len(models)) else MemberByMember
    return way(models, members, settings, device)
