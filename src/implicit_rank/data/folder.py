"""Any folder of images as a data set: what was read, what was done to it, what was passed over and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from implicit_rank.data.pictures import MARKS, NoPictureError, background_colour, read_picture
from implicit_rank.data.scaling import eight_bits
from implicit_rank.tree import Tree, existing_folder, printable, walk


@dataclass(frozen=True)
class FolderImages:
    """Images of a folder: `pixels` (n, size, size[, 3]) uint8, files read, (file, reason) skipped.

    `notes` says, in a few words each, what was done to how many of them. Names are as they can be printed.
    """

    pixels: np.ndarray
    read: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """One sentence on what was read, done to it, and skipped."""
        sentence = f"{len(self.read)} images read" + (f" ({'; '.join(self.notes)})" if self.notes else "")
        if not self.skipped:
            return sentence + ", nothing skipped."
        shown = "; ".join(f"{name}: {reason}" for name, reason in self.skipped[:5])
        more = f"; and {len(self.skipped) - 5} more" if len(self.skipped) > 5 else ""
        return f"{sentence}, {len(self.skipped)} skipped ({shown}{more})."


def folder_images(path: str | Path, size: int = 28, channels: int = 1, background: str = "white") -> FolderImages:
    """All images below `path`, in the order of their names, cropped to a square and resized.

    `channels` is 1 (grey) or 3 (RGB). Of several frames or pages the first is taken, pictures are turned upright as
    their files say, transparent ones laid on `background`, and more than 8 bits brought to 8 by one rule for the
    folder (`implicit_rank.data.scaling.eight_bits`). Links are followed once; names that begin with a dot are
    passed over. Files that are no image, broken or too large and folders that cannot be listed are skipped and listed.
    Raises ValueError when there is no such folder or fewer than two images in it.
    """
    folder, tree = folder_tree(path, size, channels)
    return decoded(folder, tree, size, channels, background)[0]


def folder_tree(path: str | Path, size: int, channels: int) -> tuple[Path, Tree]:
    """The folder and what lies in it; ValueError, one sentence, for a wrong wish or no such folder."""
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {channels}.")
    if size < 2:
        raise ValueError(f"size must be at least 2, not {size}.")
    folder = existing_folder(path)
    return folder, walk(folder)


def decoded(
    folder: Path, tree: Tree, size: int, channels: int, background: str = "white"
) -> tuple[FolderImages, list[tuple[str, ...]]]:
    """The images of a tree's files, as `folder_images` has them, and the parts of the names of those read."""
    colour = background_colour(background)
    pictures, read, skipped = [], [], list(tree.skipped)
    for parts in tree.files:
        try:
            pictures.append(read_picture(folder.joinpath(*parts), size, channels, colour))
            read.append(parts)
        except NoPictureError as problem:
            skipped.append((printable("/".join(parts)), str(problem)))
    if len(read) < 2:
        found = f"{len(read)} readable image" if read else "no readable image"
        reasons = f" ({'; '.join(f'{name}: {reason}' for name, reason in skipped[:3])})" if skipped else ""
        raise ValueError(f"{printable(folder)} holds {found}{reasons}; at least two are needed.")
    pixels, notes = eight_bits(pictures, channels, colour)
    often = Counter(mark for picture in pictures for mark in picture.marks)
    notes += [f"{often[mark]} {mark.format(background=background)}" for mark in MARKS if often[mark]]
    names = tuple(printable("/".join(parts)) for parts in read)
    return FolderImages(np.stack(pixels), names, tuple(sorted(skipped)), tuple(notes)), read
