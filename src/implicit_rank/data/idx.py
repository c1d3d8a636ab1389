"""MNIST and Fashion-MNIST in the form they were published in: IDX files, packed or not, checked byte for byte."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from implicit_rank.data.archives import UNPACKED_MD5, data_root
from implicit_rank.data.download import fetched, missing
from implicit_rank.data.images import Images, assembled, checked_count

_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


@dataclass(frozen=True)
class IdxSet:
    """A data set of four IDX files: its name here, its name for people and torchvision, md5 of the unpacked files."""

    name: str
    title: str
    folder: str
    md5: dict[str, str]


# The md5 of the unpacked bytes: archives packed again with another tool hold the same images.
MNIST = IdxSet("mnist", "MNIST", "MNIST", UNPACKED_MD5)
FASHION = IdxSet(
    "fashion",
    "Fashion-MNIST",
    "FashionMNIST",
    {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
)


def idx_images(
    which: IdxSet, split: str, size: int, count: int | None = None, root: Path | None = None, download: bool = False
) -> Images:
    """A split of MNIST or Fashion-MNIST, resized to `size`.

    Looks for NAME.gz and NAME in FOLDER/raw below `root` (torchvision's layout). Raises FileNotFoundError when a
    file is not there and ValueError when its bytes are not the published ones.
    """
    raw = (root or data_root()) / which.folder / "raw"
    if download and any(_find(raw, name) is None for name in which.md5):
        fetched(which.title, which.folder, root or data_root(), _download, lambda folder: _check(which, folder), "raw")
    pixels, labels = (_read(which, raw, name) for name in _FILES[split])
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise ValueError(f"{raw} holds no {which.title}: images {pixels.shape} and labels {labels.shape} do not fit.")
    count = checked_count(count, len(pixels), f"{which.name} ({split})")
    return assembled(
        which.name,
        split,
        pixels[:count],
        labels[:count],
        size,
        f"{which.title}, {len(pixels):,} {'training' if split == 'train' else 'test'} images as published",
        checksum=f"md5 of {_FILES[split][0]} {which.md5[_FILES[split][0]]}, as published",
    )


def parse_idx(raw: bytes, source: object) -> np.ndarray:
    """The uint8 array of an IDX file's bytes; ValueError, naming `source`, when it is cut off or no IDX."""
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08" or len(raw) < 4 + 4 * raw[3]:
        raise ValueError(f"{source} is not an IDX file of bytes.")
    shape = np.frombuffer(raw, ">u4", raw[3], offset=4).astype(int)
    found, wanted = len(raw) - 4 - 4 * raw[3], int(shape.prod())
    if found != wanted:
        raise ValueError(f"{source} holds {found} bytes of data where its header announces {wanted}.")
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def _find(raw: Path, name: str) -> Path | None:
    return next((path for path in (raw / f"{name}.gz", raw / name) if path.is_file()), None)


def _read(which: IdxSet, raw: Path, name: str) -> np.ndarray:
    path = _find(raw, name)
    if path is None:
        raise missing(f"{name}.gz", raw, which.title)
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as problem:
            raise ValueError(f"{path} is cut off or damaged ({problem}); delete it and fetch it again.") from None
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != which.md5[name]:
        raise ValueError(
            f"{path} is not the published file: the md5 of its {'unpacked ' if path.suffix == '.gz' else ''}bytes is "
            f"{found}, not {which.md5[name]}."
        )
    return parse_idx(data, path)


def _check(which: IdxSet, folder: Path) -> None:
    for name in which.md5:
        _read(which, folder / "raw", name)


def _download(folder_name: str, root: Path) -> None:
    from torchvision import datasets  # takes a second to import, and is needed for nothing else here

    getattr(datasets, folder_name)(root, download=True)
