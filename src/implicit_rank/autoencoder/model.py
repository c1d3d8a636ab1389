"""One class for every nonlinear autoencoder of the book: encoder, chain or none, decoder; plain or variational."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from implicit_rank.chain import LinearChain
from implicit_rank.nets import build_networks
from implicit_rank.parameters.numbers import truth, whole

KINDS = ("ae", "vae")
ACTIVATIONS = {None: None, "relu": torch.relu, "tanh": torch.tanh}


class Output(NamedTuple):
    """What a forward pass gives, for a batch of b images and codes of width d."""

    reconstruction: Tensor  # (b, c, h, w)
    features: Tensor  # (b, d), before the chain; of a VAE the mean
    codes: Tensor  # (b, d), after the chain, what the decoder reads; of a VAE the sample
    log_variance: Tensor | None  # (b, d) of a VAE


class Autoencoder(nn.Module):
    """An encoder, a `LinearChain` or None, and a decoder; `kind` is "ae" or "vae" (Jing 2020, eq. 1).

    The encoder maps images `(b, c, h, w)` in [0, 1] to `(b, d)`; a VAE's to `(b, 2 d)`, the means first and the
    log-variances behind them. A VAE has no chain. Raises ValueError, in one sentence, for anything else.

    Book: eq-irmae
    """

    def __init__(self, encoder: nn.Sequential, chain: LinearChain | None, decoder: nn.Module, kind: str = "ae"):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}.")
        if kind == "vae" and chain is not None:
            raise ValueError("a VAE has no chain: its depth must be 0.")
        self.encoder, self.chain, self.decoder, self.kind = encoder, chain, decoder, kind

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Output:
        """Encode and decode images; `noise` `(b, d)`, standard normal, draws a VAE's sample (None: its mean)."""
        features, codes, log_variance = self._encoded(images)
        if noise is not None:
            if log_variance is None:
                raise ValueError("noise is for a VAE: a plain autoencoder's codes are not random.")
            codes = features + torch.exp(log_variance / 2) * noise
        return Output(self.decoder(codes), features, codes, log_variance)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The features before the chain and the codes after it, `(b, d)` each; of a VAE the mean, twice."""
        return self._encoded(images)[:2]

    def decode(self, codes: Tensor) -> Tensor:
        """Images `(b, c, h, w)` of codes `(b, d)` as they stand after the chain."""
        return self.decoder(codes)

    def _encoded(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        features, log_variance = self.encoder(images), None
        if self.kind == "vae":
            features, log_variance = features.chunk(2, dim=-1)
        codes = features if self.chain is None else self.chain(features)
        return features, codes, log_variance

    def effective_matrix(self) -> Tensor:
        """The chain's `W_e` `(d, d)`; ValueError without a chain or with an activation in it."""
        if self.chain is None:
            raise ValueError("an autoencoder without a chain has no effective matrix.")
        return self.chain.effective_matrix()

    @torch.no_grad()
    def collapsed(self, into_encoder: bool = False) -> Autoencoder:
        """A copy for inference, equal in outputs, whose chain is one bias-free map (Jing 2020, 3).

        With `into_encoder` the map is multiplied into the encoder's last layer, its bias too; then no chain is
        left and the features are the codes. Without a chain this is a plain copy; so it is for a VAE, whose mean rows
        and log-variance rows both stay. ValueError for a nonlinear chain, and for an encoder that ends in
        a nonlinearity (shapes-paper) when the map is to be multiplied into it.

        Book: thm-same-class
        """
        model = copy.deepcopy(self)
        if self.chain is None:
            return model
        effective = self.chain.collapse().weight.detach()  # in the weights' own precision, also under autocast
        if into_encoder:
            _multiply_into(model.encoder, effective)
            model.chain = None
            return model
        # its random start is overwritten: a generator of its own keeps the global one untouched
        options = {"dtype": effective.dtype, "device": effective.device, "generator": torch.Generator()}
        model.chain = LinearChain(self.chain.width, 1, frozen=self.chain.frozen, **options)
        model.chain.weights[0].copy_(effective)
        return model

    def extra_repr(self) -> str:
        return f"kind={self.kind!r}"


def _multiply_into(encoder: nn.Module, effective: Tensor) -> None:
    """Replace the last layer of an `nn.Sequential` by W_e times it: a linear one, or a convolution to one pixel."""
    layers = [layer for layer in encoder if not isinstance(layer, nn.Flatten)]
    last = layers[-1] if layers else encoder
    if not isinstance(last, nn.Linear | nn.Conv2d) or len(last.weight) != len(effective):
        raise ValueError(f"the encoder ends in {type(last).__name__}, so the chain cannot be multiplied into it.")
    last.weight.copy_((effective @ last.weight.flatten(1)).view_as(last.weight))
    if last.bias is not None:
        last.bias.copy_(effective @ last.bias)


def build(
    architecture: str,
    image_shape: tuple[int, int, int],
    code_width: int = 128,
    *,
    kind: str = "ae",
    depth: int = 0,
    init: str = "default",
    scale: float = 1.0,
    alpha: float = 1.0,
    sharing: str | None = None,
    activation: str | None = None,
    frozen: bool = False,
    inner: int | None = None,
    channel_factor: float = 1.0,
    start: str = "default",
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
) -> Autoencoder:
    """An autoencoder for images `image_shape` = (c, h, w), all of its start drawn from `generator`.

    `architecture`, `channel_factor` and `start` are `implicit_rank.nets.build_networks`'s; a VAE ends in
    a sigmoid, an AE in tanh (released code). `depth` 0 is no chain, and then the options of the chain do not
    matter; otherwise `init`, `scale`, `alpha`, `sharing`, `frozen` and `inner` (explicit rank) are
    `LinearChain`'s, and `activation` is None, "relu" or "tanh" (Jing 2020, Fig. 10). The chain is drawn
    last, so models of one seed that differ in their chains alone share the start of encoder and decoder. Raises
    ValueError, in one sentence, for options that do not go together.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}.")
    if whole(depth) is None or depth < 0:
        raise ValueError(f"depth must be an integer of at least 0, not {depth!r}.")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be None, 'relu' or 'tanh', not {activation!r}.")
    if truth(frozen) is None:
        raise ValueError(f"frozen must be True or False, not {frozen!r}.")
    if inner is not None and depth < 2:
        raise ValueError("an inner width needs a depth of at least 2 and maps that are not shared.")
    vae = kind == "vae"
    if vae and depth:
        raise ValueError("a VAE has no chain: its depth must be 0.")
    if vae and architecture == "shapes-paper":
        raise ValueError("a VAE needs means of both signs, and the shapes-paper encoder ends in a ReLU.")
    encoder, decoder = build_networks(
        architecture,
        image_shape,
        code_width,
        encoder_outputs=2 * code_width if vae else None,
        channel_factor=channel_factor,
        start=start,
        output="sigmoid" if vae else "tanh",
        generator=generator,
        dtype=dtype,
    )
    chain = None
    if depth:
        options = {"sharing": sharing, "activation": ACTIVATIONS[activation], "frozen": frozen, "inner": inner}
        chain = LinearChain(code_width, depth, init, scale, alpha, generator=generator, dtype=dtype, **options)
    return Autoencoder(encoder, chain, decoder, kind)
