"""Commands started in a folder of their own, the random moments at which they are killed, and what outlives them."""

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

SOURCE = Path(__file__).resolve().parents[2] / "src"
PATIENCE = 300.0  # seconds that anything may take on a busy machine before it counts as hanging

# Read by every Python process that is started here: a training saves its checkpoint after each step. Nothing that is
# fingerprinted or hashed changes, and no process imports what it would not have imported.
OFTEN = """
import importlib.abc, importlib.machinery, sys

class Often(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "implicit_rank.train.settings":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            begin = module.Settings.__init__
            def often(self, *given, **named):
                begin(self, *given, **{"checkpoint_seconds": 1e-9} | named)
            module.Settings.__init__ = often
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Often())
"""


@dataclasses.dataclass(frozen=True)
class Moment:
    """When to kill: `delay` s after so many files changed, or, `aimed`, as soon as one is then being written."""

    changes: int
    aimed: bool
    delay: float

    def __str__(self):
        when = f"{self.changes} files" if self.changes else "its start"
        return f"{self.delay:.3f} s after {when}" + (", while writing" if self.aimed else "")


def moments(rng, most):
    """A moment drawn from all that a command which changes `most` files goes through, its start included."""
    if rng.random() < 0.15:
        return Moment(0, False, rng.uniform(0, 4))
    aimed = rng.random() < 0.5
    return Moment(rng.randint(1, most), aimed, rng.uniform(0, 0.002 if aimed else 0.1))


def environment(folder):
    """The variables of all processes of one trial: they write below `folder`, and compute on one thread."""
    hook = folder / "often"
    hook.mkdir(parents=True, exist_ok=True)
    (hook / "sitecustomize.py").write_text(OFTEN, encoding="utf-8")
    (folder / "tmp").mkdir(exist_ok=True)
    path = [str(hook), str(SOURCE), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(part for part in path if part),
        "IMPLICIT_RANK_CHECKPOINTS": str(folder / "checkpoints"),
        "IMPLICIT_RANK_RESULTS": str(folder / "results"),
        "TMPDIR": str(folder / "tmp"),
        "OMP_NUM_THREADS": "1",
    }


@contextlib.contextmanager
def started(folder, *words, cwd=None):
    """`python -m words` with what it says in `folder`/log; killed in the end if it still runs."""
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=cwd or folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        family = relatives(process)
        for other in [process, *family]:
            with contextlib.suppress(psutil.NoSuchProcess):
                other.kill()
        process.wait()


def relatives(process, words=""):
    """The living descendants of a process whose command line holds `words`."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for other in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                line = " ".join(other.cmdline())  # empty for what has ended
                if line and words in line:
                    found.append(other)
    return found


def files(*folders):
    """All files below the folders as (path, time of the last change)."""
    found = set()
    for folder in folders:
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file():
                    found.add((path, path.stat().st_mtime_ns))
    return found


def wait_for_moment(moment, process, *folders):
    """True at the moment; False when the process ended before."""
    first, seen = files(*folders), set()
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        new = files(*folders) - first
        writing = any(path.name.startswith(".tmp-") for path, _ in new)
        seen |= new
        if len(seen) >= moment.changes and (writing or not moment.aimed):
            pause = time.monotonic() + moment.delay
            while process.poll() is None and time.monotonic() < pause:
                time.sleep(0.001)
            return process.poll() is None
        time.sleep(0.001)
    return False


def wait_until(condition, seconds=PATIENCE):
    """Whether the condition came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def ended(process):
    """The exit code; None when it hangs."""
    return process.returncode if wait_until(lambda: process.poll() is not None) else None


def outlived(family, seconds=60):
    """A problem for each process that goes on although what it worked for was killed."""
    _, alive = psutil.wait_procs(family, timeout=seconds)
    problems = []
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            problems.append(f"outlived its command: {' '.join(process.cmdline())[:120]}")
            process.kill()
    return problems


def tracebacks(folder):
    """A problem when a command has shown a traceback."""
    log = (folder / "log").read_text(encoding="utf-8", errors="replace")
    return ["a traceback: " + log.strip().splitlines()[-1][:200]] if "Traceback (most recent call last)" in log else []
