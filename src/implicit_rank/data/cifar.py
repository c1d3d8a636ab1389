"""CIFAR-10 from an npz without pickles, or from the published batches once their checksums hold."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from implicit_rank.data.archives import data_root
from implicit_rank.data.download import fetched, missing
from implicit_rank.data.images import Images, assembled, checked_count

NPZ, FOLDER, ARCHIVE = "cifar10.npz", "cifar-10-batches-py", "cifar-10-python.tar.gz"
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"
BATCH_MD5 = {
    "train": {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    "test": {"test_batch": "40351d587109b95175f43aff81a1287e"},
}
PUBLISHED = {"train": 50_000, "test": 10_000}


def cifar10(
    split: str, size: int, count: int | None = None, root: Path | None = None, download: bool = False
) -> Images:
    """A split of CIFAR-10, resized to `size`.

    Looks below `root` for cifar10.npz first: x_train and x_test (n, 32, 32, 3) uint8, y_train and y_test (n,), and
    perhaps exact_train and exact_test (n,) bool, False where an image is not byte for byte the published one; these
    become the mask `exact` and the list `inexact` of the provenance. Then for torchvision's folder
    cifar-10-batches-py, then for cifar-10-python.tar.gz; their pickles are opened only after the md5 of the published
    ones has been found. Raises FileNotFoundError when there is none of them and ValueError for wrong contents.
    """
    root = root or data_root()
    if (root / NPZ).is_file():
        pixels, labels, exact = _from_npz(root / NPZ, split)
        source, checksum = f"{NPZ}, {len(pixels):,} of CIFAR-10's {PUBLISHED[split]:,} {split} images", "sha256 "
        checksum += f"{hashlib.sha256(pixels).hexdigest()} of the pixels, not compared with the published files"
    else:
        absent = [name for names in BATCH_MD5.values() for name in names if not (root / FOLDER / name).is_file()]
        if absent and not (root / ARCHIVE).is_file():
            if not download:
                begun = (root / FOLDER).is_dir()
                raise missing(
                    absent[0] if begun else f"{NPZ} or {FOLDER}", root / (FOLDER if begun else ""), "CIFAR-10"
                )
            fetched("CIFAR-10", FOLDER, root, _download, lambda folder: [_batches(folder, s) for s in BATCH_MD5])
            absent = []
        (pixels, labels), exact = _batches(root / (ARCHIVE if absent else FOLDER), split), None
        source, checksum = f"CIFAR-10, {len(pixels):,} {split} images as published", "md5 of every batch, as published"
    count = checked_count(count, len(pixels), f"cifar10 ({split})")
    exact = None if exact is None else exact[:count]
    return assembled("cifar10", split, pixels[:count], labels[:count], size, source, checksum=checksum, exact=exact)


def _from_npz(path: Path, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            pixels, labels = stored[f"x_{split}"], stored[f"y_{split}"]
            exact = stored.get(f"exact_{split}")
    except KeyError:
        raise ValueError(f"{path} lacks the arrays x_{split} and y_{split}.") from None
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as problem:
        raise ValueError(f"{path} is cut off, damaged or no npz of plain arrays ({problem}).") from None
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (32, 32, 3) or not len(pixels):
        raise ValueError(f"x_{split} in {path} must be uint8 (n, 32, 32, 3), not {pixels.dtype} {pixels.shape}.")
    if labels.shape != pixels.shape[:1] or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 9:
        raise ValueError(f"y_{split} in {path} must hold one class from 0 to 9 for each of {len(pixels)} images.")
    if exact is not None and (exact.dtype != bool or exact.shape != labels.shape):
        raise ValueError(f"exact_{split} in {path} must hold one boolean for each of {len(pixels)} images.")
    return pixels, labels, exact


def _batches(source: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    read = _from_folder(source, split) if source.is_dir() else _from_archive(source, split)
    parts = []
    for name, data in read.items():
        found = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if found != BATCH_MD5[split][name]:
            raise ValueError(
                f"{source / name} is not the published file: its md5 is {found}, not {BATCH_MD5[split][name]}; it was "
                "not opened."
            )
        parts.append(_PlainArrays(io.BytesIO(data), encoding="latin1").load())
    pixels = np.concatenate([part["data"] for part in parts]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels), np.concatenate([part["labels"] for part in parts])


def _from_folder(folder: Path, split: str) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in BATCH_MD5[split]}


def _from_archive(path: Path, split: str) -> dict[str, bytes]:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != ARCHIVE_MD5:
        raise ValueError(f"{path} is not the published archive: its md5 is {found}, not {ARCHIVE_MD5}.")
    with tarfile.open(path) as archive:
        return {name: archive.extractfile(f"{FOLDER}/{name}").read() for name in BATCH_MD5[split]}


class _PlainArrays(pickle.Unpickler):
    """Opens pickles of arrays, lists, numbers and text; anything else is refused, checksum or not."""

    def find_class(self, module: str, name: str):
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        if (module, name) == ("_codecs", "encode"):
            return str.encode
        raise pickle.UnpicklingError(f"a batch of CIFAR-10 has no use for {module}.{name}.")


def _download(folder: str, root: Path) -> None:
    from torchvision.datasets import CIFAR10  # takes a second to import, and is needed for nothing else here

    CIFAR10(root, download=True)
