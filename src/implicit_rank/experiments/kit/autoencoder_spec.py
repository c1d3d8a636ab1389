"""What identifies one trained autoencoder: data, net, chain, objective, training; families of figures subclass it."""

from __future__ import annotations

from dataclasses import dataclass

from implicit_rank.autoencoder import ACTIVATIONS, KINDS, LOSSES
from implicit_rank.chain import INITS, SHARINGS
from implicit_rank.nets import ARCHITECTURES, STARTS
from implicit_rank.parameters import option
from implicit_rank.store import Spec
from implicit_rank.train.settings import OPTIMISERS, PRECISIONS

FREEZINGS = ("no", "start", "trained")


@dataclass(frozen=True)
class AutoencoderSpec(Spec):
    """One member; the defaults are Jing 2020's MNIST set-up (released code) with the chain left out."""

    data: str = option("mnist", "a data set of implicit_rank.data.load")
    count: int = option(0, "training images used; 0 for all", least=0)
    size: int = option(0, "pixels on a side; 0 for the data set's own", least=0)
    architecture: str = option("mnist", "encoder and decoder", choices=ARCHITECTURES)
    channel_factor: float = option(1.0, "width of the net relative to the paper's", above=0)
    code_width: int = option(128, "width d of the codes", least=1)
    conv_start: str = option("default", "start of encoder and decoder", choices=STARTS)
    kind: str = option("ae", "plain or variational", choices=KINDS)

    depth: int = option(0, "linear maps N at the bottleneck", least=0)
    init: str = option("default", "start of the maps", choices=INITS)
    scale: float = option(1.0, "factor on the start of W_e", above=0)
    alpha: float = option(1.0, "re-parameterisation W = alpha What", above=0)
    sharing: str = option("none", "which maps are one", choices=tuple(s or "none" for s in SHARINGS))
    activation: str = option("none", "function between the maps", choices=tuple(a or "none" for a in ACTIVATIONS))
    frozen: str = option("no", "maps kept at their start, or at what a first training made of them", choices=FREEZINGS)
    inner: int = option(0, "inner width of the maps (explicit rank); 0 for square ones", least=0)

    loss: str = option("mse", "objective", choices=tuple(LOSSES))
    beta: float = option(0.0, "weight of the KL term; 0 for the objective's own", least=0)
    l1: float = option(0.0, "penalty on the codes' absolute values", least=0)
    l2: float = option(0.0, "penalty on the codes' squares", least=0)

    epochs: int = option(100, "passes over the data", least=0)
    batch: int = option(32, "images in a step", least=1)
    lr: float = option(1e-4, "learning rate", above=0)
    divide_lr: bool = option(False, "divide the maps' learning rate by N")
    optimiser: str = option("adam", "elementwise optimiser", choices=OPTIMISERS)
    weight_decay: float = option(0.0, "weight decay", least=0)
    precision: str = option("float32", "of the weights, or bfloat16 for autocast", choices=PRECISIONS)
    shuffle: bool = option(True, "a new order of the images every epoch")
    target: float = option(0.0, "error at which to stop; 0 for never", least=0)
    two_stages: bool = option(False, "the two-stage method of Sun 2021 (3.2)")
    settle_epochs: int = option(5, "epochs without a change after which the rank counts as settled", least=1)
    settle_tolerance: int = option(0, "change of the rank that does not count", least=0)
    settle_cap: int = option(0, "epoch at which the first stage ends anyway; 0 for never", least=0)
    log_per_epoch: int = option(1, "log entries in an epoch", least=1)
    evaluate: int = option(2000, "test images on which errors and spectra are measured", least=2)


SHARED = (  # what members of one ensemble have in common
    "data",
    "count",
    "size",
    "architecture",
    "channel_factor",
    "code_width",
    "kind",
    "loss",
    "epochs",
    "batch",
    "optimiser",
    "precision",
    "shuffle",
    "evaluate",
    "two_stages",
    "settle_epochs",
    "settle_tolerance",
    "settle_cap",
    "target",
    "log_per_epoch",
)
