"""The sentence under a figure that says which runs it shows."""

from __future__ import annotations

from collections.abc import Sequence

IMAGES = {
    "mnist": "MNIST",
    "mnist-12k": "MNIST",
    "fashion": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "celeba": "CelebA",
    "digits": "scikit-learn's digits",
}
PARTS = {"mnist-12k": 10_000}  # training images of sets that are the beginning of a larger one


def images_of(data: str, count: int = 0) -> str:
    """A data set's name in words, with how many of its images are used; 0 for all."""
    name, count = IMAGES.get(data, data), count or PARTS.get(data, 0)
    return f"the first {count:,} images of {name}" if count else f"all of {name}"


def runs_shown(records: Sequence) -> str:
    """One sentence on what was run: profile, number of runs, seeds, steps, device, dates, commits, staleness."""
    if not records:
        return "No stored run is there."
    parts = [f"profile {_joined(r.profile for r in records)}", _plural(len(records), "run"), _seeds(records)]
    if all("steps" in r.spec for r in records):
        parts.append(f"{_joined(format(r.spec['steps'], ',') for r in records)} steps")
    for key, word in (("device", "on"), ("date", "of"), ("commit", "at commit")):
        shown = [str(r.provenance[key])[: {"date": 10, "commit": 7}.get(key)] for r in records if r.provenance.get(key)]
        if shown:
            parts.append(f"{word} {_joined(shown)}")
    sentence = ", ".join(parts) + "."
    stale = sum(bool(getattr(r, "stale", False)) for r in records)
    if stale:
        sentence += f" {stale} of them were stored by older code."
    return sentence[0].upper() + sentence[1:]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _joined(items) -> str:
    items = list(dict.fromkeys(items))
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _seeds(records: Sequence) -> str:
    seeds = sorted({r.seed for r in records})
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {_joined(map(str, seeds))}"
