"""Which members are trained together: grouping by experiment, splitting by number and by memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from implicit_rank.experiments.register import Experiment
from implicit_rank.store import Spec, unfinished_ensembles

_FREE_SHARE = 0.8  # of a device's memory; the rest is the libraries' and the data's


def ensembles_of(
    experiment: Experiment,
    specs: Sequence[Spec],
    batch: int | None = None,
    memory: int | None = None,
    device: str = "cpu",
) -> list[list[Spec]]:
    """The ensembles in which members of one experiment are trained.

    Ensembles with a checkpoint come first, as they were; the rest is what the experiment's `batches`
    says, or one member each if it has none. ``batch`` limits the size of all but the
    unfinished (without ``batches`` it is the size); ``memory`` is in bytes, per ensemble.
    """
    if batch is not None and batch < 1:
        raise ValueError(f"the number of members in an ensemble must be 1 or more, not {batch}.")
    unfinished = unfinished_ensembles(specs)
    begun = {spec for members in unfinished for spec in members}
    rest = [spec for spec in specs if spec not in begun]
    if experiment.batches is None:
        groups, batch = [rest], batch or 1
    elif rest:
        groups = [list(members) for members in experiment.batches(rest, memory=memory, device=device)]
        if sorted(map(id, rest)) != sorted(id(spec) for members in groups for spec in members):
            raise ValueError(f"batches() of {experiment.name} must return every member exactly once.")
    else:
        groups = []
    size = batch or max(map(len, groups), default=1)
    return unfinished + [members[i : i + size] for members in groups for i in range(0, len(members), size)]


def portions(experiment: Experiment, specs: Sequence[Spec], device: str = "cpu") -> list[list[Spec]]:
    """Members of one experiment in portions that may be handed to one ``run``: all, or the experiment's `batches`.

    They come in the order in which their first members were asked for.
    """
    if experiment.batches is None:
        return [list(specs)]
    place = {spec: i for i, spec in enumerate(specs)}
    return sorted(ensembles_of(experiment, specs, device=device), key=lambda part: min(place[spec] for spec in part))


def split_by_memory(
    specs: Sequence[Spec], bytes_per_member: int | Callable[[Any], int], memory: int | None, most: int | None = None
) -> list[list[Spec]]:
    """Split members, in order, into ensembles of at most ``memory`` bytes and about equal size.

    ``bytes_per_member`` is a number or a function of the spec; ``memory`` None sets no limit. ``most`` is the
    number of members asked for: ValueError, naming the largest ensemble that fits, when that many do not fit,
    and when a single member does not.
    """
    costs = [bytes_per_member(spec) if callable(bytes_per_member) else bytes_per_member for spec in specs]
    limit = float("inf") if memory is None else memory
    for spec, cost in zip(specs, costs, strict=True):
        if cost > limit:
            raise ValueError(
                f"not even one member fits in memory: {spec} needs {in_bytes(cost)} and there are "
                f"{in_bytes(limit)}; use a smaller network or batch, or a larger device."
            )
    groups, start = [], 0
    while start < len(specs):
        size, total = 0, 0.0
        while start + size < len(specs) and total + costs[start + size] <= limit and size != most:
            total += costs[start + size]
            size += 1
        asked = min(most or 0, len(specs) - start)
        if size < asked:
            needed = in_bytes(sum(costs[start : start + asked]))
            raise ValueError(
                f"an ensemble of {asked} members needs {needed} and there are {in_bytes(limit)}: "
                f"the largest that fits has {size} {'member' if size == 1 else 'members'}."
            )
        groups.append(list(specs[start : start + size]))
        start += size
    return groups if most else _even(list(specs), costs, limit, groups)


def device_memory(device: str = "cpu") -> tuple[str, int]:
    """The kind of a device ("auto" decided) and the bytes that ensembles may take there.

    It is a fixed share of all the device has, whatever is free just now, so that an interrupted sweep finds the same
    ensembles, and hence its checkpoints, again. On a CPU the limit of the control group counts where it is lower than
    the machine's memory.
    """
    from implicit_rank.parameters import resolve_device

    target = resolve_device(device)
    if target.type == "cuda":
        import torch

        return "cuda", int(_FREE_SHARE * torch.cuda.get_device_properties(target).total_memory)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 4 * 2**30
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(name)
        if path.is_file() and (text := path.read_text(encoding="ascii").strip()).isdigit():
            total = min(total, int(text))
    return "cpu", int(_FREE_SHARE * total)


def in_bytes(count: float) -> str:
    """A number of bytes in words: "512 B", "1.5 GB" (powers of 1000)."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"


def _even(specs: list, costs: list[float], limit: float, greedy: list[list]) -> list[list]:
    """As many ensembles as the greedy split has, of sizes that differ by one, where these fit as well."""
    count, groups = len(greedy), []
    for i in range(count):
        start, stop = (len(specs) * i // count, len(specs) * (i + 1) // count)
        if sum(costs[start:stop]) > limit:
            return greedy
        groups.append(specs[start:stop])
    return groups
