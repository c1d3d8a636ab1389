"""Table 1 of Jing 2020: how far decoded samples are from test images, in features that are always named."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from torch import Tensor

from implicit_rank.data.images import Images
from implicit_rank.evaluate import FeatureNetwork, image_distance, inception_network
from implicit_rank.experiments.kit.judge import is_shipped, judge_of

SMALLEST = 16  # pixels: the classifier takes no smaller images


def distances(
    spec, images: Images, test: Images, decode: Callable[[Tensor], Tensor], drawn: dict[str, Tensor], device: str
) -> dict[str, float | str]:
    """The Fréchet distance of every set of codes, decoded, from the test images, by network and set.

    "classifier_mixture" is a distance in a small classifier's features, "fid_mixture" the FID; "floor" is that of as
    many training images. Where a network is missing its distances are NaN and "fid_note" or "classifier_note" says
    why.
    """
    networks = {"classifier": classifier_for(images, test, device), "fid": fid_network(spec.fid, device)}
    scalars: dict[str, float | str] = {}
    caches: dict[str, dict] = {kind: {} for kind in networks}
    for kind, network in networks.items():
        used = f", {spec.samples:,} samples, {test.n:,} test images"
        scalars[f"{kind}_note"] = network.card["network"] + used if _is(network) else network
    for name in (*drawn, "floor"):
        pixels = decode(drawn[name]) if name in drawn else images.images[: spec.samples].float() / 255
        for kind, network in networks.items():
            value = math.nan
            if _is(network):
                value = image_distance(network, test.images, pixels, cache=caches[kind], device=device).value
            scalars[f"{kind}_{name}"] = value
    return scalars


def _is(network: FeatureNetwork | str) -> bool:
    return isinstance(network, FeatureNetwork)


def classifier_for(images: Images, test: Images, device: str) -> FeatureNetwork | str:
    """The classifier shipped for MNIST; for other labelled images one trained on them; else the reason for none."""
    if not is_shipped(images):
        if images.labels is None or test.labels is None:
            return "these images have no labels to train a classifier with"
        if images.size < SMALLEST:
            return f"a classifier needs images of at least {SMALLEST} pixels"
    return judge_of(images, images.labels, test, test.labels, device).network


@functools.lru_cache(maxsize=2)
def fid_network(wanted: bool, device: str) -> FeatureNetwork | str:
    """FID's network, or why there is none."""
    if not wanted:
        return "not asked for"
    try:
        return inception_network(device=device)
    except FileNotFoundError:  # its sentence names a folder of this machine, which has no place in a stored run
        return "the published weights of its network were not there"
