"""Images that need no file on disk: the first 12,000 of MNIST, inside the package, and scikit-learn's digits."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from implicit_rank.data.images import Images, assembled, checked_count

NO_FILES_NEEDED = "'mnist-12k', 'digits' and 'shapes' need no files"


def mnist_12k(split: str, size: int, count: int | None = None, root: Path | None = None, download=False) -> Images:
    """The first 10,000 training or 2,000 test images of MNIST, with labels, resized to `size`.

    `root` and `download` are those of all loaders, and are not looked at.
    """
    with files("implicit_rank").joinpath("assets/mnist_12k.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        pixels, labels = stored[f"x_{split}"], stored[f"y_{split}"]
    published = "60,000 training" if split == "train" else "10,000 test"
    source = f"the first {len(pixels):,} of MNIST's {published} images, inside the package"
    count = checked_count(count, len(pixels), f"mnist-12k ({split})")
    checksum = f"sha256 {hashlib.sha256(pixels).hexdigest()}"
    return assembled("mnist-12k", split, pixels[:count], labels[:count], size, source, checksum=checksum)


def digits(split: str, size: int, count: int | None = None, root: Path | None = None, download=False) -> Images:
    """Scikit-learn's digits: 1,442 training or 355 test images of 8 x 8, resized to `size`.

    The published file is one set. Of every class, each fifth image in the file's order is a test image, so both
    parts have the same classes in the same proportions. Grey values 0 to 16 become 0 to 255.
    """
    data = load_digits()
    rank_in_class = np.zeros(len(data.target), int)
    for label in np.unique(data.target):
        members = np.flatnonzero(data.target == label)
        rank_in_class[members] = np.arange(len(members))
    chosen = np.flatnonzero((rank_in_class % 5 == 4) == (split == "test"))
    chosen = chosen[: checked_count(count, len(chosen), f"digits ({split})")]
    pixels = np.round(data.images[chosen] * (255 / 16)).astype(np.uint8)
    source = "scikit-learn's 1,797 digits of 8 x 8; of every class each fifth image is a test image"
    return assembled("digits", split, pixels, data.target[chosen], size, source)
