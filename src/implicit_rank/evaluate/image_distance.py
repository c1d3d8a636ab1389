"""Distances between sets of images: real ones and decoded ones, in the features of a named network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from implicit_rank.evaluate.classifier import SmallClassifier
from implicit_rank.evaluate.codes import in_chunks
from implicit_rank.evaluate.frechet import FeatureStatistics, feature_statistics, frechet_distance

FID = "FID"
CLASSIFIER_DISTANCE = "Fréchet distance in classifier features"


@dataclass(frozen=True)
class FeatureNetwork:
    """A network that turns images `(b, channels, h, w)` in [0, 1] into features `(b, d)`.

    `distance` is the name of the distance in these features and `card` says in plain values what the network is;
    its entries "network" and "weights" identify it.
    """

    distance: str
    features: Callable[[Tensor], Tensor]
    channels: int
    card: dict = field(default_factory=dict)


@dataclass(frozen=True)
class ImageDistance:
    """A distance with its name and its recipe: everything that has to agree before two values may be compared."""

    name: str
    value: float
    card: dict


def classifier_network(classifier: SmallClassifier, about: dict | None = None) -> FeatureNetwork:
    """A trained classifier's features for `image_distance`; `about` is recorded with the distance."""
    weights = hashlib.sha256()
    for value in classifier.state_dict().values():
        weights.update(value.detach().cpu().float().contiguous().numpy())
    card = {
        "network": f"small classifier for {' x '.join(map(str, classifier.image_shape))} images",
        "weights": f"sha256 {weights.hexdigest()}",
        "resizing": "none",
        **{f"classifier {key}": value for key, value in (about or {}).items()},
    }
    return FeatureNetwork(CLASSIFIER_DISTANCE, classifier.eval().features, classifier.image_shape[0], card)


@torch.no_grad()
def image_distance(
    network: FeatureNetwork,
    reference: Tensor,
    samples: Tensor | Iterable[Tensor],
    *,
    rounding: bool = True,
    cache: MutableMapping[str, FeatureStatistics] | None = None,
    batch: int = 50,
    device: torch.device | str = "cpu",
) -> ImageDistance:
    """The distance of decoded images from uint8 `reference` images `(n, c, h, w)`, and its recipe card.

    `samples` are float images `(b, c, h, w)`, all or in batches (see `decoded`): values are clamped to
    [0, 1] and, with `rounding`, rounded to the 256 levels of a stored image. Grey images are repeated where the
    network wants three channels. The reference's statistics are looked up in `cache` by network, weights and pixels,
    and added to it. Raises ValueError for samples that are not finite, of another shape, or fewer than two.
    """
    shape = tuple(reference.shape[1:])
    if reference.ndim != 4 or shape[0] not in (1, network.channels):
        raise ValueError(
            f"the network takes images with {network.channels} channels, or grey ones, not {tuple(reference.shape)}."
        )

    def statistics_of(batches: Iterable[Tensor]) -> FeatureStatistics:
        return feature_statistics(network.features(x.expand(-1, network.channels, -1, -1)) for x in batches)

    digest = pixel_digest(reference)
    key = f"{network.card.get('network')}|{network.card.get('weights')}|{digest}"
    statistics = None if cache is None else cache.get(key)
    if statistics is None:
        statistics = statistics_of(in_chunks(reference, batch, device, torch.float32))
        if cache is not None:
            cache[key] = statistics
    images = [samples] if isinstance(samples, Tensor) else samples
    drawn = statistics_of(_prepared(images, shape, rounding, batch, device))
    grey = "already colour" if shape[0] > 1 else "repeated to 3 channels" if network.channels == 3 else "kept"
    card = {
        "distance": network.distance,
        **network.card,
        "feature width": len(drawn.mu),
        "samples": drawn.n,
        "reference images": statistics.n,
        "reference pixels": f"sha256 {digest}",
        "image shape": list(shape),
        "grey": grey,
        "clamping": "samples to 0..1",
        "rounding": "samples to 256 levels" if rounding else "none",
        "covariances": "eigenvalue form, no offset; singular ones allowed",
    }
    return ImageDistance(network.distance, frechet_distance(statistics, drawn), card)


@torch.no_grad()
def decoded(decode: Callable[[Tensor], Tensor], codes: Tensor, chunk: int = 500) -> Iterator[Tensor]:
    """Yield decoded images of codes `(n, d)` in parts."""
    for part in codes.split(chunk):
        yield decode(part)


def pixel_digest(images: Tensor) -> str:
    """The sha256 of uint8 images' shape and pixels, hexadecimal: equal to `Images.digest`."""
    sha = hashlib.sha256(repr(tuple(images.shape)).encode())
    sha.update(images.cpu().contiguous().numpy())
    return sha.hexdigest()


def _prepared(batches, shape, rounding, batch, device) -> Iterator[Tensor]:
    for images in batches:
        if tuple(images.shape[1:]) != shape or not images.is_floating_point():
            raise ValueError(
                f"samples must be float images of shape {shape} like the reference, not {images.dtype} of shape "
                f"{tuple(images.shape[1:])}."
            )
        for part in images.split(batch):
            if not part.isfinite().all():
                raise ValueError("a decoded image is not finite, so it has no distance.")
            part = part.detach().to(device=device, dtype=torch.float32).clamp(0, 1)
            yield (part * 255).round() / 255 if rounding else part
