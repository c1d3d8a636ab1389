"""Data sets by name: second moments for full-batch runs, centred samples for everything else."""

from __future__ import annotations

import functools

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from implicit_rank.data.archives import mnist_images
from implicit_rank.data.image_folder import parted
from implicit_rank.data.moments import SecondMoments, mnist_moments, moments_of
from implicit_rank.data.synthetic import synthetic_official, synthetic_paper, synthetic_samples
from implicit_rank.tree import folder_state, printable

NAMES = ("mnist", "digits", "synthetic-paper", "synthetic-official")


def second_moments(name: str, *, width: int = 1000, seed: int = 0, size: int = 28) -> SecondMoments:
    """The second moments of a data set.

    `name` is "mnist" (the full training set, exact), "digits" (scikit-learn's 1,797 images of 8 x 8),
    "synthetic-paper", "synthetic-official" (Bao 2020, Figure 4; `width` and `seed` belong to these) or
    "folder:PATH" (grey images resized to `size` x `size`; the training images only, where its sub-folders are
    splits). Raises ValueError for any other name.
    """
    return _second_moments(name, width, seed, size, folder_state(name))


@functools.lru_cache(maxsize=8)
def _second_moments(name: str, width: int, seed: int, size: int, state: str) -> SecondMoments:
    if name == "mnist":
        return mnist_moments()
    if name == "digits":
        sentence = "scikit-learn's 1,797 digits of 8 x 8, pixels from 0 to 1, mean image subtracted."
        return moments_of(name, _digits(), sentence, image_shape=(8, 8))
    if name == "synthetic-paper":
        return synthetic_paper(width, seed=seed)
    if name == "synthetic-official":
        return synthetic_official(width, seed=seed)
    if name.startswith("folder:"):
        pixels, sentence = _folder(name, size)
        return moments_of(name, pixels, sentence, image_shape=(size, size))
    raise ValueError(f"unknown data {name!r}; allowed: {', '.join(NAMES)}, folder:PATH.")


def samples(name: str, *, width: int = 1000, seed: int = 0, size: int = 28) -> Tensor:
    """The samples (n, D) whose second moments `second_moments` gives, mean subtracted, float64.

    Raises FileNotFoundError for "mnist" where its images are not there, and ValueError for
    "synthetic-paper", which is defined by its spectrum alone and has no samples.
    """
    if name == "mnist":
        X = torch.from_numpy(mnist_images("train").copy()).double().flatten(1) / 255
    elif name == "digits":
        X = _digits()
    elif name == "synthetic-official":
        return synthetic_samples(width, seed=seed)
    elif name == "synthetic-paper":
        raise ValueError("synthetic-paper is a spectrum and has no samples; use synthetic-official.")
    elif name.startswith("folder:"):
        X = _folder(name, size)[0]
    else:
        raise ValueError(f"unknown data {name!r}; allowed: {', '.join(NAMES)}, folder:PATH.")
    return X.sub_(X.mean(dim=0))


def _folder(name: str, size: int) -> tuple[Tensor, str]:
    """The training images (n, size^2) of a folder, grey values from 0 to 1, and where they come from in a sentence."""
    path = name.removeprefix("folder:")
    data = parted(path, size, channels=1)
    pixels = torch.from_numpy(data.found.pixels)
    which = (
        "" if data.rule is None else f" ({data.rule.sentence()}; {len(data.chosen['train'])} for training are taken)"
    )
    if data.rule is not None:
        pixels = pixels[data.chosen["train"]]
    sentence = f"Grey images of {size} x {size} from {printable(path)}{which}: {data.found.summary()}"
    return pixels.double().flatten(1) / 255, sentence


def _digits() -> Tensor:
    return torch.from_numpy(load_digits().data).double() / 16
