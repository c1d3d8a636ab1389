"""Image data sets by name, all in one form."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from implicit_rank.data.celeba import celeba
from implicit_rank.data.cifar import cifar10
from implicit_rank.data.embedded import digits, mnist_12k
from implicit_rank.data.idx import FASHION, MNIST, idx_images
from implicit_rank.data.image_folder import labelled_folder
from implicit_rank.data.images import Images, checked_size
from implicit_rank.data.shapes import PRESETS, shapes
from implicit_rank.folders import expanded

SHAPES = {"shapes": "paper"} | {f"shapes-{preset}": preset for preset in PRESETS}
# name -> function of (split, size, count, root, download); of all but folders and generated shapes
LOADERS = {
    "mnist": partial(idx_images, MNIST),
    "mnist-12k": mnist_12k,
    "fashion": partial(idx_images, FASHION),
    "cifar10": cifar10,
    "celeba": celeba,
    "digits": digits,
}
IMAGE_NAMES = (*LOADERS, *SHAPES)


def load(
    name: str,
    split: str = "train",
    root: Path | str | None = None,
    size: int | None = None,
    seed: int = 0,
    *,
    count: int | None = None,
    download: bool = False,
    channels: int | None = None,
    background: str = "white",
) -> Images:
    """A split of an image data set as a uint8 tensor (n, c, size, size), with labels and provenance.

    `name`: "mnist", "fashion", "cifar10", "celeba"; "mnist-12k" (MNIST's first 10,000 training and 2,000 test
    images), "digits" (scikit-learn's 8 x 8) and "shapes" (= "shapes-paper"; "shapes-official", "shapes-ours"), which
    need no files; or "folder:PATH", any folder of images. `split` is "train" or "test", for CelebA also "valid".
    `size` is the papers' unless given: 64 for CelebA, 32 for all others. `count` takes the first images only
    (shapes: makes so many). `root` is the folder of data sets in torchvision's layout, `data_root` unless
    given; `download` allows to fetch what is missing into it, otherwise the network is never touched. `seed`
    belongs to shapes; `channels` (1 or 3) and `background`, the colour on which transparent images are laid, to
    folders (`implicit_rank.data.image_folder.labelled_folder`).

    Raises ValueError for anything that is not allowed and for files that are not the published ones,
    FileNotFoundError for files that are not there, ConnectionError for a download that failed.
    """
    if not isinstance(name, str) or not (name in IMAGE_NAMES or name.startswith("folder:")):
        raise ValueError(f"unknown images {name!r}; allowed: {', '.join(IMAGE_NAMES)}, folder:PATH.")
    if split not in ("train", "test") and (name, split) != ("celeba", "valid"):
        valid = "'train', 'valid' or 'test' for celeba" if name == "celeba" else "'train' or 'test'"
        raise ValueError(f"split must be {valid}, not {split!r}.")
    if channels is not None and not name.startswith("folder:"):
        raise ValueError(f"channels can be chosen for folder:PATH only, not for {name!r}.")
    if background != "white" and not name.startswith("folder:"):
        raise ValueError(f"background can be chosen for folder:PATH only, not for {name!r}.")
    size = checked_size((64 if name == "celeba" else 32) if size is None else size)
    if name in SHAPES:
        return shapes(SHAPES[name], split, count, size, seed)
    if name.startswith("folder:"):
        return labelled_folder(name.removeprefix("folder:"), split, size, count, channels, background)
    return LOADERS[name](split, size, count, None if root is None else expanded(root), download)
