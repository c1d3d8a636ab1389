"""Which members are trained together: grouping by experiment and splitting by number."""

from __future__ import annotations

from collections.abc import Sequence

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
    says, or one member each if it has none. `batch` limits the size of all but the
    unfinished (without `batches` it is the size); `memory` is in bytes, per ensemble.
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
    """Members of one experiment in portions that may be handed to one `run`: all, or the experiment's `batches`.

    They come in the order in which their first members were asked for.
    """
    if experiment.batches is None:
        return [list(specs)]
    place = {spec: i for i, spec in enumerate(specs)}
    return sorted(ensembles_of(experiment, specs, device=device), key=lambda part: min(place[spec] for spec in part))


def device_memory(device: str = "cpu") -> tuple[str, int]:
    """The kind of a device ("auto" decided) and the bytes that ensembles may take there.

    It is a fixed share of all the device has, whatever is free just now, so that an interrupted sweep finds the same
    ensembles, and hence its checkpoints, again. On a CPU the limit of the control group counts where it is lower than
    the machine's memory.
    """
    from implicit_rank.parameters import resolve_device
    from implicit_rank.train.memory import machine_bytes

    target = resolve_device(device)
    if target.type == "cuda":
        import torch

        return "cuda", int(_FREE_SHARE * torch.cuda.get_device_properties(target).total_memory)
    return "cpu", int(_FREE_SHARE * (machine_bytes() or 4 * 2**30))


def in_bytes(count: float) -> str:
    """A number of bytes in words: "512 B", "1.5 GB" (powers of 1000)."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"
