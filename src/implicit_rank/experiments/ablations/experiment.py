"""Jing 2020, 4.4: linear maps frozen, with functions between them, or shared (Figures 9, 10 and 11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.ablations.evaluation import measured
from implicit_rank.experiments.ablations.measures import MEASURES
from implicit_rank.experiments.kit.autoencoder_run import cost, ensembles, estimate, run_autoencoders, size
from implicit_rank.experiments.kit.autoencoder_spec import AutoencoderSpec
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option

__all__ = ["MEASURES", "VARIANTS", "Ablations", "batches", "cost", "estimate", "presets", "run", "size", "variant"]


@dataclass(frozen=True)
class Ablations(AutoencoderSpec):
    """One ablated model: the fields of its training, and how samples and probes are drawn."""

    experiment: ClassVar[str] = "ablations"

    components: int = option(4, "Gaussians in the mixture that is sampled", least=1)
    samples: int = option(10_000, "sampled images behind a Fréchet distance", least=2)
    labels: tuple[int, ...] = option((100, 1000), "labels a probe is trained on", least=1)
    draws: int = option(3, "subsets of labels drawn", least=1)
    probe_epochs: int = option(500, "passes of a probe over its labels", least=1)


VARIANTS = {  # what sets each model apart; depth is filled in, 0 for the plain autoencoder
    "ae": {"depth": 0},
    "full": {},
    "frozen": {"frozen": "start"},
    "frozen trained": {"frozen": "trained"},
    "relu": {"activation": "relu"},
    "tanh": {"activation": "tanh"},
    "shared": {"sharing": "all"},
    "pairs": {"sharing": "pairs"},
    "transpose": {"sharing": "transpose"},
    "large": {"init": "orthogonal"},
    "large frozen": {"init": "orthogonal", "frozen": "start"},
}
FIGURED = ("ae", "full", "frozen", "relu", "shared")
CORE = (*FIGURED, "frozen trained", "tanh", "transpose")
_TELLING = ("frozen", "activation", "sharing", "init")


def variant(fields: dict) -> str:
    """The name in VARIANTS of the model with these spec fields, or "other"."""
    if not fields["depth"]:
        return "ae"
    plain = {"frozen": "no", "activation": "none", "sharing": "none", "init": "default"}
    own = {name: fields[name] for name in _TELLING}
    return next((name for name, apart in VARIANTS.items() if name != "ae" and plain | apart == own), "other")


def family(base: Ablations, names: Sequence[str], seeds: Sequence[int]) -> list[Ablations]:
    """The named variants of one set-up, seed after seed."""
    return [replace(base, seed=seed, **VARIANTS[name]) for seed in seeds for name in names]


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Ablations]:
    """The plain autoencoder, the full model and its ablations at a profile's size, the core first.

    The profile paper is MNIST's first 10,000 images, four maps and a quarter of the paper's channels: with eight maps
    so short a training leaves every model unfinished. A second set starts the convolutions by He's rule, from which
    training is over sooner. The paper's own size is `ablations_full`.
    """
    base = set_up(profile)
    seeds = tuple(seeds) if seeds is not None else (0, 1, 2) if profile == "paper" else (0,)
    if profile == "paper":
        he = replace(base, conv_start="he", epochs=6)
        rest = tuple(name for name in VARIANTS if name not in CORE)
        more = tuple(name for name in CORE if name not in FIGURED)
        first = family(base, FIGURED, seeds) + family(base, more, seeds)
        return first + family(he, FIGURED, seeds) + family(base, rest, seeds)
    return family(base, FIGURED, seeds)


def set_up(profile: str) -> Ablations:
    """What all members of a profile have in common: that of the full model."""
    base = Ablations(profile=profile, data="mnist-12k", depth=4, channel_factor=0.25, lr=1e-3)
    return {
        "smoke": replace(
            base,
            count=256,
            channel_factor=0.125,
            epochs=2,
            samples=100,
            labels=(20,),
            draws=1,
            probe_epochs=5,
            evaluate=200,
            depth=2,
        ),
        "quick": replace(
            base,
            size=16,
            architecture="strided",
            channel_factor=0.5,
            lr=2e-3,
            epochs=3,
            samples=200,
            labels=(100,),
            draws=2,
            probe_epochs=200,
            evaluate=1000,
            log_per_epoch=2,
        ),
        "paper": replace(base, epochs=12, log_per_epoch=2, evaluate=1000, draws=2, probe_epochs=300),
    }[profile]


def run(
    specs: Sequence[Ablations],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train and measure all members; resumable, see `run_autoencoders`."""
    return run_autoencoders(specs, measured, device, progress, on_done)


def batches(specs: Sequence[Ablations], memory: int | None = None, device: str = "cpu") -> list[list]:
    """The specs in groups that are trained together: one kind of function between the maps in each.

    One member whose maps are frozen after a first training gives its whole ensemble two, so these are groups apart.
    """
    groups: dict[tuple, list[Ablations]] = {}
    for spec in specs:
        groups.setdefault((spec.activation, spec.frozen == "trained"), []).append(spec)
    return [part for group in groups.values() for part in ensembles(group, device, memory)]


EXPERIMENT = Experiment(Ablations, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size)
