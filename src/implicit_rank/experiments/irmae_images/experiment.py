"""Jing 2020, 4.2-4.3: plain, variational and rank-minimising autoencoders on images (Figures 4-8, Tables 1 and 2)."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.irmae_images.evaluation import evaluate
from implicit_rank.experiments.irmae_images.measures import MEASURES
from implicit_rank.experiments.irmae_images.supervised import run_supervised
from implicit_rank.experiments.kit.autoencoder_run import cost, ensembles, estimate, run_autoencoders, size
from implicit_rank.experiments.kit.autoencoder_spec import AutoencoderSpec
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.experiments.kit.shares import weighted
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option, resolve_device

__all__ = [
    "MEASURES",
    "MODELS",
    "IrmaeImages",
    "batches",
    "cost",
    "estimate",
    "model_of",
    "presets",
    "reduced",
    "run",
    "size",
]

MODELS = ("ae", "irmae", "vae", "supervised")
NO_DIVERGENCE = 1e-12  # a weight of 0 would stand for the released code's own


@dataclass(frozen=True)
class IrmaeImages(AutoencoderSpec):
    """One model of Jing 2020's image experiments; the defaults are its MNIST set-up."""

    experiment: ClassVar[str] = "irmae_images"

    supervised: bool = option(False, "the baseline of Table 2 instead: encoder and head trained on labels")
    components: int = option(4, "Gaussians in the mixture that codes are drawn from", least=1)
    samples: int = option(10_000, "images drawn by each sampler", least=2)
    fid: bool = option(False, "the FID too, where its weights are present")
    labels: tuple[int, ...] = option((10, 100, 1000, 10_000, 0), "labelled images of the probes; 0 for all", least=0)
    draws: int = option(10, "labelled subsets of each size; a half of it at 1,000, a tenth beyond", least=1)
    probe_steps: int = option(20_000, "gradient steps of a probe, at most", least=1)


def reduced(profile: str) -> IrmaeImages:
    """What all members of a profile share: nets a quarter as wide as the paper's, and a higher rate."""
    base = IrmaeImages(profile=profile, channel_factor=0.25, lr=1e-3)
    return {
        "smoke": replace(
            base,
            data="mnist-12k",
            count=320,
            channel_factor=0.125,
            epochs=2,
            evaluate=200,
            samples=64,
            labels=(10, 100),
            draws=2,
            probe_steps=20,
        ),
        "quick": replace(
            base,
            data="mnist-12k",
            epochs=3,
            log_per_epoch=3,
            samples=1000,
            labels=(10, 100, 1000),
            draws=2,
            probe_steps=300,
        ),
        "paper": replace(base, data="mnist", epochs=6, log_per_epoch=4, samples=5000, probe_steps=2500),
    }[profile]


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[IrmaeImages]:
    """AE, IRMAE, VAE and the supervised baseline, seed by seed.

    At "paper" (all of MNIST, quarter-width net, six epochs) other depths follow, then convolutions with He's start,
    then the released code's quirks: images that are never shuffled, and a VAE whose divergence is missing. The
    paper's own net at its full length is `irmae_images_full`.
    """
    base = reduced(profile)
    models = [model_of(base, name, depth=4 if profile == "paper" else 2) for name in MODELS]
    rounds = [models]
    if profile == "paper":
        ae, irmae, vae, _ = models
        rounds += [[replace(ae, depth=8)], [replace(ae, depth=2)]]
        rounds += [[replace(irmae, conv_start="he"), replace(ae, conv_start="he")]]
        rounds += [[replace(irmae, shuffle=False), replace(vae, beta=NO_DIVERGENCE)]]
    seeds = seeds or ((0, 1, 2) if profile == "paper" else (0,))
    return [replace(spec, seed=seed) for specs in rounds for seed in seeds for spec in specs]


def model_of(base: IrmaeImages, name: str, depth: int) -> IrmaeImages:
    """One of `MODELS` at the size of `base`."""
    steps = min(base.probe_steps, 250 if base.profile == "quick" else 1500)
    return {
        "ae": base,
        "irmae": replace(base, depth=depth),
        "vae": replace(base, kind="vae", loss="vae-official"),
        "supervised": replace(base, supervised=True, probe_steps=steps),
    }[name]


def run(
    specs: Sequence[IrmaeImages],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train and measure all members, on a CPU in the order given; autoencoders are resumable."""
    device, results = str(resolve_device(device)), {}
    kind = operator.attrgetter("supervised")
    # on CUDA all autoencoders first, so that they are trained together where they fit
    order = specs if device == "cpu" else sorted(specs, key=kind)
    parts = [list(part) for _, part in itertools.groupby(order, key=kind)]
    for part, report in weighted(parts, cost, progress):
        if part[0].supervised:
            finished = run_supervised(part, device, report, on_done)
        else:
            finished = run_autoencoders(part, evaluate, device, report, on_done)
        results |= {result.spec: result for result in finished}
    return [results[spec] for spec in specs]


def batches(specs: Sequence[IrmaeImages], memory: int | None = None, device: str = "cpu") -> list[list]:
    """The specs in groups that are trained together."""
    autoencoders = [spec for spec in specs if not spec.supervised]
    return ensembles(autoencoders, device, memory) + [[spec] for spec in specs if spec.supervised]


EXPERIMENT = Experiment(IrmaeImages, presets, run, MEASURES, batches=batches, cost=cost, estimate=estimate, size=size)
