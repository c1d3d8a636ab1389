"""Train the classifier in src/implicit_rank/assets/mnist_classifier.npz on all of MNIST, resized to 32 x 32.

Usage: OMP_NUM_THREADS=1 python scripts/train_mnist_classifier.py [DATA_ROOT]
DATA_ROOT defaults to $IMPLICIT_RANK_DATA, else the user's cache directory. A few minutes on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from implicit_rank.data.load import load
from implicit_rank.evaluate.classifier import TRAINING, pack_classifier, train_classifier, unpack_classifier
from implicit_rank.evaluate.supervised import error_rate

TARGET = Path(__file__).resolve().parents[1] / "src" / "implicit_rank" / "assets" / "mnist_classifier.npz"
SEED = 0
LEAST_ACCURACY = 0.985


def main() -> None:
    """Train, round the weights to float16, measure what is stored, and store it only if it is good enough."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    train, test = (load("mnist", split, root) for split in ("train", "test"))
    classifier, errors = train_classifier(train.images, train.labels, test.images, test.labels, seed=SEED)
    print(f"test accuracy {1 - errors.final:.4f} as trained")
    rounded, _ = unpack_classifier(pack_classifier(classifier, {}))
    accuracy = 1 - error_rate(rounded, test.images, test.labels)
    if accuracy < LEAST_ACCURACY:
        raise SystemExit(f"test accuracy {accuracy:.4f} is below {LEAST_ACCURACY}; nothing was written.")
    about = {
        "data": "MNIST, 60,000 training images, resized to 32 x 32 (Pillow bilinear), pixels 0 to 1",
        "training pixels": f"sha256 {train.digest()}",
        "test accuracy": round(accuracy, 4),
        "test images": test.n,
        "seed": SEED,
        "epochs": TRAINING.epochs,
        "batch": TRAINING.batch,
        "learning rate": TRAINING.lr,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__.split("+")[0],
    }
    np.savez_compressed(TARGET, **pack_classifier(classifier, about))
    print(f"{TARGET}: {TARGET.stat().st_size / 1e3:.0f} kB, test accuracy {accuracy:.4f} as stored")


if __name__ == "__main__":
    main()
