"""Build src/implicit_rank/assets/mnist_12k.npz, the first 12,000 images of MNIST, from the verified archives.

Usage: python scripts/build_mnist_12k.py [DATA_ROOT]
DATA_ROOT defaults to $IMPLICIT_RANK_DATA, else the user's cache directory.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np

from implicit_rank.data.archives import data_root, mnist_images, mnist_labels

TARGET = Path(__file__).resolve().parents[1] / "src" / "implicit_rank" / "assets" / "mnist_12k.npz"
COUNT = {"train": 10_000, "test": 2_000}


def first_images(root: Path) -> dict[str, np.ndarray]:
    """Return the arrays of the asset: x_train (10000, 28, 28), y_train (10000,), x_test, y_test, uint8."""
    arrays = {}
    for split, count in COUNT.items():
        arrays[f"x_{split}"] = mnist_images(split, root)[:count]
        arrays[f"y_{split}"] = mnist_labels(split, root)[:count]
    return arrays


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as an npz that numpy.load reads, with LZMA, a sixth smaller than savez_compressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_LZMA
            archive.writestr(member, buffer.getvalue())


def main() -> None:
    """Check the archives, write the asset, read it back and compare."""
    arrays = first_images(Path(sys.argv[1]) if len(sys.argv) > 1 else data_root())
    write_npz(TARGET, arrays)
    with np.load(TARGET, allow_pickle=False) as stored:
        assert set(stored) == set(arrays)
        for name, array in arrays.items():
            assert np.array_equal(stored[name], array)
            print(f"{name}: {array.shape}")
    print(f"{TARGET}: {TARGET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
