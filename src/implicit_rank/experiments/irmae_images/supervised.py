"""The supervised baseline of Jing 2020's Table 2: the same encoder and head, trained together on labelled images."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from implicit_rank.evaluate import CLEAN, JING, balanced_subset, first_subset, head_module, train_supervised
from implicit_rank.evaluate.subsets import subset_rule
from implicit_rank.experiments.irmae_images.labels import empty_errors, label_sizes, least_errors, shortened
from implicit_rank.experiments.kit.autoencoder_training import data
from implicit_rank.experiments.kit.result import Progress, Result
from implicit_rank.nets import build_networks
from implicit_rank.train.randomness import generator

_STREAM = 5
LOOKS = 10  # at the test error on the way: a look costs as much as a hundred steps
SHARED_BEYOND = 1000  # above so many labels the first images are as good as drawn ones: one training serves both


def run_supervised(
    specs: Sequence,
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Train a network for every number of labels and return its errors in the form of the probes'."""
    results = []
    for number, spec in enumerate(specs):
        began = time.perf_counter()

        def report(share: float, text: str, number=number, spec=spec) -> None:
            if progress is not None:
                progress((number + share) / len(specs), f"{spec.data}, supervised, seed {spec.seed}: {text}")

        scalars, arrays = supervised_errors(spec, device, report)
        results.append(Result(spec, scalars, arrays, None, time.perf_counter() - began))
        if on_done is not None:
            on_done(results[-1])
    return results


def supervised_errors(spec, device: str, report: Progress) -> tuple[dict, dict[str, np.ndarray]]:
    """The errors at every number of labels, in both protocols; ValueError for images without labels."""
    images, test = data(spec.data, "train", spec.count, spec.size), data(spec.data, "test", 0, spec.size)
    if images.labels is None or test.labels is None:
        raise ValueError(f"{spec.data} has no labels, so nothing can be trained on them.")
    sizes = label_sizes(spec, images.n)
    arrays = empty_errors(spec, sizes)
    for i, size in enumerate(sizes):
        report(i / len(sizes), f"{size:,} labels")

        def train(base, subset, word: int, size=size):
            network = supervised_network(spec, tuple(images.images.shape[1:]), int(images.labels.max()) + 1, word)
            protocol = shortened(base, spec.probe_steps, size, LOOKS)
            return train_supervised(
                network,
                images.images,
                images.labels,
                test.images,
                test.labels,
                protocol,
                seed=spec.seed,
                subset=subset,
                device=device,
            )

        released = train(JING, first_subset(images.labels, size), 0)
        clean = released
        if size <= SHARED_BEYOND and subset_rule(images.labels, size) == "balanced":
            stream = generator(_STREAM, spec.seed, size)
            clean = train(CLEAN, balanced_subset(images.labels, size, stream), 1)
        for name, value in (("released_best", released.best), ("released_final", released.final)):
            arrays[f"error_{name}"][:, i, 0] = value
        arrays["error_clean"][:, i, 0] = arrays["error_clean_unit"][:, i, 0] = clean.final
    arrays["label_sizes"] = np.array(sizes)
    arrays["least_errors"] = least_errors(images.labels, test.labels, sizes)
    return {"status": "finished", "diverged": False}, arrays


def supervised_network(spec, image_shape: tuple[int, int, int], classes: int, word: int) -> torch.nn.Sequential:
    """Encoder and head of the autoencoders' own sizes, drawn from the member's seed."""
    stream = generator(_STREAM, spec.seed, word)
    encoder, _ = build_networks(
        spec.architecture,
        image_shape,
        spec.code_width,
        channel_factor=spec.channel_factor,
        start=spec.conv_start,
        generator=stream,
    )
    return torch.nn.Sequential(encoder, head_module(JING.head, spec.code_width, classes, JING.hidden, generator=stream))
