"""The parameters of chapter 4, and the runs they ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from implicit_rank.data.images import Images
from implicit_rank.experiments.irmae_images.experiment import MODELS, IrmaeImages, model_of, reduced
from implicit_rank.experiments.kit.autoencoder_training import data as images_of
from implicit_rank.experiments.kit.chapter_data import checked_count, checked_name, count_of
from implicit_rank.nets import ARCHITECTURES, STARTS
from implicit_rank.parameters import LARGEST_SEED, ParameterError, Parameters, option
from implicit_rank.store import PROFILES

CELEBA = {"architecture": "celeba", "code_width": 512, "depth": 4, "components": 10}


@dataclass(frozen=True)
class IrmaeImagesChapter(Parameters):
    """What a reader may change in chapter 4; None stands for the profile's, or the data's, own value."""

    profile: str = option("quick", "how much is run", choices=PROFILES)
    data: str | None = option(None, "mnist, mnist-12k, fashion, cifar10, celeba, digits or folder:PATH")
    size: int | None = option(None, "pixels on a side", least=8, most=512)
    count: int | None = option(None, "training images; 0 for all", least=0)
    models: tuple[str, ...] = option(MODELS, "which are trained", choices=MODELS)
    depth: int | None = option(None, "linear maps l of IRMAE", least=1, most=64)
    seeds: tuple[int, ...] = option((0,), "one member of each model a seed", least=0, most=LARGEST_SEED)
    architecture: str | None = option(None, "encoder and decoder", choices=ARCHITECTURES)
    code_width: int | None = option(None, "width d of the codes", least=2, most=4096)
    channel_factor: float | None = option(None, "width of the net relative to the paper's", above=0, most=8)
    conv_start: str = option("zero-output-bias", "start of encoder and decoder", choices=STARTS)
    epochs: int | None = option(None, "passes over the images", least=1)
    lr: float = option(1e-3, "learning rate", above=0)
    components: int | None = option(None, "Gaussians in the mixture", least=1, most=1000)
    labels: tuple[int, ...] | None = option(None, "labelled images of the probes; 0 for all", least=0)
    draws: int | None = option(None, "labelled subsets of each size", least=1)
    samples: int | None = option(None, "images drawn by each sampler", least=2, most=1_000_000)
    device: str = option("cpu", "cpu, cuda or auto")

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "data", checked_name(self.data))
        checked_count(self.count)

    def base(self) -> IrmaeImages:
        """What all models share: the plain autoencoder of seed 0."""
        own = reduced(self.profile)
        data = self.data or own.data
        changed = {name: value for name, value in CELEBA.items() if self.faces() and name != "depth"}
        changed |= {"architecture": "cifar10"} if data == "cifar10" else {}
        changed |= {"data": data, "lr": self.lr, "conv_start": self.conv_start}
        changed |= {"size": self.size or (64 if self.faces() and data != "celeba" else 0)}
        changed["count"] = count_of(own, data) if self.count is None else self.count
        for name in (
            "architecture",
            "code_width",
            "channel_factor",
            "epochs",
            "components",
            "labels",
            "draws",
            "samples",
        ):
            if getattr(self, name) is not None:
                changed[name] = getattr(self, name)
        return replace(own, **changed)

    def faces(self) -> bool:
        """Whether the net of CelebA is asked for."""
        return self.data == "celeba" or self.architecture == "celeba"

    def maps(self) -> int:
        """IRMAE's number of maps: the paper's four for faces, two below the profile "paper"."""
        return self.depth or (4 if self.faces() or self.profile == "paper" else 2)

    def images(self) -> tuple[Images, Images]:
        """Training and test images; FileNotFoundError, one sentence, where they are not on this machine."""
        base = self.base()
        return images_of(base.data, "train", base.count, base.size), images_of(base.data, "test", 0, base.size)

    def specs(self) -> list[IrmaeImages]:
        """The members of the live run; all defaults give the profile's own. Without labels no baseline.

        ParameterError when more labels are asked for than there are images.
        """
        base, images = self.base(), self.images()[0]
        if (most := max(self.labels or (0,))) > images.n:
            there = f"{images.n:,} of {base.data} are taken" if base.count else f"{base.data} has {images.n:,}"
            raise ParameterError(f"labels asks for {most:,} images, but {there}.")
        models = [name for name in self.models if images.labels is not None or name != "supervised"]
        return [replace(model_of(base, name, self.maps()), seed=seed) for seed in self.seeds for name in models]
