"""A folder of images as a data set with two splits and, where its sub-folders are classes, with labels."""

from __future__ import annotations

from pathlib import Path, PurePath

import numpy as np
import torch

from implicit_rank.data.folder import folder_images
from implicit_rank.data.images import Images, checked_count


def labelled_folder(
    path: str | Path, split: str, size: int, count: int | None = None, channels: int | None = None
) -> Images:
    """Return a split of the images below ``path``, cropped to the largest centred square and resized to ``size``.

    With files in sub-folders "train" and "test" only, these are the splits; else each fifth file in the order of the
    names is a test image. Labels are the positions of the sub-folders' names in their sorted list, where every image
    lies in a sub-folder, else None. ``channels`` is 1 (grey), 3 (RGB), or None: grey when all images are. Files that
    cannot be read are skipped and listed with the reason in the provenance. Raises ValueError when there is no such
    folder, fewer than two images or none of the split.
    """
    if not str(path):
        raise ValueError("folder:PATH needs the path of a folder of images after the colon.")
    found = folder_images(path, size, channels or 3)
    pixels = found.pixels
    if channels is None and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    names = [PurePath(name).parts for name in found.read]
    if split_folders := all(len(parts) > 1 and parts[0] in ("train", "test") for parts in names):
        chosen = [i for i, parts in enumerate(names) if parts[0] == split]
        names = [parts[1:] for parts in names]
    else:
        chosen = [i for i in range(len(names)) if (i % 5 == 4) == (split == "test")]
    if not chosen:
        rule = f"its folder {split} is empty" if split_folders else "each fifth image is a test image"
        raise ValueError(f"folder:{path} has {len(names)} images and none for the split {split!r}: {rule}.")
    chosen = chosen[: checked_count(count, len(chosen), f"folder:{path} ({split})")]
    classes = sorted({parts[0] for parts in names}) if all(len(parts) > 1 for parts in names) else []
    labels = torch.tensor([classes.index(names[i][0]) for i in chosen]) if classes else None
    images = torch.from_numpy(np.ascontiguousarray(pixels[chosen]))
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
    provenance = {
        "source": f"folder of images, {'sub-folders' if split_folders else 'each fifth file'} for the test split",
        "n": len(chosen),
        "size": size,
        "channels": images.shape[1],
        "resize": f"largest centred square to {size} x {size}, Pillow bilinear",
        "classes": classes,
        "skipped": [f"{name}: {reason}" for name, reason in found.skipped],
    }
    return Images(f"folder:{path}", split, images, labels, provenance)
