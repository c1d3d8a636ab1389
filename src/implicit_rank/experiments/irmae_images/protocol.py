"""What follows for Jing 2020 from labels and formulas alone: the least error its first labels allow, its VAE's beta."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_rank.autoencoder import LOSSES, effective_beta
from implicit_rank.data.load import load
from implicit_rank.experiments.irmae_images.labels import least_errors
from implicit_rank.experiments.irmae_images.measures import SIZES, least_error
from implicit_rank.experiments.kit.measures import Measure, scalar
from implicit_rank.experiments.kit.result import Progress, Result, run_each
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option
from implicit_rank.store import Spec

__all__ = ["MEASURES", "IrmaeProtocol", "presets", "run"]


@dataclass(frozen=True)
class IrmaeProtocol(Spec):
    """One data set with labels; nothing is trained and nothing is random."""

    experiment: ClassVar[str] = "irmae_images_protocol"

    data: str = option("mnist", "a labelled data set of implicit_rank.data.load")
    code_width: int = option(128, "width d of the codes", least=1)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[IrmaeProtocol]:
    """The labels of MNIST: all of them at "paper", those inside the package below."""
    data = "mnist" if profile == "paper" else "mnist-12k"
    return [IrmaeProtocol(profile=profile, seed=seed, data=data) for seed in seeds or (0,)]


def run(
    specs: Sequence[IrmaeProtocol],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Count labels; `device` is not used."""
    return run_each(specs, counted, progress, on_done)


def counted(spec: IrmaeProtocol) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The least errors for every number of first labels, and the released VAE's beta in nats an image."""
    images, test = load(spec.data), load(spec.data, "test")
    sizes = [size for size in SIZES if size <= images.n]
    beta = effective_beta(tuple(images.images.shape[1:]), spec.code_width, LOSSES["vae-official"])
    arrays = {"label_sizes": np.array(sizes), "least_errors": least_errors(images.labels, test.labels, sizes)}
    return {"effective_beta": beta}, arrays


MEASURES: dict[str, Measure] = {f"least_error_{size}": least_error(size) for size in SIZES}
MEASURES["effective_beta"] = scalar("effective_beta")

EXPERIMENT = Experiment(IrmaeProtocol, presets, run, MEASURES)
