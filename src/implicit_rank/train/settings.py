"""What an ensemble shares, and in what its members may differ while they are trained."""

from __future__ import annotations

from dataclasses import dataclass

from implicit_rank.parameters import Parameters, option

OPTIMISERS = ("sgd", "momentum", "adam", "adamw", "rmsprop")
PRECISIONS = ("float32", "float64", "bfloat16")
STRATEGIES = ("auto", "loop", "vmap")


@dataclass(frozen=True)
class Settings(Parameters):
    """Settings that all members of an ensemble share; the defaults are those of Jing 2020's released code."""

    epochs: int = option(100, "passes over the data", least=0)
    batch: int = option(32, "images in a step", least=1)
    steps: int | None = option(None, "steps after which all stop, instead of whole epochs", least=0)
    optimiser: str = option("adam", "elementwise optimiser", choices=OPTIMISERS)
    loss: str = option("mse", "mse, vae-official or elbo", choices=("mse", "vae-official", "elbo"))
    precision: str = option("float32", "of the weights; bfloat16: float32 weights, autocast", choices=PRECISIONS)
    strategy: str = option("auto", "how gradients are taken: member by member, or all at once", choices=STRATEGIES)
    shuffle: bool = option(True, "a new order of the images every epoch (the released code has none)")
    log_every: int = option(1, "epochs between two log entries", least=1)
    log_per_epoch: int = option(1, "log entries in an epoch; more than one overrides log_every", least=1)
    log_steps: tuple[int, ...] | None = option(None, "further steps at which to log", least=0)
    evaluate: int = option(2000, "images on which errors and spectra are measured", least=2)
    threshold: float = option(0.01, "of the rank rules, relative to the largest value", least=0, below=1)
    error_limit: float = option(1.5, "error above this many times the start's means divergence", least=1)
    singular_limit: float = option(1e4, "largest singular value of W_e above this means divergence", above=1)
    checkpoint_seconds: float = option(120.0, "time between two checkpoints", above=0)
    tf32: bool = option(False, "TensorFloat-32 products on CUDA")
    graph: bool = option(True, "replay a captured CUDA graph instead of launching every kernel, under vmap on CUDA")


@dataclass(frozen=True)
class Member(Parameters):
    """In what one member's training may differ from its neighbours': rates, penalties, order of the data."""

    lr: float = option(1e-4, "learning rate", above=0)
    divide_lr: bool = option(False, "divide the chain's learning rate by its depth N (Sun 2021, 2.5)")
    weight_decay: float = option(0.0, "of AdamW (decoupled) or added to the gradient (the others)", least=0)
    order_seed: int = option(0, "seed of the order of the images and of the VAE's noise", least=0)
    beta: float | None = option(None, "weight of the VAE's KL term; None is the loss's own", least=0)
    l1: float = option(0.0, "penalty on the codes' absolute values", least=0)
    l2: float = option(0.0, "penalty on the codes' squares", least=0)
