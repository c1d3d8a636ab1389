"""The shape set of Jing 2020, section 4.1: one coloured square or circle per image, seven factors, made from a seed.

The supplement gives integer sizes from 3 to 8 and integer centres from 8 to 24 on 32 x 32 pixels, everything uniform.
Three presets:

"paper"     The text at its word. A point lies on a corner between pixels, size is a circle's radius and half a
            square's side: the reading in which the largest shape at 8 or 24 touches the border and none is cut. The
            validation images are a stream of their own.
"official"  What the released code draws. Sampled points are pixels; circles are OpenCV's with radius size; a square
            hangs from the sampled point, its upper left corner, with a side of size + 1 pixels, half as wide as the
            circle of that size and never centred where it says; shapes at 24 lose a row or column of pixels; and the
            validation images repeat the first training images, since every worker starts its generator at the index
            of its first image. Colours are rounded to 8 bits here; the code keeps float32.
"ours"      What a clean study would do. Position and size are real numbers and edges are smooth, so that six of the
            seven factors really are continuous and an image shows them to a fraction of a pixel; square and circle
            of one size have equal areas, so that the total brightness does not give away the shape; no channel is
            darker than 64 of 255, so that no shape is too dark to see and every factor can be read off each image;
            nothing is cut; validation is a stream of its own.

At other image sizes the ranges scale. One seed gives the same draws in every preset and size, and the first images of
a longer set are the shorter set. Training and test images never coincide by construction: the last bit of blue is 0 in
training images and 1 in test images (but for the official repetition).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from implicit_rank.data.images import Images, checked_size
from implicit_rank.parameters.numbers import whole

FACTORS = ("r", "g", "b", "x", "y", "size", "shape")
COUNT = {"train": 50_000, "test": 10_000}
SMALLEST_IMAGE = 16  # smaller ones leave shapes of less than two pixels
CHUNK = 4096


@dataclass(frozen=True)
class ShapeRules:
    """How factors become pixels.

    `raster`: "corners" (points between pixels, a pixel is set when its centre is inside), "pixels" (points are
    pixels, circles as OpenCV fills them) or "smooth" (real factors, pixels set by the part covered). `square`:
    "centred" or "hanging" from its upper left corner. `side`: "2 size", "size + 1" or "equal area". `clipped`:
    whether points reach so far that pixels are lost at the border (raster "pixels" only). `validation_inside`: test
    images repeat training images. `darkest`: least value of a colour channel.
    """

    raster: str = "corners"
    square: str = "centred"
    side: str = "2 size"
    clipped: bool = False
    validation_inside: bool = False
    darkest: int = 0

    def __post_init__(self):
        allowed = {
            "raster": ("corners", "pixels", "smooth"),
            "square": ("centred", "hanging"),
            "side": ("2 size", "size + 1", "equal area"),
            "clipped": (False, True),
            "validation_inside": (False, True),
            "darkest": range(254),
        }
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                shown = "0 to 253" if name == "darkest" else ", ".join(map(repr, choices))
                raise ValueError(f"{name} must be one of {shown}, not {getattr(self, name)!r}.")
        if self.clipped and self.raster != "pixels":
            raise ValueError("clipped shapes need the raster 'pixels': the others never reach over the border.")


PRESETS = {
    "paper": ShapeRules(),
    "official": ShapeRules("pixels", "hanging", "size + 1", clipped=True, validation_inside=True),
    "ours": ShapeRules("smooth", side="equal area", darkest=64),
}


def shapes(
    preset: str = "paper", split: str = "train", count: int | None = None, size: int = 32, seed: int = 0, **changes
) -> Images:
    """`count` images (count, 3, size, size) with their seven factors; the label is the shape.

    `preset` is a name of PRESETS; `changes` replace single rules of `ShapeRules`, such as
    `square="centred"`. `count` is 50,000 training or 10,000 test images unless given. Factors: r, g, b from 0 to
    1; x, y (the sampled point, to the right and down) and size in pixels; shape 0 for a square, 1 for a circle.
    Raises ValueError for an unknown preset, rule or split and for a size below 16.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown shapes {preset!r}; allowed: {', '.join(PRESETS)}.")
    if unknown := set(changes) - set(asdict(PRESETS[preset])):
        raise ValueError(f"unknown rule {min(unknown)!r}; allowed: {', '.join(asdict(PRESETS[preset]))}.")
    rules = replace(PRESETS[preset], **changes)
    if split not in COUNT:
        raise ValueError(f"split must be 'train' or 'test', not {split!r}.")
    if checked_size(size) < SMALLEST_IMAGE:
        raise ValueError(f"size must be at least {SMALLEST_IMAGE} for shapes, not {size}.")
    count = COUNT[split] if count is None else count
    if whole(count) is None or count < 1:
        raise ValueError(f"count must be a positive whole number, not {count!r}.")
    if whole(seed) is None or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, not {seed!r}.")
    size, count, seed = whole(size), whole(count), whole(seed)
    factors = draw_factors(rules, "train" if rules.validation_inside else split, count, size, seed)
    images = np.empty((count, 3, size, size), np.uint8)
    for start in range(0, count, CHUNK):
        stop = start + CHUNK
        images[start:stop] = draw_images(rules, {name: f[start:stop] for name, f in factors.items()}, size)
    provenance = {
        "source": f"shapes drawn by the rules {preset!r}" + (", changed" if changes else ""),
        "seed": seed,
        "n": count,
        "size": size,
        "channels": 3,
        "resize": "none",
        **asdict(rules),
    }
    scaled = {name: torch.from_numpy(f / 255 if name in "rgb" else f.astype(float)) for name, f in factors.items()}
    labels = torch.from_numpy(factors["shape"].astype(np.int64))
    return Images(f"shapes-{preset}", split, torch.from_numpy(images), labels, provenance, scaled)


