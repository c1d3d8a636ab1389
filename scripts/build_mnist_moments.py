"""Build src/implicit_rank/assets/mnist_moments.npz from the verified MNIST training archive.

Usage: python scripts/build_mnist_moments.py [DATA_ROOT]
DATA_ROOT defaults to $IMPLICIT_RANK_DATA, else the user's cache directory.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from implicit_rank.data.archives import MD5, data_root, read_archive
from implicit_rank.data.moments import pack, unpack

TARGET = Path(__file__).resolve().parents[1] / "src" / "implicit_rank" / "assets" / "mnist_moments.npz"


def integer_moments(images: np.ndarray, chunk: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact X^T X and column sums of 8-bit images: float64 sums are exact below 2^53."""
    X = images.reshape(len(images), -1)
    gram = np.zeros((X.shape[1], X.shape[1]))
    for start in range(0, len(X), chunk):
        part = X[start : start + chunk].astype(np.float64)
        gram += part.T @ part
    return gram.astype(np.int64), X.sum(axis=0, dtype=np.int64)


def main() -> None:
    """Check all four archives, build the moments, read them back and compare."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else data_root()
    for name in MD5:
        print(f"{name}: {read_archive(name, root).shape}, md5 as published")
    images = read_archive("train-images-idx3-ubyte.gz", root)
    gram, sums = integer_moments(images)
    packed = pack(gram, sums, len(images))
    TARGET.parent.mkdir(exist_ok=True)
    np.savez_compressed(TARGET, **packed)
    with np.load(TARGET, allow_pickle=False) as stored:
        again, again_sums, n = unpack(stored)
    assert (again == gram).all()
    assert (again_sums == sums).all()
    assert n == len(images)
    print(f"{TARGET}: {TARGET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
