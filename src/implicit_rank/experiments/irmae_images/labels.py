"""Table 2 of Jing 2020: which images are labelled, how long a head is trained, and what it errs on frozen codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from implicit_rank.evaluate import CLEAN, JING, Protocol, plan_probes, train_probes
from implicit_rank.evaluate.subsets import subset_rule

PLACES = ("before", "after")  # the maps
PROTOCOLS = ("released_best", "released_final", "clean", "clean_unit")


def label_sizes(spec, n: int) -> list[int]:
    """The numbers of labels asked for that `n` training images allow, 0 being all of them."""
    return sorted({size or n for size in spec.labels if size <= n})


def draws_of(spec, size: int) -> int:
    """How many labelled subsets of a size are drawn: fewer of the large ones, which differ less."""
    return max(1, spec.draws if size <= 100 else spec.draws // 2 if size <= 1000 else spec.draws // 10)


def shortened(protocol: Protocol, steps: int, size: int, looks: int = 50) -> Protocol:
    """A protocol with at most `steps` gradient steps on `size` images, measured about `looks` times."""
    per_epoch = -(-size // protocol.batch)
    epochs = int(np.clip(steps // per_epoch, 1, protocol.epochs))
    return replace(protocol, epochs=epochs, every=max(1, epochs // looks))


def least_errors(labels: Tensor, test_labels: Tensor, sizes: list[int]) -> np.ndarray:
    """The share of test images of classes that are not among the first `size` training labels.

    No classifier trained on these images errs less: it has never seen the name of those classes.

    Book: eq-least-error
    """
    return np.array([float((~torch.isin(test_labels, labels[:size])).double().mean()) for size in sizes])


def empty_errors(spec, sizes: list[int]) -> dict[str, np.ndarray]:
    """Arrays `(places, sizes, draws)` of NaN for every protocol."""
    shape = (len(PLACES), len(sizes), spec.draws)
    return {f"error_{name}": np.full(shape, np.nan, np.float32) for name in PROTOCOLS}


def probe_errors(spec, labels: Tensor, test_labels: Tensor, codes, device: str) -> tuple[dict, dict[str, np.ndarray]]:
    """The errors of heads on frozen codes before and after the chain, as fractions, and the label sizes.

    "released": the first images are the labelled ones, measured at the end and where the test error was least, as in
    the released code. "clean": images drawn class by class, measured at the end. "clean_unit": the same
    with all codes after the chain divided by one number, on half of the draws. The released code's head in all cases.
    """
    sizes = label_sizes(spec, len(labels))
    arrays = empty_errors(spec, sizes)
    places = torch.stack([codes.features, codes.codes]), torch.stack([codes.test_features, codes.test_codes])
    if not spec.depth:
        places = places[0][1:], places[1][1:]  # without a chain both are the same
    for i, size in enumerate(sizes):
        draws, rule = draws_of(spec, size), subset_rule(labels, size)
        few, half = max(1, draws // 5), max(1, draws // 2)
        for protocol, subset, count, members, names in (
            (JING, "first", few, len(places[0]), {"released_best": "best", "released_final": "final"}),
            (CLEAN, rule, draws, len(places[0]), {"clean": "final"}),
            (replace(CLEAN, unit_scale=True), rule, half, 1, {"clean_unit": "final"}),
        ):
            probes = plan_probes(labels, members, [size], count, seed=spec.seed, subset=subset)
            short = shortened(protocol, spec.probe_steps, size)
            train, test = (x[-members:] for x in places)
            if protocol.unit_scale and not float(train.var(dim=1).max()) > 0:
                continue  # codes that do not vary have no scale
            found = train_probes(train, labels, test, test_labels, probes, short, device=device)
            for name, which in names.items():
                arrays[f"error_{name}"][-members:, i, :count] = getattr(found, which).view(members, count).numpy()
    if not spec.depth:
        for name in PROTOCOLS:
            arrays[f"error_{name}"][0] = arrays[f"error_{name}"][1]
    arrays["label_sizes"] = np.array(sizes)
    arrays["least_errors"] = least_errors(labels, test_labels, sizes)
    return {}, arrays
