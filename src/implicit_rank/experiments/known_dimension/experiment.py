"""Jing 2020, 4.1: autoencoders of shapes with seven known factors (Figures 2, 3), ranks beside errors and factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.autoencoder import KINDS
from implicit_rank.data.load import SHAPES
from implicit_rank.experiments.kit.autoencoder_run import cost, ensembles, estimate, run_autoencoders, size
from implicit_rank.experiments.kit.autoencoder_spec import AutoencoderSpec
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.known_dimension.evaluation import evaluate
from implicit_rank.experiments.known_dimension.measures import MEASURES
from implicit_rank.experiments.register import Experiment
from implicit_rank.nets import ARCHITECTURES
from implicit_rank.parameters import option

__all__ = ["MEASURES", "KnownDimension", "batches", "cost", "estimate", "presets", "run", "size"]

PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)  # swept, since Jing 2020 states none
COMPARED = 1e-4  # the one that Figure 2's five models are compared at


@dataclass(frozen=True)
class KnownDimension(AutoencoderSpec):
    """One autoencoder of shapes; the defaults are the book's small set-up: 16 x 16 pixels, half the channels."""

    experiment: ClassVar[str] = "known_dimension"

    data: str = option("shapes-ours", "rules that draw the shapes", choices=tuple(SHAPES))
    size: int = option(16, "pixels on a side; 0 for 32", least=0)
    architecture: str = option("shapes-official", "encoder and decoder", choices=ARCHITECTURES)
    channel_factor: float = option(0.5, "width of the net relative to the paper's", above=0)
    code_width: int = option(32, "width d of the codes", least=1)
    conv_start: str = option("he", "start of encoder and decoder", choices=("default", "he"))
    kind: str = option("ae", "plain: a VAE has no rank to speak of", choices=KINDS[:1])
    epochs: int = option(3, "passes over the images", least=0)
    lr: float = option(1e-3, "learning rate", above=0)
    log_per_epoch: int = option(8, "log entries in an epoch", least=1)

    regression: int = option(1000, "codes on which the factors are regressed", least=10)
    pairs: int = option(2, "pairs of test images between which pictures are interpolated", least=1)
    released: int = option(0, "epochs for which a plain autoencoder goes on from the folded model", least=0)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[KnownDimension]:
    """The members of a profile, the most important ones first."""
    if profile != "paper":
        smoke, quick = {"count": 640, "evaluate": 200, "regression": 60}, {"count": 24_000, "regression": 600}
        base = KnownDimension(profile=profile, epochs=1, **{"smoke": smoke, "quick": quick}[profile])
        return [spec for seed in seeds or (0,) for spec in figure_2(replace(base, seed=seed))]
    seeds, (core, more) = seeds or (0, 1, 2), plans()
    members = [replace(spec, seed=seed) for question in core for seed in seeds for spec in question]
    members += [replace(spec, seed=seed) for seed in seeds for question in more for spec in question]
    return list(dict.fromkeys(members))


def plans() -> tuple[list[list[KnownDimension]], list[list[KnownDimension]]]:
    """What is run at every seed: questions that all seeds answer first, and then what hangs on the set-up."""
    base = KnownDimension(profile="paper")
    he = replace(base, released=1)
    long = replace(base, epochs=8)
    fast = replace(base, conv_start="default", lr=3e-3)
    core = [
        [replace(he, depth=depth) for depth in (0, 2, 4, 8)],  # Figure 2
        [replace(base, **{penalty: COMPARED}) for penalty in ("l1", "l2")],
        # is l = 4 stuck? PyTorch's start, a longer training, a larger rate
        [replace(long, conv_start="default", depth=depth, released=1) for depth in (4, 0, 2)],
        [replace(long, depth=4)],
        [replace(fast, depth=depth) for depth in (4, 0)],
        [replace(long, depth=8, released=4)],
    ]
    more = [
        [replace(base, **{penalty: c}) for penalty in ("l1", "l2") for c in PENALTIES if c != COMPARED],
        [replace(he, depth=depth) for depth in (1, 3, 6)],
        [replace(base, data=f"shapes-{rules}", depth=depth) for rules in ("official", "paper") for depth in (0, 2, 4)],
    ]
    return core, more


def figure_2(base: KnownDimension) -> list[KnownDimension]:
    """The five models of Figure 2, in the order of Figure 3's rows."""
    kinds = ({}, {"l1": COMPARED}, {"l2": COMPARED}, {"depth": 2}, {"depth": 4})
    return [replace(base, **kind) for kind in kinds]


def run(
    specs: Sequence[KnownDimension], device: str = "cpu", progress: Progress | None = None, on_done=None
) -> list[Result]:
    """Train and measure all members; resumable, see `run_autoencoders`."""
    return run_autoencoders(specs, evaluate, device, progress, on_done)


def batches(specs: Sequence[KnownDimension], memory: int | None = None, device: str = "cpu") -> list[list]:
    """The specs in groups that are trained together."""
    return ensembles(specs, device, memory)


EXPERIMENT = Experiment(
    KnownDimension, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size
)
