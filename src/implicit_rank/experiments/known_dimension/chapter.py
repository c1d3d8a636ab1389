"""The parameters of chapter 3, and the runs they ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from implicit_rank.data.load import SHAPES
from implicit_rank.experiments.known_dimension.experiment import COMPARED, KnownDimension
from implicit_rank.nets import ARCHITECTURES, STARTS
from implicit_rank.parameters import LARGEST_SEED, Parameters, option
from implicit_rank.store import PROFILES

SIZES = {  # images, epochs, test images, codes in a regression, seeds of the live run
    "smoke": (640, 1, 200, 60, (0,)),
    "quick": (24_000, 1, 2000, 600, (0,)),
    "paper": (0, 3, 2000, 1000, (0, 1, 2)),
}


@dataclass(frozen=True)
class KnownDimensionChapter(Parameters):
    """What a reader may change in chapter 3; None stands for the profile's own value."""

    profile: str = option("quick", "how much is run", choices=PROFILES)
    data: str = option("shapes-ours", "rules that draw the shapes", choices=tuple(SHAPES))
    size: int = option(16, "pixels on a side: 16, 32 or 64", choices=(16, 32, 64))
    architecture: str = option("shapes-official", "net", choices=tuple(a for a in ARCHITECTURES if "shapes" in a))
    channel_factor: float = option(0.5, "width of the net relative to the paper's", above=0, most=8)
    code_width: int = option(32, "width d of the codes", least=1, most=4096)
    conv_start: str = option("he", "start of encoder and decoder", choices=STARTS)
    depths: tuple[int, ...] = option((2, 4), "numbers l of linear maps, beside none", least=1, most=64)
    l1: float = option(COMPARED, "coefficient of the penalty on absolute values", above=0)
    l2: float = option(COMPARED, "coefficient of the penalty on squares", above=0)
    lr: float = option(1e-3, "learning rate", above=0)
    images: int | None = option(None, "training images", least=32, most=1_000_000)
    epochs: int | None = option(None, "passes over them", least=1)
    seeds: tuple[int, ...] | None = option(None, "one member of each model a seed", least=0, most=LARGEST_SEED)
    device: str = option("cpu", "cpu, cuda or auto")

    def base(self) -> KnownDimension:
        """What all members of the live run share."""
        count, epochs, evaluate, regression, _ = SIZES[self.profile]
        names = ("profile", "data", "size", "architecture", "channel_factor", "code_width", "conv_start", "lr")
        return KnownDimension(
            count=self.images or count,
            epochs=self.epochs or epochs,
            evaluate=evaluate,
            regression=regression,
            **{name: getattr(self, name) for name in names},
        )

    def specs(self) -> list[KnownDimension]:
        """The members of the live run, in the order of Figure 3's rows."""
        kinds = [{}, {"l1": self.l1}, {"l2": self.l2}, *({"depth": depth} for depth in self.depths)]
        seeds = self.seeds or SIZES[self.profile][-1]
        return [replace(self.base(), seed=seed, **kind) for seed in seeds for kind in kinds]
