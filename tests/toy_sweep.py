"""A tiny experiment for the tests of sweeps: its members sleep, write down what they do, and fail on demand."""

import dataclasses
import os
import signal
import time
from pathlib import Path
from typing import ClassVar

import numpy as np

from implicit_rank.experiments import register
from implicit_rank.experiments.kit.result import Result
from implicit_rank.parameters import option
from implicit_rank.store import Spec, checkpoint_of


@dataclasses.dataclass(frozen=True)
class Toy(Spec):
    """One member; those with the same `fail` and `pause` make ensembles of two."""

    experiment: ClassVar[str] = "toy_sweep"

    folder: str = option(".", "where the diary is kept")
    steps: int = option(4, "steps of the run", least=1)
    pause: float = option(0.01, "seconds per step", least=0)
    fail: str = option("never", "what goes wrong", choices=("never", "between", "refused", "killed"))
    hold: int = option(0, "step after which it waits for the file `go` in its folder; 0: nowhere", least=0)


def presets(profile="quick", seeds=None):
    """Four members, fewer in the smoke profile."""
    return [Toy(profile=profile, seed=seed) for seed in seeds or (range(4) if profile == "quick" else (0,))]


def size(specs):
    """How big the ensemble is."""
    return {"parameters": 1234 * len(specs), "bytes per member": 3_000_000}


def estimate(specs, device):
    """Seconds these members take."""
    return sum(spec.steps * spec.pause for spec in specs) if device == "cpu" else None


def batches(specs, memory=None, device="cpu"):
    """Pairs of members that share everything but the seed."""
    groups = {}
    for spec in specs:
        groups.setdefault(dataclasses.replace(spec, seed=0), []).append(spec)
    return [members[i : i + 2] for members in groups.values() for i in range(0, len(members), 2)]


def note(folder, word, specs, step):
    """One line of the diary: a single write, so that processes do not mix theirs."""
    line = f"{word} {os.getpid()} {step} {','.join(str(spec.seed) for spec in specs)}\n"
    descriptor = os.open(Path(folder) / "diary", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def diary(folder, word):
    """The lines that begin with a word, as (process, step, seeds)."""
    path = Path(folder) / "diary"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(int(pid), int(step), tuple(map(int, who.split(",")))) for said, pid, step, who in lines if said == word]


def run(specs, device="cpu", progress=None, on_done=None):
    """Walk through the steps with a checkpoint after each; the result tells the number of steps."""
    first, checkpoint = specs[0], checkpoint_of(specs)
    state = checkpoint.load() or {"step": np.int64(0), "sum": np.zeros(len(specs))}
    step, total = int(state["step"]), state["sum"]
    note(first.folder, "begin", specs, step)
    if first.fail == "killed":
        time.sleep(first.pause)
        os.kill(os.getpid(), signal.SIGKILL)
    if first.fail == "refused":
        raise ValueError("the toy is broken: mend it.")
    try:
        while step < first.steps:
            time.sleep(first.pause)
            step, total = step + 1, total + [spec.seed for spec in specs]
            checkpoint.save({"step": np.int64(step), "sum": total})
            if progress is not None:
                progress(step / first.steps, f"step {step}")
            while step == first.hold and not (Path(first.folder) / "go").exists():
                time.sleep(0.01)
    except KeyboardInterrupt:
        note(first.folder, "cancelled", specs, step)
        raise
    results = []
    for spec, value in zip(specs, total, strict=True):
        results.append(Result(spec, {"sum": float(value), "steps": step}, {"all": total}, seconds=0.5))
        if on_done is not None:
            on_done(results[-1])
        if first.fail == "between":
            raise RuntimeError("a thunder\nstroke")
    note(first.folder, "end", specs, step)
    checkpoint.remove()
    return results


EXPERIMENT = register.add(
    register.Experiment(Toy, presets, run, measures={}, batches=batches, estimate=estimate, size=size)
)


def changed(monkeypatch, **parts):
    """The toy with other parts, such as `run`, in the register."""
    other = dataclasses.replace(register.experiment("toy_sweep"), **parts)
    monkeypatch.setitem(register._ADDED, "toy_sweep", other)
    return other
