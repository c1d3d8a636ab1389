"""Verified MNIST archives: where they lie, whether they are the right bytes, what is in them."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np

from implicit_rank.folders import expanded, home

MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
UNPACKED_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_PREFIX = {"train": "train", "test": "t10k"}


def data_root() -> Path:
    """The folder of downloaded data: `$IMPLICIT_RANK_DATA`, else the user's cache directory."""
    if given := os.environ.get("IMPLICIT_RANK_DATA"):
        return expanded(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "implicit_rank"


def find_archive(name: str, root: Path | None = None) -> Path | None:
    """The path of an MNIST archive in MNIST/raw below `root` (torchvision's layout), or None.

    Where NAME.gz is not there, the unpacked file NAME stands for it.
    """
    path = (root or data_root()) / "MNIST" / "raw" / name
    return next((found for found in (path, path.with_suffix("")) if found.is_file()), None)


def read_archive(name: str, root: Path | None = None) -> np.ndarray:
    """An MNIST archive's numbers: images (n, 28, 28) or labels (n,), uint8, from NAME.gz or unpacked.

    Raises FileNotFoundError when it is not there and ValueError when its bytes are not the published ones.
    """
    if name not in MD5:
        raise ValueError(f"unknown MNIST archive {name!r}; allowed: {', '.join(MD5)}.")
    path = find_archive(name, root)
    if path is None:
        where = (root or data_root()) / "MNIST" / "raw"
        raise FileNotFoundError(
            f"{name} (md5 {MD5[name]}) is not in {where}: put it there or set IMPLICIT_RANK_DATA; "
            "full-batch linear autoencoders need only the second moments, which are in the package."
        )
    stored = path.read_bytes()
    found = hashlib.md5(stored, usedforsecurity=False).hexdigest()
    wanted = MD5[name] if path.name == name else UNPACKED_MD5[path.name]
    if found != wanted:
        raise ValueError(f"{path} is not the published archive: its md5 is {found}, not {wanted}.")
    raw = gzip.decompress(stored) if path.name == name else stored
    dimensions = struct.unpack(">BBBB", raw[:4])[3]
    shape = struct.unpack(f">{dimensions}I", raw[4 : 4 + 4 * dimensions])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def mnist_images(split: str = "train", root: Path | None = None) -> np.ndarray:
    """MNIST's images (60000 or 10000, 28, 28), uint8; `split` is "train" or "test"."""
    return read_archive(f"{_prefix(split)}-images-idx3-ubyte.gz", root)


def mnist_labels(split: str = "train", root: Path | None = None) -> np.ndarray:
    """MNIST's labels (60000,) or (10000,), uint8; `split` is "train" or "test"."""
    return read_archive(f"{_prefix(split)}-labels-idx1-ubyte.gz", root)


def _prefix(split: str) -> str:
    if split not in _PREFIX:
        raise ValueError(f"split must be 'train' or 'test', not {split!r}.")
    return _PREFIX[split]
