"""Images as every experiment gets them: one uint8 tensor, labels, and where both come from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from implicit_rank.parameters.numbers import whole

SMALLEST, LARGEST = 4, 1024


@dataclass(frozen=True, eq=False)
class Images:
    """One split of a data set, on the CPU.

    `images` (n, c, h, w) uint8, contiguous; `labels` (n,) int64 or None; `factors` the numbers each image was
    drawn from, (n,) float64 by name, or None; `exact` (n,) bool, False where the pixels are known to differ from
    the published ones, or None where nothing of the kind is known; `provenance` says in plain values that JSON can
    hold where the images come from, what was checked and how they were resized.
    """

    name: str
    split: str
    images: Tensor
    labels: Tensor | None = None
    provenance: dict[str, str | int | float | list] = field(default_factory=dict)
    factors: dict[str, Tensor] | None = None
    exact: Tensor | None = None

    def __post_init__(self):
        if not isinstance(self.images, Tensor):
            kind = type(self.images).__name__
            raise ValueError(f"images must be a uint8 tensor (torch.from_numpy makes one), not {kind}.")
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or not len(self.images):
            raise ValueError(
                f"images must be a uint8 tensor (n, c, h, w) with n of at least 1, not {self.images.dtype} "
                f"{tuple(self.images.shape)}."
            )
        for what, values in {"labels": self.labels, "exact": self.exact, **(self.factors or {})}.items():
            if values is not None and values.shape != (self.n,):
                raise ValueError(f"{what} must have one number per image, ({self.n},), not {tuple(values.shape)}.")

    @property
    def n(self) -> int:
        """Number of images."""
        return self.images.shape[0]

    @property
    def channels(self) -> int:
        """Number of channels: 1 (grey) or 3 (RGB)."""
        return self.images.shape[1]

    @property
    def size(self) -> int:
        """Height and width in pixels."""
        return self.images.shape[-1]

    def first(self, count: int) -> Images:
        """The first `count` images; ValueError unless there are that many."""
        if not 1 <= count <= self.n:
            raise ValueError(f"count must lie between 1 and {self.n} for {self.name} ({self.split}), not {count}.")
        return self.subset(torch.arange(count), f"the first {count} of {self.n}")

    def subset(self, indices: Tensor | Sequence[int], rule: str | None = None) -> Images:
        """The images at `indices` (a list, an index tensor or a boolean mask), in that order.

        `rule` says in a few words how they were chosen; it goes into the provenance. Raises ValueError when there
        is none or one lies outside.
        """
        chosen = torch.as_tensor(indices)
        if chosen.dtype == torch.bool:
            if chosen.shape != (self.n,):
                raise ValueError(f"a mask must have one entry per image, ({self.n},), not {tuple(chosen.shape)}.")
            chosen = chosen.nonzero().squeeze(1)
        if chosen.ndim != 1 or not len(chosen):
            raise ValueError("a subset needs at least one image.")
        if chosen.is_floating_point() or chosen.min() < 0 or chosen.max() >= self.n:
            raise ValueError(f"indices must be whole numbers from 0 to {self.n - 1}.")
        exact = None if self.exact is None else self.exact[chosen]
        provenance = self.provenance | {"n": len(chosen), "subset": rule or f"{len(chosen)} of {self.n}"}
        if exact is not None:
            provenance["inexact"] = (~exact).nonzero().squeeze(1).tolist()
        return replace(
            self,
            images=self.images[chosen].contiguous(),
            labels=None if self.labels is None else self.labels[chosen],
            factors=None if self.factors is None else {name: f[chosen] for name, f in self.factors.items()},
            exact=exact,
            provenance=provenance,
        )

    def digest(self) -> str:
        """The sha256 of shape and pixels, hexadecimal: the key of whatever is computed from the images."""
        sha = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        sha.update(self.images.contiguous().numpy())
        return sha.hexdigest()


def resized(pixels: np.ndarray, size: int) -> Tensor:
    """8-bit images (n, h, w) or (n, h, w, 3) as a uint8 tensor (n, c, size, size).

    Pillow's bilinear filter, which antialiases: what torchvision's Resize does to a Pillow image.
    """
    n, height, width = pixels.shape[:3]
    if (height, width) != (size, size):
        out = np.empty((n, size, size, *pixels.shape[3:]), np.uint8)
        for i, image in enumerate(pixels):
            out[i] = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
        pixels = out
    stacked = torch.from_numpy(np.array(pixels, order="C"))  # a copy: files mapped or frozen stay as they are
    return stacked.unsqueeze(1) if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2).contiguous()


def assembled(
    name: str, split: str, pixels: np.ndarray, labels: np.ndarray | None, size: int, source: str, **more
) -> Images:
    """8-bit images (n, h, w) or (n, h, w, 3), resized, with labels (n,) and provenance.

    `source` says in words where they come from; `more` are further entries of the provenance, besides `exact`,
    the mask (n,) of `Images`.
    """
    exact = more.pop("exact", None)
    if exact is not None:
        exact = torch.from_numpy(np.array(exact, dtype=bool))
        more["inexact"] = (~exact).nonzero().squeeze(1).tolist()
    images = resized(pixels, size)
    provenance = {"source": source, "n": len(images), "size": size, "channels": images.shape[1]}
    provenance["resize"] = resize_rule(*pixels.shape[1:3], size)
    labels = None if labels is None else torch.from_numpy(np.array(labels, dtype=np.int64))
    return Images(name, split, images, labels, provenance | more, exact=exact)


def resize_rule(height: int, width: int, size: int) -> str:
    """The provenance's few words on what `resized` did."""
    return "none" if (height, width) == (size, size) else f"{height} x {width} to {size} x {size}, Pillow bilinear"


def checked_size(size: int) -> int:
    """`size`; ValueError unless it is a whole number of pixels in the allowed range."""
    if whole(size) is None or not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size must be a whole number of pixels from {SMALLEST} to {LARGEST}, not {size!r}.")
    return whole(size)


def checked_count(count: int | None, available: int, what: str) -> int:
    """How many images are wanted: `count`, or all that are `available` for None."""
    if count is None:
        return available
    if whole(count) is None or not 1 <= count <= available:
        raise ValueError(f"count must be a whole number from 1 to {available} for {what}, not {count!r}.")
    return whole(count)
