"""Which images a chapter's live run takes: names that are known, no more than a laptop bears, labels that suffice."""

from __future__ import annotations

from torch import Tensor

from implicit_rank.data.load import IMAGE_NAMES, SHAPES
from implicit_rank.evaluate.subsets import subset_rule
from implicit_rank.experiments.kit.autoencoder_spec import AutoencoderSpec
from implicit_rank.parameters import ParameterError, unknown_name
from implicit_rank.tree import absolute_folder

LARGE = ("mnist", "fashion", "cifar10", "celeba", *SHAPES)
FEWEST = 64  # images that a live run can be judged on
ENOUGH = 10_000  # images of a large set in the profile quick


def checked_name(data: str | None) -> str | None:
    """The name of a data set, the path of a folder made absolute: the kernel may move on, the runs stay where they are.

    Raises ParameterError, naming what is allowed, unless `data` is None or a name that `load` knows.
    """
    if data is not None and data not in IMAGE_NAMES and not data.startswith("folder:"):
        raise ParameterError(unknown_name("data", data, [*IMAGE_NAMES, "folder:PATH"]))
    return None if data is None else absolute_folder(data)


def checked_count(count: int | None) -> int | None:
    """The number of training images as it is; ParameterError where there are too few for probes and mixtures."""
    if count is not None and 0 < count < FEWEST:
        raise ParameterError(f"count must be 0 (all) or an integer of at least {FEWEST}, not {count}.")
    return count


def count_of(own: AutoencoderSpec, data: str) -> int:
    """How many training images a run takes, 0 for all: of a large set the first ones, below the profile paper.

    `own` is what the profile's own members share.
    """
    if data in LARGE and own.profile != "paper":
        return own.count or ENOUGH
    return own.count if data == own.data else 0


def balanced_sizes(sizes: tuple[int, ...], labels: Tensor, data: str) -> tuple[int, ...]:
    """Those numbers of labels whose share every class has, or else the largest such number.

    `labels` (n,) are those of the training images. ParameterError where a class has no training image at all.
    """
    counts = labels.bincount()
    if not counts.min():
        raise ParameterError(f"{data} has a class without any training image, so no probe can be trained on labels.")
    enough = tuple(size for size in sizes if subset_rule(labels, size) == "balanced")
    return enough or (int(counts.min()) * len(counts),)
