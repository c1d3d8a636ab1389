"""Nonlinear autoencoders with a linear chain at the bottleneck, variational ones, and what they minimise."""

from implicit_rank.autoencoder.losses import LOSSES, divergence, effective_beta, objective
from implicit_rank.autoencoder.model import ACTIVATIONS, KINDS, Autoencoder, Output, build

__all__ = [
    "ACTIVATIONS",
    "KINDS",
    "LOSSES",
    "Autoencoder",
    "Output",
    "build",
    "divergence",
    "effective_beta",
    "objective",
]
