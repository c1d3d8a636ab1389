"""Which classifier judges images, for distances in its features: the shipped one, or one trained on these images."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from implicit_rank.data.images import Images
from implicit_rank.evaluate.classifier import mnist_classifier, train_classifier
from implicit_rank.evaluate.image_distance import FeatureNetwork, classifier_network

SHIPPED = ("mnist", "mnist-12k")  # what the classifier that comes with the package was made for


@dataclass(frozen=True, eq=False)
class Judge:
    """A classifier's feature network, its test error, and the statistics of reference images seen so far."""

    network: FeatureNetwork
    error: float
    cache: dict = field(default_factory=dict)


_JUDGES: dict[tuple, Judge] = {}


def is_shipped(images: Images, names: tuple[str, ...] = SHIPPED) -> bool:
    """Whether the shipped classifier judges these images: those of `names`, grey, 32 pixels on a side."""
    return images.name in names and tuple(images.images.shape[1:]) == (1, 32, 32)


def judge_of(
    images: Images, labels: Tensor, test: Images, test_labels: Tensor, device: str, shipped: tuple[str, ...] = SHIPPED
) -> Judge:
    """The judge of images with these labels `(n,)`, the same for the same images.

    Where the shipped classifier does not serve (see `is_shipped`) one is trained, once for all who ask.
    """
    own = not is_shipped(images, shipped)
    key = (device, *((images.digest(), test.digest()) if own else ()))
    if key not in _JUDGES:
        if own:
            classifier, errors = train_classifier(images.images, labels, test.images, test_labels, device=device)
            about, error = {"data": images.name, "test accuracy": round(1 - errors.final, 4)}, errors.final
        else:
            classifier, about = mnist_classifier()
            error = 1 - float(about["test accuracy"])
        network = classifier_network(classifier.requires_grad_(False).to(device), about)
        _JUDGES[key] = Judge(network, error)
    return _JUDGES[key]
