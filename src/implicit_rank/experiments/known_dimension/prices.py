"""What it costs, in mean squared error, not to know one of the seven factors of a shape."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from implicit_rank.data.load import SHAPES
from implicit_rank.data.shapes import CHUNK, PRESETS, draw_factors, draw_images

GROUPS = {
    "position": ("x", "y"),
    "size": ("size",),
    "colour": ("r", "g", "b"),
    "shape": ("shape",),
    "everything": ("r", "g", "b", "x", "y", "size", "shape"),
}


@functools.cache
def prices(
    data: str = "shapes-ours", size: int = 16, count: int = 10_000, seed: int = 0, **changes
) -> Mapping[str, float]:
    """The least mean squared error, pixels from 0 to 1, of whoever knows all factors but one group.

    That is E Var(image | the other factors) per entry, half the mean squared difference of two images that
    differ in this group alone. "hue" is what of the colour is left when its brightness (mean of the channels) is known;
    "hue and shape" is for neither; "everything" is the variance of the images, the error of the best constant. Monte
    Carlo with `count` couples of images; `changes` replace rules as in `implicit_rank.data.shapes.shapes`.
    ValueError for other data.

    Book: eq-price
    """
    if data not in SHAPES:
        raise ValueError(f"data must be one of {', '.join(SHAPES)}, not {data!r}.")
    rules = replace(PRESETS[SHAPES[data]], **changes)
    one, other = (draw_factors(rules, "train", count, size, place) for place in (2 * seed, 2 * seed + 1))
    sums = dict.fromkeys((*GROUPS, "hue", "hue and shape"), 0.0)
    for start, stop in pairwise([*range(0, count, CHUNK), count]):
        part, swap = ({name: f[start:stop] for name, f in factors.items()} for factors in (one, other))
        images = draw_images(rules, part, size) / 255.0
        for group, names in GROUPS.items():
            changed = draw_images(rules, part | {name: swap[name] for name in names}, size) / 255.0
            sums[group] += float(np.square(images - changed).sum()) / 2
        grey = images.mean(axis=1, keepdims=True)  # channels are exchangeable: the best guess of each is their mean
        sums["hue"] += float(np.square(images - grey).sum())
        either = [draw_images(rules, part | {"shape": np.full(stop - start, kind)}, size) / 510.0 for kind in (0, 1)]
        sums["hue and shape"] += float(np.square(images - sum(either).mean(axis=1, keepdims=True)).sum())
    return MappingProxyType({group: total / (count * 3 * size**2) for group, total in sums.items()})
