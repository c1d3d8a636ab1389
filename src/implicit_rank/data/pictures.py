"""One picture from one file: upright, laid on a background, square, and still in numbers of the file's own range."""

from __future__ import annotations

import contextlib
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageColor, UnidentifiedImageError

MOST_PIXELS = 89_478_485  # beyond it Pillow itself suspects a decompression bomb
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
UPRIGHT, LAID, CLEAR, FIRST, UPPER = (
    "turned upright as the file says",
    "with transparency, laid on {background}",
    "wholly transparent",
    "of several frames or pages, the first one taken",
    "in colours of 16 bits, read as their upper 8",
)
MARKS = (UPRIGHT, LAID, CLEAR, FIRST, UPPER)
TIFF_TAGS = PHOTOMETRIC, BITS, SAMPLE_FORMAT = 262, 258, 339


class NoPictureError(Exception):
    """A file that gives no picture; the message is the reason, in a few words."""


@dataclass(frozen=True)
class Picture:
    """A square picture and what was done to it.

    `pixels` is uint8, (size, size) or (size, size, 3); or float32 (size, size) in the file's own range, which
    `extremes` states (least and largest value before resizing), where `kind` is "whole" or "float". `clear`
    (size, size) is then the transparent share of every pixel, if any. `marks` are those of MARKS that hold.
    """

    pixels: np.ndarray
    marks: frozenset[str] = frozenset()
    kind: str = ""
    extremes: tuple[float, float] = (0.0, 255.0)
    clear: np.ndarray | None = None


def background_colour(name: str) -> tuple[int, int, int]:
    """The colour (r, g, b) of 8 bits that Pillow knows by `name`; ValueError, one sentence, when there is none."""
    try:
        return ImageColor.getrgb(name)[:3]
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"background must be a colour such as 'white', 'black' or '#ff8000', not {name!r}.") from None


def read_picture(file: Path, size: int, channels: int, background: tuple[int, int, int]) -> Picture:
    """The largest centred square of a file's (first) picture, resized to `size`, with 1 or 3 `channels`.

    Raises NoPictureError, with the reason, for a file that gives none, whatever is wrong with it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # read or refused, never warnings
            if not file.stat().st_size:
                raise NoPictureError("an empty file")
            with Image.open(file) as image:
                return _read(image, size, channels, background)
    except NoPictureError:
        raise
    except UnidentifiedImageError:
        raise NoPictureError("not an image that Pillow can read") from None
    except Image.DecompressionBombError:
        raise NoPictureError(f"too large: at most {MOST_PIXELS:,} pixels are read") from None
    except MemoryError:
        raise NoPictureError("too large for the memory there is") from None
    except PermissionError as problem:
        raise NoPictureError(f"cannot be opened ({problem.strerror})") from None
    except Exception as problem:  # decoders raise anything: RuntimeError, struct.error, IndexError, KeyError, ...
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[0][:60]
        raise NoPictureError(f"broken ({''.join(c if c.isprintable() else '?' for c in reason)})") from None


def _read(image: Image.Image, size: int, channels: int, background: tuple[int, int, int]) -> Picture:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise NoPictureError(f"too large: {width} x {height} pixels, at most {MOST_PIXELS:,} are read")
    marks = set()
    with contextlib.suppress(Exception):  # a damaged second frame says nothing about the first
        if image.is_animated and image.format != "PSD":  # whose frames are layers; the merged picture is read
            marks.add(FIRST)
    rawmodes = {arg for tile in image.tile for arg in _texts(tile[3])}
    if any(re.match(r"(RGB|LA|CMYK|YCbCr).*;16", raw) for raw in rawmodes):
        marks.add(UPPER)
    turned = image.format == "TIFF" and _orientation(image) in TURNS  # Pillow turns these by itself, while loading
    tags = {
        tag: np.ravel(value).tolist()[:1] for tag, value in getattr(image, "tag_v2", {}).items() if tag in TIFF_TAGS
    }
    image.load()
    if (orientation := _orientation(image)) in TURNS:
        image, turned = image.transpose(TURNS[orientation]), True
    if turned:
        marks.add(UPRIGHT)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    if image.mode == "F" or image.mode.startswith("I"):
        return _wide(image, size, tags, marks)
    if depth := rawmodes & {"L;2", "L;4"}:  # grey of few bits is spread over 8, its transparent value is not
        _rescale_key(image, 85 if depth == {"L;2"} else 17)
    image = _opaque(image, background, marks).convert("L" if channels == 1 else "RGB")
    return Picture(np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)), frozenset(marks))


def _rescale_key(image: Image.Image, factor: int) -> None:
    if isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= factor


def _texts(args: object) -> list[str]:
    return [arg for arg in (args if isinstance(args, tuple) else (args,)) if isinstance(arg, str)]


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # notes about a picture that cannot be read leave it as it is
        return 1


def _opaque(image: Image.Image, background: tuple[int, int, int], marks: set[str]) -> Image.Image:
    if not image.has_transparency_data:
        return image
    key = image.info.get("transparency")
    if UPPER in marks and isinstance(key, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in key)
    image = image.convert("RGBA")
    least, most = image.getchannel("A").getextrema()
    if least == 255:
        return image
    marks.add(LAID if most else CLEAR)
    return Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image)


def _wide(image: Image.Image, size: int, tags: dict, marks: set[str]) -> Picture:
    """Grey values of more than 8 bits, as numbers: which range they span is known only when all files are read."""
    values, clear = np.asarray(image), None
    kind = "float" if image.mode == "F" else "whole"
    if kind == "float" and not np.isfinite(values).all():
        raise NoPictureError("pixels that are no finite numbers")
    key = image.info.get("transparency")
    if kind == "whole" and isinstance(key, int) and (values == key).any():
        clear = values == key
        marks.add(CLEAR if clear.all() else LAID)
    if image.mode == "I" and tags.get(BITS) == [32] and tags.get(SAMPLE_FORMAT, [1]) == [1]:
        values = values.view(np.uint32)
    values = values.astype(np.float64)
    if image.mode.startswith("I;16"):
        values = values * (65535 / 4095) if tags.get(BITS) == [12] else values
        values = 65535 - values if tags.get(PHOTOMETRIC) == [0] else values  # white is zero
    known = values if clear is None else values[~clear]
    extremes = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    if clear is not None:
        values, clear = np.where(clear, 0.0, values), _resized(clear, size)
    return Picture(_resized(values, size), frozenset(marks), kind, extremes, clear)


def _resized(values: np.ndarray, size: int) -> np.ndarray:
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
