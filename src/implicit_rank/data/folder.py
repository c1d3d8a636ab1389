"""Any folder of images as a data set: what was read, what was passed over and why."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from implicit_rank.folders import expanded


@dataclass(frozen=True)
class FolderImages:
    """Images of a folder: ``pixels`` (n, size, size[, 3]) uint8, files read, (file, reason) skipped."""

    pixels: np.ndarray
    read: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]

    def summary(self) -> str:
        """Return one sentence on what was read and what was skipped."""
        sentence = f"{len(self.read)} images read"
        if not self.skipped:
            return sentence + ", nothing skipped."
        shown = "; ".join(f"{name}: {reason}" for name, reason in self.skipped[:5])
        more = f"; and {len(self.skipped) - 5} more" if len(self.skipped) > 5 else ""
        return f"{sentence}, {len(self.skipped)} files skipped ({shown}{more})."


def folder_images(path: str | Path, size: int = 28, channels: int = 1) -> FolderImages:
    """Return all images below ``path``, in the order of their names, cropped to a square and resized.

    ``channels`` is 1 (grey) or 3 (RGB). Files that are no image or are broken are skipped and listed. Raises
    ValueError when there is no such folder or fewer than two images in it.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {channels}.")
    if size < 2:
        raise ValueError(f"size must be at least 2, not {size}.")
    folder = expanded(path)
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; folder:PATH needs the path of a folder of images.")
    pixels, read, skipped = [], [], []
    for file in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
        name = str(file.relative_to(folder))
        if any(part.startswith(".") for part in Path(name).parts):
            continue
        try:
            pixels.append(_square(file, size, "L" if channels == 1 else "RGB"))
            read.append(name)
        except UnidentifiedImageError:
            skipped.append((name, "not an image"))
        except Image.DecompressionBombError:
            skipped.append((name, "too large"))
        except (OSError, SyntaxError, ValueError, EOFError) as problem:
            skipped.append((name, f"broken ({(str(problem) or 'unreadable').splitlines()[0][:60]})"))
    if len(read) < 2:
        found = f"{len(read)} readable image" if read else "no readable image"
        reasons = f" ({'; '.join(f'{name}: {reason}' for name, reason in skipped[:3])})" if skipped else ""
        raise ValueError(f"{folder} holds {found}{reasons}; at least two are needed.")
    return FolderImages(np.stack(pixels), tuple(read), tuple(skipped))


def _square(file: Path, size: int, mode: str) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # palettes and the like: read or refused, never warnings
        with Image.open(file) as image:
            image = image.convert(mode)
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.crop((left, top, left + side, top + side))
            return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
