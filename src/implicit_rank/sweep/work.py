"""One ensemble run to its end, here or on a worker, and what comes back of it as plain values."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from implicit_rank.parameters import resolve_device
from implicit_rank.store import Spec, StoreError, code_of, provenance

_ONE_AT_A_TIME = threading.Lock()  # an ensemble has the whole process, however many threads a worker was given
_REPORT_SECONDS = 1.0


class SweepError(RuntimeError):
    """A sweep cannot start or go on; the message says why and what to do, in one sentence."""


@dataclass
class Outcome:
    """What became of an ensemble: finished members with their provenance, and why it ended early, if it did."""

    finished: list[tuple[Any, dict]] = field(default_factory=list)
    error: str | None = None


def facts(result: Any, device: str) -> dict:
    """The provenance of one member's result, taken where and when it was computed.

    A result may bring a `note` (why it was stopped) and a dictionary `provenance` of further plain facts.
    """
    extra = {"note": result.note} if getattr(result, "note", None) else {}
    return provenance(device, result.seconds, **extra, **(getattr(result, "provenance", None) or {}))


def settled(device: str) -> None:
    """Set what holds for a whole process that runs members: small numbers, and on a GPU which one and how exactly.

    PyTorch's convolutions would round to TensorFloat-32 on CUDA; trainings say for themselves what they want, but the
    evaluation after them must not depend on a default. Streams and graphs belong to the current GPU.
    """
    import torch

    # weights that decay below 1e-38 in float32 slow a processor tenfold
    torch.set_flush_denormal(True)
    target = torch.device(device)
    if target.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        if target.index is not None:
            torch.cuda.set_device(target)


def run_ensemble(
    run: Callable,
    specs: Sequence[Spec],
    device: str,
    progress: Callable[[float, str], None] | None,
    keep: Callable[[Any, dict], None],
) -> str | None:
    """Run members together; `keep(result, provenance)` is called as each is finished.

    Returns None, or what went wrong as a sentence. What `keep` raises, and Ctrl-C, go through.
    """
    done, refused = set(), []

    def take(result) -> None:
        if result.spec in done:
            return
        try:
            keep(result, facts(result, target))
        except Exception as error:
            refused.append(error)
            raise
        done.add(result.spec)

    try:
        target = str(resolve_device(device))
        settled(target)
        for result in run(list(specs), device=target, progress=progress, on_done=take) or ():
            take(result)
    except Exception as error:
        if refused:
            raise
        return sentence(error)
    return None if done.issuperset(specs) else "the experiment returned no result for it."


def on_worker(run: Callable, specs: Sequence[Spec], device: str, code: str | None, topic: str, number: int) -> Outcome:
    """The Dask task of one ensemble: as `run_ensemble`, with progress sent to the caller under `topic`.

    `code` is the caller's fingerprint of the experiment: a worker with other code refuses.
    """
    from distributed import get_worker

    worker, outcome = get_worker(), Outcome()
    key, told = worker.get_current_task(), [0.0]

    def progress(share: float, text: str = "") -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled" or worker.status.name in ("closing", "closed", "failed"):
            raise KeyboardInterrupt  # the caller was interrupted: leave as after Ctrl-C
        if time.monotonic() - told[0] >= _REPORT_SECONDS:
            told[0] = time.monotonic()
            worker.log_event(topic, (number, float(share), str(text)))

    mine = code_of(specs[0])
    if mine != code:
        outcome.error = f"the worker {worker.address} has other code of {specs[0].experiment} than the caller."
        return outcome
    try:
        with _ONE_AT_A_TIME:
            worker.log_event(topic, (number, 0.0, ""))
            outcome.error = run_ensemble(run, specs, device, progress, lambda *pair: outcome.finished.append(pair))
    except KeyboardInterrupt:
        outcome.error = "it was cancelled."
    return outcome


def sentence(error: BaseException) -> str:
    """An error as one line: our own refusals speak for themselves, others get their type and place."""
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, (ValueError, StoreError, OSError)):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text[:300]}{place}"
