"""Sun 2021, 3.2 and App. D (Figures 2-8): chains in convolutional autoencoders of MNIST and CIFAR-10."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.greedy_images.evaluation import evaluate
from implicit_rank.experiments.greedy_images.measures import MEASURES
from implicit_rank.experiments.kit.autoencoder_run import cost, ensembles, estimate, run_autoencoders, size
from implicit_rank.experiments.kit.autoencoder_spec import AutoencoderSpec
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option

__all__ = ["MEASURES", "GreedyImages", "batches", "cost", "estimate", "presets", "run", "size"]

STUDIES = ("grid", "stages", "course", "start", "precision", "depends", "full")


@dataclass(frozen=True)
class GreedyImages(AutoencoderSpec):
    """One autoencoder of Sun 2021's image experiments; the defaults are the paper's own set-up, as far as it is stated.

    `study` says which question a member belongs to: "grid" (Figures 2-4 and 6-8), "stages" (the two-stage method and
    what it is compared with, at the same length), "course" (Figure 5(b)), "start" (the other reading of the start),
    "precision", "depends" (what the estimated rank depends on) or "full" (the paper's own size).
    """

    experiment: ClassVar[str] = "greedy_images"

    study: str = option("grid", "which question the member belongs to", choices=STUDIES)
    labels: int = option(1000, "labelled images of the probe", least=10)
    probe_epochs: int = option(500, "passes of the probe over them; 0 for no probe", least=0)
    components: int = option(4, "Gaussians in the mixture", least=1)
    samples: int = option(10_000, "images drawn from it; 0 for none", least=0)
    fitted: int = option(0, "training images probed, fitted and compared with; 0 for all", least=0)

    init: str = option("orthogonal", "start of the maps", choices=("orthogonal", "default", "he"))
    epochs: int = option(200, "passes over the data", least=0)
    precision: str = option("float64", "of the weights", choices=("float32", "float64", "bfloat16"))


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[GreedyImages]:
    """The members of a profile, the most important first; "paper" holds the stored runs of this book."""
    if profile == "paper":
        return stored(seeds or (0, 1, 2))
    return [s for seed in seeds or (0,) for s in live(replace(small(profile), seed=seed), profile)]


def small(profile: str, data: str = "mnist-12k") -> GreedyImages:
    """The set-up that all members of a profile share: a quarter of the channels, lr 1e-3, float32.

    Five passes over 10,000 images ("paper"), or less.
    """
    base = GreedyImages(
        profile=profile,
        data=data,
        count=10_000,
        channel_factor=0.25,
        epochs=5,
        lr=1e-3,
        precision="float32",
        evaluate=1000,
        log_per_epoch=3,
        probe_epochs=100,
        fitted=10_000,
    )
    if data == "cifar10":
        base = replace(base, architecture="cifar10")
    if profile == "paper":
        return base
    base = replace(base, count=2000, channel_factor=0.125, lr=2e-3, evaluate=500, log_per_epoch=2)
    base = replace(base, probe_epochs=30, samples=1000)
    if profile == "quick":
        return base
    return replace(base, count=256, epochs=2, evaluate=160, labels=60, probe_epochs=3, samples=150, log_per_epoch=2)


def vanilla(base: GreedyImages) -> GreedyImages:
    """The autoencoder without a chain."""
    return replace(base, depth=0, init="default")


def standard(base: GreedyImages, depth: int) -> GreedyImages:
    """A chain of N maps from nn.Linear's own start, at the learning rate of the rest."""
    return replace(base, depth=depth, init="default", divide_lr=False)


def orthogonal(base: GreedyImages, depth: int, alpha: float, **more) -> GreedyImages:
    """The paper's method: orthogonal / alpha, the chain's learning rate over N."""
    return replace(base, depth=depth, init="orthogonal", alpha=alpha, divide_lr=True, **more)


def explicit(base: GreedyImages, rank: int) -> GreedyImages:
    """The baseline whose rank is set by hand: two maps with an inner width."""
    return replace(base, depth=2, init="default", inner=rank)


def live(base: GreedyImages, profile: str) -> list[GreedyImages]:
    """What chapters 6 and 7 train while they are built: a few members of every kind."""
    if profile == "smoke":
        stages = {"two_stages": True, "settle_cap": 1, "study": "stages"}
        return [
            vanilla(base),
            standard(base, 2),
            explicit(base, 8),
            orthogonal(base, 4, 1.0),
            orthogonal(base, 4, 10.0),
            orthogonal(base, 4, 10.0, **stages),
        ]
    stages = {"two_stages": True, "settle_cap": 3, "settle_tolerance": 1, "study": "stages"}
    members = [vanilla(base), *(standard(base, depth) for depth in (2, 4, 8))]
    members += [explicit(base, rank) for rank in (4, 16)]
    members += [orthogonal(base, 8, alpha) for alpha in (1.0, 5.0, 15.0)] + [orthogonal(base, 16, 5.0)]
    return [*members, orthogonal(base, 8, 15.0, **stages)]


def stored(seeds: Sequence[int]) -> list[GreedyImages]:
    """The plan of the stored runs: MNIST's grid, the method's own questions, CIFAR-10, what ranks depend on."""
    everyone = [replace(small("paper"), seed=seed) for seed in seeds]
    bare = {"probe_epochs": 0, "samples": 0}
    plan = grid(everyone, standards=(2, 4, 8, 16), alphas=(1.0, 10.0, 30.0), depths=(16,), ranks=(8, 16, 32))
    plan += grid(everyone, standards=(), alphas=(100.0, 200.0), depths=(8, 16), ranks=(4, 64))
    plan += grid(everyone, standards=(), alphas=(1.0, 10.0, 30.0), depths=(8,), ranks=())
    course = replace(everyone[0], study="course", log_per_epoch=16, evaluate=500, **bare)
    plan += [orthogonal(course, 16, 30.0)]
    other = [replace(base, study="start", scale=0.001, epochs=3, **bare) for base in everyone]
    plan += [orthogonal(base, 16, alpha) for base in other for alpha in (1.0, 10.0)]
    plan += [m for base in everyone for m in two_stages(replace(base, study="stages", epochs=10, log_per_epoch=1))]
    cifar = [replace(small("paper", "cifar10"), seed=seed) for seed in seeds]
    plan += grid(cifar, standards=(4,), alphas=(1.0, 10.0, 30.0), depths=(8,), ranks=(8, 32))
    plan += dependence(replace(everyone[0], study="depends", **bare))
    precise = [replace(base, study="precision", precision="float64", **bare) for base in everyone]
    plan += [orthogonal(base, 16, 10.0) for base in precise]
    plan += [orthogonal(base, 32, alpha) for base in everyone for alpha in (10.0, 30.0, 100.0)]
    plan += [orthogonal(base, depth, alpha) for base in everyone[:1] for depth in (8, 16) for alpha in BETWEEN]
    plan += grid(cifar, standards=(2, 8), alphas=(), depths=(), ranks=(16, 64))
    return list(dict.fromkeys(plan))


BETWEEN = (20.0, 50.0, 70.0, 150.0)  # one seed each: where Figure 3's curves bend, and where they end


def grid(bases: Sequence[GreedyImages], standards, alphas, depths, ranks) -> list[GreedyImages]:
    """The members of Figures 2, 3 and 4 for each base, seed after seed."""
    return [
        member
        for base in bases
        for member in (
            vanilla(base),
            *(orthogonal(base, depth, alpha) for depth in depths for alpha in alphas),
            *(standard(base, depth) for depth in standards),
            *(explicit(base, rank) for rank in ranks),
        )
    ]


def two_stages(base: GreedyImages) -> list[GreedyImages]:
    """The two-stage method at N = 8, alpha = 30, and at the same length the same chain alone and a rival."""
    method = {"two_stages": True, "settle_tolerance": 1, "settle_cap": 6}
    return [orthogonal(base, 8, 30.0, **method), orthogonal(base, 8, 30.0), explicit(base, 16)]


def dependence(base: GreedyImages) -> list[GreedyImages]:
    """The chain of N = 16, alpha = 10 with one thing changed at a time; steps are kept unless they are it."""
    chain = orthogonal(base, 16, 10.0)
    changes = [
        {},
        {"count": 1000, "epochs": 50, "log_per_epoch": 1},
        {"count": 3000, "epochs": 17, "log_per_epoch": 1},
        {"data": "mnist", "count": 0, "epochs": 1, "log_per_epoch": 16},
        {"epochs": 15, "log_per_epoch": 1},
        {"code_width": 32},
        {"code_width": 64},
        {"code_width": 256},
        {"batch": 128},
        {"batch": 128, "epochs": 20, "log_per_epoch": 1},
        {"lr": 3e-4, "alpha": 100 / 3},
        {"channel_factor": 0.5},
        {"data": "digits", "count": 0, "epochs": 35, "log_per_epoch": 1, "evaluate": 355},
        {"data": "fashion"},
    ]
    return [replace(chain, **change) for change in changes]


def run(
    specs: Sequence[GreedyImages],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train and measure all members; resumable, see `run_autoencoders`. On a CPU one by one, in this order."""
    return run_autoencoders(specs, evaluate, device, progress, on_done)


def batches(specs: Sequence[GreedyImages], memory: int | None = None, device: str = "cpu") -> list[list]:
    """The specs in groups that are trained together."""
    return ensembles(specs, device, memory)


EXPERIMENT = Experiment(GreedyImages, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size)
