"""The one full-batch loop behind every linear autoencoder of the book."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from implicit_rank.linear.optimisers import Optimiser

Parameters = dict[str, Tensor]
Gradients = Callable[[Parameters], tuple[Tensor, Parameters]]
Observer = Callable[[int, Parameters, Tensor], dict[str, Tensor]]


@dataclass
class Descent:
    """What a run of `descend` leaves behind.

    `steps` are the recorded steps `(t,)`; every series has shape `(m, t, ...)`; `stopped[j]` is None or
    the sentence that says why member j was stopped, after which its series hold NaN.
    """

    parameters: Parameters
    steps: Tensor
    series: dict[str, Tensor]
    stopped: list[str | None] = field(default_factory=list)


def recording_steps(steps: int, count: int, first: int = 1) -> list[int]:
    """0, about `count` log-spaced steps from `first` on, and `steps` itself."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}.")
    grid = torch.logspace(0, 1, max(count, 2), base=max(steps / first, 1.0), dtype=torch.float64) * min(first, steps)
    return sorted({0, steps, *grid.round().long().tolist()})


def descend(
    parameters: Parameters,
    gradients: Gradients,
    optimiser: Optimiser,
    steps: int,
    record_at: Sequence[int],
    observe: Observer,
    *,
    finished: Callable[[dict[str, Tensor]], Tensor] | None = None,
    blow_up: float = 1e3,
    check_every: int = 20,
    progress: Callable[[int], None] | None = None,
) -> Descent:
    """Descend `steps` full-batch steps on all members at once, in place, recording as it goes.

    `gradients(parameters)` returns the loss of every member `(m,)` and a gradient per parameter;
    `observe(step, parameters, loss)` returns tensors with leading axis m and is called at the steps in
    `record_at`, before the update, so that step t means "after t updates". A member whose loss is not finite,
    or exceeds `blow_up` times its own start, is stopped (its parameters and later records become NaN) and
    the others go on. `finished(observed)` may end the run early: it returns a mask `(m,)`, and the loop
    stops when every member is finished or stopped. `progress(step)` is called after every check.
    """
    wanted, taken, rows = set(record_at), [], []
    start: Tensor | None = None
    stopped: list[str | None] = []
    for step in range(steps + 1):
        loss, gradient = gradients(parameters)
        if start is None:
            start, stopped = loss.clone(), [None] * len(loss)
        recording = step in wanted
        if recording or step % check_every == 0 or step == steps:
            # written so that NaN counts as bad
            bad = ~(loss.isfinite() & (loss <= blow_up * start))
            for j in bad.nonzero().flatten().tolist():
                if stopped[j] is None:
                    stopped[j] = (
                        f"diverged by step {step}: the loss went from {start[j].item():.3g} to {loss[j].item():.3g}"
                    )
                    _silence(parameters, gradient, j)
            if progress is not None:
                progress(step)
        if recording:
            observed = {"loss": loss, **observe(step, parameters, loss)}
            taken.append(step)
            rows.append({name: _blanked(value, stopped) for name, value in observed.items()})
            if finished is not None:
                alive = torch.tensor([reason is None for reason in stopped], device=loss.device)
                if not (alive & ~finished(observed)).any():
                    break
        if step < steps and any(reason is None for reason in stopped):
            optimiser.update(parameters, gradient)
    series = {name: torch.stack([row[name] for row in rows], dim=1) for name in (rows[0] if rows else {})}
    return Descent(parameters, torch.tensor(taken), series, stopped)


def _silence(parameters: Parameters, gradient: Parameters, member: int) -> None:
    """Fill a stopped member with NaN: it can no longer be mistaken for a result, and touches nobody else."""
    for tensors in (parameters, gradient):
        for tensor in tensors.values():
            if member < tensor.shape[0]:
                tensor[member] = torch.nan


def _blanked(value: Tensor, stopped: list[str | None]) -> Tensor:
    value = value.detach().to("cpu", copy=True)
    for j, reason in enumerate(stopped):
        if reason is not None and value.is_floating_point():
            value[j] = torch.nan
    return value
