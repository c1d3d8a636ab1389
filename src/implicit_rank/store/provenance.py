"""Where a result comes from: commit, versions, device, date, cost."""

import datetime
import functools
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

from implicit_rank import __version__


def provenance(device: str = "cpu", seconds: float | None = None, **extra) -> dict:
    """The facts stored with a run: commit, dirty flag, versions, device, threads, UTC date, seconds, memory.

    `seconds` is the time the run took (of its whole batch when members were trained together; say so with an
    `extra` such as `batch=24`). `commit` and `dirty` (uncommitted changes of the package) are None outside
    git. No host or user names are kept.
    """
    import torch  # here, so that reading stored runs does not load PyTorch

    device = torch.device(device)
    commit, dirty = _git_state()
    facts = {
        "commit": commit,
        "dirty": dirty,
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "implicit_rank": __version__,
        },
        "device": str(device),
        "device_name": _device_name(device),
        "threads": torch.get_num_threads(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": None if seconds is None else round(float(seconds), 3),
        "peak_memory_mb": peak_memory_mb(),
    }
    if device.type == "cuda":
        facts["device_memory_mb"] = round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    return facts | extra


def _device_name(device) -> str:
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def peak_memory_mb() -> float | None:
    """The peak resident memory of this process in MiB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


@functools.cache
def _git_state() -> tuple[str | None, bool | None]:
    package = Path(__file__).resolve().parent.parent
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(package), *words], capture_output=True, text=True, check=True, timeout=10, env=environment
        ).stdout.strip()

    try:
        if not git("ls-files", "__init__.py"):  # an installed copy that lies inside another repository
            return None, None
        return git("rev-parse", "--short=12", "HEAD"), bool(git("status", "--porcelain", "--", "."))
    except (OSError, subprocess.SubprocessError):
        return None, None
