"""What an experiment returns for one member, and the loop of those whose members are run one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Result:
    """One finished member: its spec, numbers, small arrays, and a note when it was stopped early."""

    spec: Any
    scalars: dict[str, float]
    arrays: dict[str, np.ndarray]
    note: str | None = None
    seconds: float = field(default=0.0, compare=False)


def run_each(
    specs: Sequence[Any],
    evaluate: Callable[[Any], tuple[dict[str, float], dict[str, np.ndarray]]],
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Evaluate small members one after another; `evaluate(spec)` returns scalars and arrays.

    `on_done(result)` is called after each, so that an interrupted run keeps what it has.
    """
    results = []
    for done, spec in enumerate(specs, start=1):
        began = time.perf_counter()
        scalars, arrays = evaluate(spec)
        results.append(Result(spec, scalars, arrays, seconds=time.perf_counter() - began))
        if on_done is not None:
            on_done(results[-1])
        if progress is not None:
            progress(done / len(specs), f"member {done} of {len(specs)}")
    return results
