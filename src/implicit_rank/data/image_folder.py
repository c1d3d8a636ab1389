"""A folder of images as a data set with two splits and, where its sub-folders are classes, with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from implicit_rank.data.folder import FolderImages, decoded, folder_tree
from implicit_rank.data.images import Images, checked_count
from implicit_rank.data.splits import Parts, SplitFolders, inside, split_folders
from implicit_rank.tree import PREFIX, printable


@dataclass(frozen=True)
class Parted:
    """The images of a folder, the parts of their names, and which of them train and test."""

    found: FolderImages
    names: Sequence[Parts]
    rule: SplitFolders | None
    chosen: dict[str, list[int]]

    def left_out(self) -> list[tuple[str, str]]:
        """What belongs to neither split, (folder or file, reason), a folder as one."""
        if self.rule is None:
            return []
        counts: dict[str, int] = {}
        for i in sorted(set(range(len(self.names))) - set(self.chosen["train"]) - set(self.chosen["test"])):
            depth = len(self.rule.train)
            place = printable("/".join(self.names[i][:depth])) + ("/" if len(self.names[i]) > depth else "")
            counts[place] = counts.get(place, 0) + 1
        unused = None if self.rule.validation is None else printable("/".join(self.rule.validation)) + "/"
        why = {unused: "validation images, neither trained nor tested on"}
        return [
            (place, (f"{count} images, " if place.endswith("/") else "") + why.get(place, "beside the split's folders"))
            for place, count in counts.items()
        ]


def parted(path: str | Path, size: int, channels: int, background: str = "white") -> Parted:
    """The images below `path` and the split of `labelled_folder`."""
    folder, tree = folder_tree(path, size, channels)
    found, names = decoded(folder, tree, size, channels, background)
    rule = split_folders(f"{PREFIX}{printable(path)}", names, tree.folders)
    if rule is None:
        test = range(4, len(names), 5)
        chosen = {"train": [i for i in range(len(names)) if i % 5 != 4], "test": list(test)}
    else:
        places = {"train": rule.train, "test": rule.test}
        chosen = {part: [i for i, name in enumerate(names) if inside(name, place)] for part, place in places.items()}
    return Parted(found, names, rule, chosen)


def labelled_folder(
    path: str | Path,
    split: str,
    size: int,
    count: int | None = None,
    channels: int | None = None,
    background: str = "white",
) -> Images:
    """A split of the images below `path`, cropped to the largest centred square and resized to `size`.

    Sub-folders whose names mean training, validation or test (`implicit_rank.data.splits.split_folders`) are the
    splits; without any, each fifth file in the order of the names is a test image. Labels are the positions of the
    sub-folders' names in their sorted list, where every image of both splits lies in a sub-folder, else None.
    `channels` is 1 (grey), 3 (RGB), or None: grey when all images are. Files are read as `folder_images` reads
    them; what was done to them, what was left out or skipped and why stands in the provenance. Raises ValueError when
    there is no such folder, fewer than two images or none of the split, when the split is not certain, or when a class
    of the test images has no training images.
    """
    data = parted(path, size, channels or 3, background)
    where, pixels, chosen = f"{PREFIX}{printable(path)}", data.found.pixels, data.chosen[split]
    if channels is None and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    if not chosen:
        rule = "each fifth image is a test image"
        if data.rule:
            folder = data.rule.train if split == "train" else data.rule.test
            rule = f"its folder {printable('/'.join(folder)) if folder else split} is empty or not there"
        raise ValueError(f"{where} has {len(data.names)} images and none for the split {split!r}: {rule}.")
    classes, why = _classes(where, data)
    chosen = chosen[: checked_count(count, len(chosen), f"{where} ({split})")]
    depth = len(data.rule.train if split == "train" else data.rule.test) if data.rule else 0
    labels = torch.tensor([classes.index(data.names[i][depth]) for i in chosen]) if classes else None
    images = torch.from_numpy(np.ascontiguousarray(pixels[chosen]))
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
    provenance = {
        "source": f"folder of images, {data.rule.sentence() if data.rule else 'each fifth file for the test split'}",
        "n": len(chosen),
        "size": size,
        "channels": images.shape[1],
        "resize": f"largest centred square to {size} x {size}, Pillow bilinear",
        "background": background,
        "classes": [printable(name) for name in classes],
        "labels": why,
        "notes": [f"of {len(data.names)} images {note}" for note in data.found.notes],
        "skipped": [f"{name}: {reason}" for name, reason in sorted([*data.found.skipped, *data.left_out()])],
    }
    return Images(f"{PREFIX}{path}", split, images, labels, provenance)


def _classes(where: str, data: Parted) -> tuple[list[str], str]:
    """The names of the classes in their order, or none, and the reason in words."""
    places = {"train": data.rule.train, "test": data.rule.test} if data.rule else {"train": (), "test": ()}
    within = {
        part: [data.names[i][len(place) :] for i in data.chosen[part]]
        for part, place in places.items()
        if place is not None
    }
    loose = [name for names in within.values() for name in names if len(name) == 1]
    if loose:
        beside = f"{len(loose)} images lie in no sub-folder, such as {printable(loose[0][0])}"
        return [], "none: " + ("there are no sub-folders" if _all_loose(within) else beside)
    trained = {name[0] for name in within["train"]}
    every = trained | {name[0] for name in within.get("test", [])}
    if data.rule and (untrained := sorted(every - trained)):
        raise ValueError(
            f"{where} has test images of the class {printable(untrained[0])} and no training images of it; the class "
            "folders of both must have the same names."
        )
    return sorted(every), "the sub-folders are the classes"


def _all_loose(within: dict[str, list[Parts]]) -> bool:
    return all(len(name) == 1 for names in within.values() for name in names)
