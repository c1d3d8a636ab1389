"""Which images are labelled: the first ones, or as many of each class drawn at random."""

from __future__ import annotations

import torch
from torch import Tensor

from implicit_rank.evaluate.codes import require_tensor


def first_subset(labels: Tensor, count: int) -> Tensor:
    """The indices `(count,)` of the first images, whatever their classes (released code of Jing 2020).

    `labels` is `(n,)`. MNIST's first ten hold no 6, 7 or 8, so no probe trained on them errs less than 29.6 %.
    Raises ValueError when there are fewer labels than asked for.
    """
    _check(labels, count)
    return torch.arange(count)


def balanced_subset(labels: Tensor, count: int, generator: torch.Generator, exclude: Tensor | None = None) -> Tensor:
    """Indices `(count,)` of images drawn without replacement, equally many of every class, in random order.

    `labels` `(n,)` are integers 0 to c - 1; `exclude` holds indices that must not be drawn. Where `count` is
    no multiple of c, classes drawn at random give one image more. Raises ValueError when labels are too few, when a
    class has no image, or fewer than its share.
    """
    _check(labels, count)
    labels = labels.cpu()
    free = torch.ones(len(labels), dtype=torch.bool)
    if exclude is not None:
        free[exclude.cpu()] = False
    classes = int(labels.max()) + 1
    share = torch.full((classes,), count // classes)
    share[torch.randperm(classes, generator=generator)[: count % classes]] += 1
    chosen = []
    for label, wanted in enumerate(share.tolist()):
        if not (labels == label).any():
            raise ValueError(f"class {label} of 0 to {classes - 1} has no image, so no subset can hold all classes.")
        candidates = torch.nonzero((labels == label) & free).flatten()
        if len(candidates) < wanted:
            raise ValueError(
                f"{count} labels need {wanted} images of class {label}, but only {len(candidates)} are there to draw."
            )
        chosen.append(candidates[torch.randperm(len(candidates), generator=generator)[:wanted]])
    chosen = torch.cat(chosen)
    return chosen[torch.randperm(count, generator=generator)]


def subset_rule(labels: Tensor, size: int) -> str:
    """The rule by which `size` images can be drawn: "balanced" where every class has its share, else "first"."""
    counts = torch.bincount(labels)
    return "balanced" if int(counts.min()) * len(counts) >= size else "first"


def _check(labels: Tensor, count: int) -> None:
    require_tensor("labels", labels)
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"labels must be integers of shape (n,), not {labels.dtype} of shape {tuple(labels.shape)}.")
    if not 1 <= count <= len(labels):
        raise ValueError(f"a subset of {count} labels was asked for, but there are {len(labels)}.")
    if (labels < 0).any():
        raise ValueError("labels must not be negative.")
