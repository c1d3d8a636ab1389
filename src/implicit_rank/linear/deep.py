"""Full-batch training of linear autoencoders with a chain at the bottleneck, all members at once.

Members share the sizes n, D and d; they may differ in data, start, depth (0 is the vanilla autoencoder), alpha
and learning rates. The compressed form (`compress`) is exact for every optimiser that commutes with
rotations: gradient descent with or without momentum, not Adam.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from implicit_rank.linear.loop import Descent, Parameters, descend
from implicit_rank.linear.optimisers import OPTIMISERS
from implicit_rank.spectra import singular_values


@dataclass(frozen=True)
class DeepMember:
    """One linear autoencoder: data and starting weights.

    `data` (n, D), rows are samples; `encoder` (d, D); `decoder` (D, d); `layers` the N starting matrices
    What_i (d, d) of the chain, which acts as the product of alpha * What_i; `lr` the rate of encoder and
    decoder, `chain_lr` that of the What_i (Sun 2021, 2.5: lr / N).
    """

    data: Tensor
    encoder: Tensor
    decoder: Tensor
    layers: tuple[Tensor, ...]
    alpha: float = 1.0
    lr: float = 0.03
    chain_lr: float = 0.03


@dataclass(frozen=True)
class Frame:
    """How a compressed member sits in the full space: data axes V (D, r), idle encoder part, decoder complement Q."""

    axes: Tensor
    idle: Tensor
    complement: Tensor

    def restore(self, encoder: Tensor, decoder: Tensor) -> tuple[Tensor, Tensor]:
        """The full encoder (d, D) and decoder (D, d) of a compressed pair."""
        rank = self.axes.shape[1]
        return encoder @ self.axes.T + self.idle, self.axes @ decoder[:rank] + self.complement @ decoder[rank:]


def compress(member: DeepMember) -> tuple[DeepMember, Frame]:
    """Rotate data and weights into the data's own singular basis, where far fewer numbers move.

    With X = U S V^T the loss depends on the samples only through S, the encoder moves only inside span(V), and
    the decoder's part outside span(V) moves only by right multiplication, so its R factor stands for it. No
    singular value of the codes or of W_e changes, nor does the loss.
    """
    _, S, Vh = torch.linalg.svd(member.data, full_matrices=False)
    keep = S[0] * 1e-13 < S
    S, V = S[keep], Vh[keep].T
    outside = member.decoder - V @ (V.T @ member.decoder)
    Q, R = torch.linalg.qr(outside)
    idle = member.encoder - member.encoder @ V @ V.T
    rows = torch.zeros(len(S), len(S) + len(R), dtype=S.dtype)
    rows[:, : len(S)] = torch.diag(S)
    small = replace(member, data=rows, encoder=member.encoder @ V, decoder=torch.cat([V.T @ member.decoder, R]))
    return small, Frame(V, idle, Q)


class DeepEnsemble:
    """The loss of a list of members and its closed-form gradient, ready for `implicit_rank.linear.loop.descend`.

    Members are kept deepest first, so that layer i is one tensor over the members that have a layer i. The loss is
    the mean of squared errors over all n*D entries of the original data (`entries`).
    """

    def __init__(self, members: Sequence[DeepMember], entries: int):
        depths = [len(member.layers) for member in members]
        self.order = sorted(range(len(members)), key=lambda j: -depths[j])
        self.entries = entries
        members = [members[j] for j in self.order]
        self.depths = [len(member.layers) for member in members]
        stack = torch.stack
        width_in = members[0].encoder.shape[1]
        self.targets = stack([member.data.T for member in members])  # (m, D_out, n), columns are samples
        self.inputs = self.targets[:, :width_in].contiguous()
        self.alpha = torch.tensor([member.alpha for member in members], dtype=self.inputs.dtype).view(-1, 1, 1)
        self.parameters: Parameters = {
            "encoder": stack([member.encoder for member in members]),
            "decoder": stack([member.decoder for member in members]),
        }
        outer, chain = ([getattr(member, name) for member in members] for name in ("lr", "chain_lr"))
        self.rates = {name: torch.tensor(outer, dtype=torch.float64) for name in self.parameters}
        for i in range(max(self.depths, default=0)):
            layer = stack([member.layers[i] for member in members if len(member.layers) > i])
            self.parameters[f"layer_{i + 1:02d}"] = layer
            self.rates[f"layer_{i + 1:02d}"] = torch.tensor(chain, dtype=torch.float64)
        U, _, Vh = torch.linalg.svd(self.targets, full_matrices=False)
        self.left, self.right = U, Vh.mT
        self.strength = torch.linalg.svdvals(self.targets)

    def _layers(self, parameters: Parameters) -> list[Tensor]:
        return [value for name, value in parameters.items() if name.startswith("layer_")]

    def _forward(self, parameters: Parameters) -> tuple[list[Tensor], Tensor]:
        """The codes before each layer, for the members that have it, and the final codes (m, d, n)."""
        codes = torch.bmm(parameters["encoder"], self.inputs)
        before, done = [], []
        for layer in self._layers(parameters):
            count = len(layer)
            done.append(codes[count:])  # members whose chain ends here
            codes = codes[:count]
            before.append(codes)
            codes = torch.bmm(layer, codes).mul_(self.alpha[:count])
        return before, torch.cat([codes, *reversed(done)])

    def gradients(self, parameters: Parameters) -> tuple[Tensor, Parameters]:
        """The losses (m,) and the gradient of every parameter."""
        before, codes = self._forward(parameters)
        residual = torch.baddbmm(self.targets, parameters["decoder"], codes, beta=-1)
        loss = residual.square().sum(dim=(1, 2)) / self.entries
        residual *= 2 / self.entries
        result = {"decoder": torch.bmm(residual, codes.mT)}
        outer = torch.bmm(parameters["decoder"].mT, residual)
        delta = outer[:0]
        layers = self._layers(parameters)
        for i in reversed(range(len(layers))):
            count = len(layers[i])
            if count > len(delta):  # members whose chain ends here join in
                delta = torch.cat([delta, outer[len(delta) : count]])
            delta = delta * self.alpha[:count]
            result[f"layer_{i + 1:02d}"] = torch.bmm(delta, before[i].mT)
            delta = torch.bmm(layers[i].mT, delta)
        delta = torch.cat([delta, outer[len(delta) :]])
        result["encoder"] = torch.bmm(delta, self.inputs.mT)
        return loss, result

    def effective(self, parameters: Parameters) -> Tensor:
        """W_e of every member (m, d, d); the identity for a vanilla member."""
        width = parameters["encoder"].shape[1]
        product = torch.eye(width, dtype=self.inputs.dtype, device=self.inputs.device).expand(
            len(self.depths), width, width
        )
        for layer in self._layers(parameters):
            count = len(layer)
            product = torch.cat([torch.bmm(layer * self.alpha[:count], product[:count]), product[count:]])
        return product

    def observe(self, step: int, parameters: Parameters, loss: Tensor) -> dict[str, Tensor]:
        """The singular values of W_e (m, d) and of the codes (m, min(d, n)), and the fitted share of data modes.

        Mode k's share (m, min(n, D)) is `v_k^T W_dec W_e W_enc v_k` in the data's singular basis: from 0 to 1.
        """
        _, codes = self._forward(parameters)
        output = torch.bmm(parameters["decoder"], codes)
        share = torch.einsum("mdk,mdn,mnk->mk", self.left, output, self.right) / self.strength
        return {
            "effective": singular_values(self.effective(parameters)),
            "codes": singular_values(codes),
            "modes": share,
        }


def train_deep(
    members: Sequence[DeepMember],
    steps: int,
    record_at: Sequence[int],
    *,
    optimiser: str = "gd",
    compressed: bool = True,
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> tuple[Descent, list[tuple[Tensor, Tensor, Tensor]]]:
    """Train all members together; return the `Descent` and every (encoder, W_e, decoder), in order.

    Raises ValueError when Adam is asked to run compressed: its step depends on the basis.
    """
    if compressed and optimiser == "adam":
        raise ValueError("Adam's step depends on the basis, so it cannot run compressed; pass compressed=False.")
    entries = members[0].data.numel()
    frames: list[Frame | None] = [None] * len(members)
    if compressed:
        pairs = [compress(member) for member in members]
        if len({small.data.shape for small, _ in pairs}) > 1:
            raise ValueError("members trained together must have data of one rank; train them in separate calls.")
        members, frames = [small for small, _ in pairs], [frame for _, frame in pairs]
    ensemble = DeepEnsemble(members, entries)
    parameters = _to_device(ensemble, device)
    descent = descend(
        parameters,
        ensemble.gradients,
        OPTIMISERS[optimiser](ensemble.rates),
        steps,
        record_at,
        ensemble.observe,
        progress=progress,
    )
    back = [ensemble.order.index(j) for j in range(len(members))]
    descent.series = {name: value[back] for name, value in descent.series.items()}
    descent.stopped = [descent.stopped[j] for j in back]
    effective, ends = ensemble.effective(descent.parameters).cpu(), []
    for j, frame in zip(back, frames, strict=True):
        encoder, decoder = (descent.parameters[name][j].cpu() for name in ("encoder", "decoder"))
        if frame is not None:
            encoder, decoder = frame.restore(encoder, decoder)
        ends.append((encoder, effective[j], decoder))
    return descent, ends


def _to_device(ensemble: DeepEnsemble, device: str) -> Parameters:
    for name in ("targets", "inputs", "alpha", "left", "right", "strength"):
        setattr(ensemble, name, getattr(ensemble, name).to(device))
    ensemble.rates = {name: rate.to(device) for name, rate in ensemble.rates.items()}
    return {name: value.to(device) for name, value in ensemble.parameters.items()}
