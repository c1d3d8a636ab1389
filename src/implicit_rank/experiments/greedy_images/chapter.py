"""The parameters of chapters 6 and 7, and the members they ask for."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from implicit_rank.data.archives import data_root
from implicit_rank.data.cifar import ARCHIVE, FOLDER, NPZ
from implicit_rank.evaluate import principal_errors
from implicit_rank.experiments.greedy_images.experiment import (
    GreedyImages,
    explicit,
    orthogonal,
    small,
    standard,
    vanilla,
)
from implicit_rank.experiments.kit.autoencoder_training import data as images_of
from implicit_rank.experiments.kit.chapter_data import checked_count, checked_name
from implicit_rank.nets import STARTS
from implicit_rank.parameters import LARGEST_SEED, Parameters, option
from implicit_rank.store import PROFILES, Record, filter_records

SIZES = {  # depths of the standard start, depth and alphas of the orthogonal one, hand-set ranks, an alpha too large
    "smoke": ((2,), 4, (1.0, 10.0), (8,), 300.0),
    "quick": ((2, 4, 8), 8, (1.0, 5.0, 15.0), (4, 16), 150.0),
    "paper": ((2, 4, 8, 16), 16, (1.0, 10.0, 30.0), (8, 16, 32), 200.0),
}
STAND_IN = "shapes"  # colour images that need no file


@dataclass(frozen=True)
class GreedyImagesChapter(Parameters):
    """What a reader may change in chapters 6 and 7; None stands for the profile's own value."""

    profile: str = option("quick", "how much is run", choices=PROFILES)
    data: str | None = option(None, "images, by a name of implicit_rank.data.load or folder:PATH")
    seeds: tuple[int, ...] = option((0,), "one member of every kind a seed", least=0, most=LARGEST_SEED)
    depths: tuple[int, ...] | None = option(None, "numbers N of maps of the standard start", least=1, most=64)
    depth: int | None = option(None, "number N of maps of the orthogonal start", least=2, most=64)
    alphas: tuple[float, ...] | None = option(None, "re-parameterisations of the orthogonal start", above=0, most=100)
    ranks: tuple[int, ...] | None = option(None, "ranks set by hand", least=1, most=128)
    conv_start: str = option("zero-output-bias", "start of encoder and decoder", choices=STARTS)
    scale: float = option(1.0, "size of W_e at the orthogonal start: 1, or 0.001 as in App. B", above=0, most=10)
    count: int | None = option(None, "training images; 0 for all", least=0)
    epochs: int | None = option(None, "passes over them", least=1)
    lr: float | None = option(None, "Adam's learning rate", above=0)
    components: int = option(4, "Gaussians in the mixture", least=1, most=1000)
    device: str = option("cpu", "cpu, cuda or auto")

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "data", checked_name(self.data))
        checked_count(self.count)

    def images(self, colour: bool = False) -> str:
        """The name of the data set: the one asked for, or what is at hand."""
        return self.data or ("mnist-12k" if not colour else CIFAR if cifar_is_there() else STAND_IN)

    def bases(self, colour: bool = False) -> list[GreedyImages]:
        """What all members share, one a seed."""
        base = replace(small(self.profile, self.images(colour)), conv_start=self.conv_start)
        given = {"count": self.count, "epochs": self.epochs, "lr": self.lr}
        changed = {name: value for name, value in given.items() if value is not None}
        return [replace(base, seed=seed, components=self.components, **changed) for seed in self.seeds]

    def closely(self) -> int:
        """The depth of the orthogonal start that is looked at."""
        return self.depth or SIZES[self.profile][1]

    def grid(self, colour: bool = False) -> list[GreedyImages]:
        """The members of Figures 2 to 4, or 6 to 8."""
        depths, _, _, ranks, _ = SIZES[self.profile]
        alphas, more = self._alphas(), {"scale": self.scale}
        return [
            member
            for base in self.bases(colour)
            for member in (
                vanilla(base),
                *(orthogonal(base, self.closely(), alpha, **more) for alpha in alphas),
                *self._deeper(base, alphas, more),
                *(standard(base, depth) for depth in self.depths or depths),
                *(explicit(base, rank) for rank in self.ranks or ranks),
            )
        ]

    def _deeper(self, base: GreedyImages, alphas: Sequence[float], more: dict) -> list[GreedyImages]:
        """A chain of twice the depth at the second alpha: Figure 3 has several depths."""
        wanted = self.profile == "quick" and self.depth is None and len(alphas) > 1 and base.data in GREY
        return [orthogonal(base, 2 * self.closely(), alphas[1], **more)] if wanted else []

    def stages(self) -> list[GreedyImages]:
        """The two-stage method at the largest alpha, with three fifths of the epochs for its first stage."""
        base = replace(self.bases()[0], study="stages")
        method = {"two_stages": True, "settle_tolerance": 1, "settle_cap": max(1, 3 * base.epochs // 5)}
        return [orthogonal(base, self.closely(), max(self._alphas()), scale=self.scale, **method)]

    def diverging(self) -> list[GreedyImages]:
        """A chain at an alpha that is too large, one epoch long."""
        base = replace(self.bases()[0], study="start", epochs=1, log_per_epoch=8, **BARE)
        return [orthogonal(base, self.closely(), SIZES[self.profile][4])]

    def fastest(self, live: Sequence[Record]) -> list[Record]:
        """The run of the orthogonal start that is looked at, at its largest alpha, of the first seed."""
        return filter_records(
            live, init="orthogonal", depth=self.closely(), alpha=max(self._alphas()), seed=self.seeds[0]
        )

    def _alphas(self) -> tuple[float, ...]:
        return self.alphas or SIZES[self.profile][2]


BARE = {"probe_epochs": 0, "samples": 0}
GREY = ("mnist-12k", "mnist")
CIFAR = "cifar10"
COMPONENTS = (1, 2, 4, 8, 16, 32, 64, 128)


def cifar_is_there() -> bool:
    """Whether CIFAR-10 lies in the data folder, in a form that can be read."""
    return any((data_root() / name).exists() for name in (NPZ, FOLDER, ARCHIVE))


def first_images(data: str, count: int = 8) -> np.ndarray | None:
    """The first test images of a set, uint8 `(count, c, h, w)`; None for CIFAR-10 where it is not on this machine."""
    if data == CIFAR and not cifar_is_there():
        return None
    return images_of(data, "test", 0, 0).images[:count].numpy()


def principal_curve(records: Sequence[Record]) -> tuple[tuple[int, ...], list[float]]:
    """Numbers of principal components, and the test errors of that many, for the images that the runs are of.

    All training images of the set are used, whatever part of them the runs saw, but of MNIST the part that is in the
    package; nothing for no runs.
    """
    data = records[0].spec["data"] if records else ""
    return _curve("mnist-12k" if data == "mnist" else data) if records else ((), [])


@functools.cache
def _curve(data: str) -> tuple[tuple[int, ...], list[float]]:
    images, test = (images_of(data, split, 0, 0).images for split in ("train", "test"))
    return COMPONENTS, principal_errors(images, test, COMPONENTS)
