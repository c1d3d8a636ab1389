"""The aligned CelebA faces, from the published archive or the folder it unpacks to."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from implicit_rank.data.archives import data_root
from implicit_rank.data.download import fetched, missing
from implicit_rank.data.images import Images, checked_count

FOLDER, ARCHIVE, UNPACKED = "celeba", "img_align_celeba.zip", "img_align_celeba"
ARCHIVE_MD5 = "00d2c5bc6d35e252742224ab0c1e8fcb"
# The published partition goes by number: the first 162,770 files, the next 19,867, the last 19,962.
NUMBERS = {"train": range(1, 162_771), "valid": range(162_771, 182_638), "test": range(182_638, 202_600)}
WIDTH, HEIGHT, CROP = 178, 218, 148


def celeba(split: str, size: int, count: int | None = None, root: Path | None = None, download: bool = False) -> Images:
    """A split of CelebA ("train", "valid" or "test"), the centre of 148 x 148 pixels resized to `size`.

    Reads celeba/img_align_celeba.zip below `root` as it is, after checking its md5, else the files of
    celeba/img_align_celeba, which have no published checksums. Without labels: the 40 attributes are no classes.
    Raises FileNotFoundError when an image of the split is not there, ValueError for one that is broken.
    """
    root = root or data_root()
    count = checked_count(count, len(NUMBERS[split]), f"celeba ({split})")
    names = [f"{number:06d}.jpg" for number in NUMBERS[split][:count]]
    archive, unpacked = root / FOLDER / ARCHIVE, root / FOLDER / UNPACKED
    if not archive.is_file() and not unpacked.is_dir():
        if not download:
            raise missing(f"{ARCHIVE} or the folder {UNPACKED}", root / FOLDER, "CelebA")
        fetched("CelebA", FOLDER, root, _download, lambda folder: _check(folder / ARCHIVE))
    if archive.is_file():
        _check(archive)
        with zipfile.ZipFile(archive) as opened:
            images = _decoded(names, size, lambda name: opened.read(f"{UNPACKED}/{name}"), archive)
        checksum = f"md5 of {ARCHIVE} {ARCHIVE_MD5}, as published"
    else:
        absent = [name for name in names if not (unpacked / name).is_file()]
        if absent:
            which = f"{absent[0]} and {len(absent) - 1} more files" if len(absent) > 1 else absent[0]
            raise missing(which, unpacked, f"A part of CelebA ({split})")
        images = _decoded(names, size, lambda name: (unpacked / name).read_bytes(), unpacked)
        checksum = "none: single files have no published checksums"
    provenance = {
        "source": f"CelebA, aligned faces, {'first ' if count < len(NUMBERS[split]) else ''}{count:,} {split} images",
        "checksum": checksum,
        "n": count,
        "size": size,
        "channels": 3,
        "resize": f"centre {CROP} x {CROP} to {size} x {size}, Pillow bilinear",
    }
    return Images("celeba", split, images, None, provenance)


def _decoded(names: list[str], size: int, read, place: Path) -> torch.Tensor:
    images = torch.empty(len(names), 3, size, size, dtype=torch.uint8)
    pixels = images.numpy()
    left, top = (WIDTH - CROP) // 2, (HEIGHT - CROP) // 2

    def decode(i: int) -> None:
        try:
            with Image.open(io.BytesIO(read(names[i]))) as image:
                if image.size != (WIDTH, HEIGHT):
                    raise ValueError(f"{image.width} x {image.height} pixels, not {WIDTH} x {HEIGHT}")
                image = image.convert("RGB").crop((left, top, left + CROP, top + CROP))
                pixels[i] = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        except (OSError, ValueError, SyntaxError, KeyError, zipfile.BadZipFile) as problem:
            raise ValueError(f"{place / names[i]} is not a readable image of CelebA ({problem}).") from None

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside the interpreter lock
        for _ in pool.map(decode, range(len(names)), chunksize=64):
            pass
    return images


def _check(archive: Path) -> None:
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != ARCHIVE_MD5:
        raise ValueError(f"{archive} is not the published archive: its md5 is {found}, not {ARCHIVE_MD5}.")


def _download(folder: str, root: Path) -> None:
    from torchvision.datasets import CelebA
    from torchvision.datasets.utils import download_file_from_google_drive

    identity, md5, name = next(entry for entry in CelebA.file_list if entry[2] == ARCHIVE)
    download_file_from_google_drive(identity, root / folder, name, md5)
