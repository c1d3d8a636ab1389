"""A small classifier whose features carry the "Fréchet distance in classifier features", which is never called FID."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor, nn

from implicit_rank.evaluate.protocols import Protocol
from implicit_rank.evaluate.supervised import SupervisedErrors, drawn, train_supervised

TRAINING = Protocol(epochs=8, batch=128, lr=1e-3, every=8)
MNIST_ASSET = "assets/mnist_classifier.npz"


class SmallClassifier(nn.Module):
    """A LeNet: two 5 x 5 convolutions with ReLU and 2 x 2 max pooling, a feature layer with ReLU, a linear output.

    Images `(b, c, h, w)` in [0, 1]; `features` gives `(b, width)` and calling it logits `(b, classes)`.
    Raises ValueError for images smaller than 16 x 16. After LeCun et al. 1998, with ReLU and max pooling.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        width: int = 84,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        channels, height, breadth = image_shape
        sides = [((side - 4) // 2 - 4) // 2 for side in (height, breadth)]
        if min(height, breadth) < 16:
            raise ValueError(f"the classifier needs images of at least 16 x 16 pixels, not {height} x {breadth}.")
        self.image_shape, self.classes, self.width = tuple(image_shape), classes, width
        self.body = nn.Sequential(
            drawn(nn.Conv2d, channels, 16, 5, generator=generator),
            nn.ReLU(),
            nn.MaxPool2d(2),
            drawn(nn.Conv2d, 16, 32, 5, generator=generator),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            drawn(nn.Linear, 32 * sides[0] * sides[1], width, generator=generator),
            nn.ReLU(),
        )
        self.output = drawn(nn.Linear, width, classes, generator=generator)

    def features(self, images: Tensor) -> Tensor:
        """The penultimate layer's values `(b, width)`, none negative."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(b, classes)`."""
        return self.output(self.features(images))


def train_classifier(
    images: Tensor,
    labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
    *,
    seed: int = 0,
    width: int = 84,
    protocol: Protocol = TRAINING,
    device: torch.device | str = "cpu",
) -> tuple[SmallClassifier, SupervisedErrors]:
    """A classifier trained on uint8 images `(n, c, h, w)` with labels `(n,)`, and its errors."""
    classes = int(max(labels.max(), test_labels.max())) + 1
    generator = torch.Generator().manual_seed(seed)
    classifier = SmallClassifier(tuple(images.shape[1:]), classes, width=width, generator=generator)
    errors = train_supervised(classifier, images, labels, test_images, test_labels, protocol, seed=seed, device=device)
    return classifier, errors


def pack_classifier(classifier: SmallClassifier, about: dict) -> dict[str, np.ndarray]:
    """A classifier as arrays for an npz file, weights in float16, with `about` (JSON values) beside them."""
    shape = {"image_shape": list(classifier.image_shape), "classes": classifier.classes, "width": classifier.width}
    weights = {name: value.cpu().numpy().astype(np.float16) for name, value in classifier.state_dict().items()}
    return {"about": np.array(json.dumps(about | shape)), **weights}


def unpack_classifier(arrays: Mapping[str, np.ndarray]) -> tuple[SmallClassifier, dict]:
    """The classifier that `pack_classifier` packed, float32, evaluation mode, and what is said of it.

    Raises ValueError when arrays are missing or of the wrong shape.
    """
    try:
        about = json.loads(str(arrays["about"]))
        classifier = SmallClassifier(tuple(about["image_shape"]), about["classes"], width=about["width"])
        classifier.load_state_dict({k: torch.from_numpy(arrays[k].astype(np.float32)) for k in classifier.state_dict()})
    except (KeyError, RuntimeError, json.JSONDecodeError) as error:
        raise ValueError(f"these arrays hold no classifier: {str(error).splitlines()[0]}") from error
    return classifier.eval().requires_grad_(False), about


def mnist_classifier() -> tuple[SmallClassifier, dict]:
    """The classifier shipped for 32 x 32 MNIST and what is recorded of it: test accuracy, seed, epochs, data."""
    with files("implicit_rank").joinpath(MNIST_ASSET).open("rb") as file:
        return unpack_classifier(np.load(file, allow_pickle=False))