def draw_factors(rules: ShapeRules, split: str, count: int, size: int, seed: int) -> dict[str, np.ndarray]:
    """The seven factors, (count,) each: colours as numbers from 0 to 255, the others as `shapes` says."""
    stream = np.random.default_rng([seed, 0 if split == "train" else 1])
    u = dict(zip(FACTORS, stream.random((count, 7)).T, strict=True))
    factors = {name: rules.darkest + np.floor(u[name] * (256 - rules.darkest)).astype(int) for name in "rgb"}
    factors["b"] = factors["b"] // 2 * 2 + (split == "test")
    if rules.raster == "smooth":
        scale = size / 32
        factors |= {name: scale * (8 + 16 * u[name]) for name in "xy"}
        factors["size"] = scale * (3 + 5 * u["size"])
    else:
        least, margin = round(3 * size / 32), round(8 * size / 32)
        most = size - margin - (rules.raster == "pixels" and not rules.clipped)
        factors |= {name: margin + np.floor(u[name] * (most - margin + 1)).astype(int) for name in "xy"}
        factors["size"] = least + np.floor(u["size"] * (margin - least + 1)).astype(int)
    factors["shape"] = (u["shape"] >= 0.5).astype(int)
    return {name: factors[name] for name in FACTORS}


def draw_images(rules: ShapeRules, factors: dict[str, np.ndarray], size: int) -> np.ndarray:
    """The images (n, 3, size, size) uint8 of factors (n,) each, as `draw_factors` gives them."""
    covered = np.where(
        (factors["shape"] == 1)[:, None, None], _circles(rules, factors, size), _squares(rules, factors, size)
    )
    colours = np.stack([factors[name] for name in "rgb"], axis=1).astype(np.uint8)[:, :, None, None]
    if rules.raster == "smooth":
        return np.rint(covered[:, None] * colours.astype(np.float32)).astype(np.uint8)
    return covered[:, None].astype(np.uint8) * colours


def _squares(rules: ShapeRules, factors: dict[str, np.ndarray], size: int) -> np.ndarray:
    extent = factors["size"]
    side = {"2 size": 2 * extent, "size + 1": extent + 1, "equal area": extent * np.sqrt(np.pi)}[rules.side]
    along = {}
    for axis in "xy":
        low = factors[axis] - 0.0
        if rules.square == "centred":
            low = low + 0.5 * (rules.raster == "pixels") - side / 2
        low, high = low[:, None], (low + side)[:, None]
        edges = np.arange(size)
        if rules.raster == "smooth":
            along[axis] = np.clip(np.minimum(edges + 1, high) - np.maximum(edges, low), 0, 1).astype(np.float32)
        else:
            along[axis] = (edges + 0.5 >= low) & (edges + 0.5 < high)
    return along["y"][:, :, None] * along["x"][:, None, :]


def _circles(rules: ShapeRules, factors: dict[str, np.ndarray], size: int) -> np.ndarray:
    radius = factors["size"]
    if rules.raster == "pixels":
        table = _opencv_half_widths(int(radius.max()))
        dx, dy = (np.abs(np.arange(size) - factors[axis][:, None]) for axis in "xy")
        half = table[radius[:, None], np.minimum(dy, table.shape[1] - 1)]
        return dx[:, None, :] <= half[:, :, None]
    dx, dy = (((np.arange(size) + 0.5 - factors[axis][:, None]) ** 2).astype(np.float32) for axis in "xy")
    squared = dy[:, :, None] + dx[:, None, :]
    radius = radius.astype(np.float32)[:, None, None]
    if rules.raster == "smooth":
        return np.clip(radius - np.sqrt(squared) + 0.5, 0, 1)  # a straight edge at that distance covers so much
    return squared <= radius**2


def _opencv_half_widths(largest: int) -> np.ndarray:
    """Half the width of each row of OpenCV's filled circle, by radius and distance from its middle row.

    Entry [radius, distance] is the largest |dx| that is set, -1 for none: the integer circle that grows by adding odd
    numbers and steps inwards when the error turns positive.
    """
    table = np.full((largest + 1, largest + 2), -1)
    for radius in range(largest + 1):
        dx, dy, error, plus, minus = radius, 0, 0, 1, 2 * radius - 1
        while dx >= dy:
            table[radius, dy] = max(table[radius, dy], dx)
            table[radius, dx] = max(table[radius, dx], dy)
            dy += 1
            error += plus
            plus += 2
            if error > 0:
                error -= minus
                dx -= 1
                minus -= 2
    return table
