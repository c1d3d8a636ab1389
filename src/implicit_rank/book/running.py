"""Run notebooks through papermill, one process a chapter, as many at a time as there are cores.

Each chapter computes on one thread where several run side by side: threads that share cores wait for each other, on
a busy machine most of the time, while processes on one thread each lose no more than the time that others take.

A chapter's process ends with the command that started it, also when that was killed: it would compute for nobody, and
write where the next command's process for the same chapter writes.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import nbformat

from implicit_rank.book.cells import code_cells
from implicit_rank.book.layout import Layout, write_if_changed
from implicit_rank.book.pairing import notebook_bytes

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclasses.dataclass(frozen=True)
class Job:
    """One chapter to run: its parameters, and the seconds it took last time (infinite when it never ran)."""

    chapter: str
    parameters: dict
    seconds: float


Finished = Callable[[Job, float, nbformat.NotebookNode | None, str | None], None]


def run_all(
    layout: Layout,
    jobs: Sequence[Job],
    notebooks: Mapping[str, nbformat.NotebookNode],
    kernel: str,
    begin: Callable[[Job], None],
    finish: Finished,
) -> None:
    """Run every job, the longest first; `finish(job, seconds, notebook, error)` is called as each one ends.

    Ctrl-C ends all of them, and KeyboardInterrupt goes through when they have gone.
    """
    waiting = sorted(jobs, key=lambda job: -job.seconds)
    side_by_side = max(1, min(cores(), len(waiting)))
    environment = os.environ | {
        name: str(max(1, cores() // side_by_side)) for name in THREADS if name not in os.environ
    }
    under_way: dict[subprocess.Popen, tuple[Job, float]] = {}
    try:
        while waiting or under_way:
            while waiting and len(under_way) < side_by_side:
                job = waiting.pop(0)
                begin(job)
                under_way[_start(layout, job, notebooks[job.chapter], kernel, environment)] = (job, time.monotonic())
            for process in [process for process in under_way if process.poll() is not None]:
                job, begun = under_way.pop(process)
                if process.returncode == -signal.SIGINT or process.returncode == _INTERRUPTED:
                    raise KeyboardInterrupt
                finish(job, round(time.monotonic() - begun, 1), *_outcome(layout, job, process))
            time.sleep(0.02)
    except BaseException:
        for process in under_way:
            process.send_signal(signal.SIGINT)
        for process in under_way:
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            process.lifeline.close()
        raise


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(layout, job, notebook, kernel, environment) -> subprocess.Popen:
    fresh = _running(layout, job.chapter)
    write_if_changed(fresh, notebook_bytes(notebook))
    _error(layout, job.chapter).unlink(missing_ok=True)
    _partial(layout, job.chapter).parent.mkdir(parents=True, exist_ok=True)
    words = {
        "input_path": str(fresh),
        "output_path": str(_partial(layout, job.chapter)),
        "parameters": job.parameters,
        "cwd": str(layout.book),
        "kernel_name": kernel,
        "progress_bar": False,
    }
    command = [sys.executable, "-m", __name__, str(_error(layout, job.chapter))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
    process.stdin.write(json.dumps(words, default=str) + "\n")
    process.stdin.flush()
    # stays open until we end; out of communicate()'s sight, which would close it before an interrupted process has gone
    process.lifeline, process.stdin = process.stdin, None
    return process


def _outcome(layout, job, process) -> tuple[nbformat.NotebookNode | None, str | None]:
    partial, error = _partial(layout, job.chapter), _error(layout, job.chapter)
    process.lifeline.close()
    said = (process.communicate()[1] or "").strip().splitlines()
    if process.returncode == 0:
        done = nbformat.read(partial, 4)
        partial.unlink()
        _running(layout, job.chapter).unlink(missing_ok=True)
        return done, None
    if error.is_file():
        name, value = json.loads(error.read_text(encoding="utf-8"))
        error.unlink()
        return None, _explain(layout, job.chapter, partial, name, value)
    return None, f"{job.chapter}: the process that ran it ended with {process.returncode}: {said[-1] if said else ''}"


def _running(layout: Layout, chapter: str) -> Path:
    return layout.build / "running" / f"{chapter}.ipynb"


def _partial(layout: Layout, chapter: str) -> Path:
    return layout.failed / f"{chapter}.ipynb"


def _error(layout: Layout, chapter: str) -> Path:
    return layout.build / "running" / f"{chapter}.error.json"


def _explain(layout: Layout, chapter: str, partial: Path, name: str, value: str) -> str:
    """Chapter, cell, first line of its source, error, and where the partial notebook lies."""
    cells = code_cells(nbformat.read(partial, 4))
    raised = [i for i, c in enumerate(cells) if any(o.output_type == "error" for o in c.outputs)]
    begun = [i for i, c in enumerate(cells) if c.metadata.get("papermill", {}).get("start_time")]
    number = raised[0] if raised else (begun or [0])[-1]  # a kernel that dies raises nothing
    lines = [line for line in cells[number].source.splitlines() if line.strip()] or ["(empty)"]
    first_line = next((line for line in str(value).splitlines() if line.strip()), "")
    return (
        f"{chapter}: code cell {number + 1} of {len(cells)} ({lines[0].strip()[:80]}) failed: "
        f"{name}: {first_line}; the notebook so far is {layout.short(partial)}"
    )


# ---- the process of one chapter
_INTERRUPTED = 130
_TIDY_SECONDS = 10  # for the kernel to end, once nobody waits for this process


def _end_with_the_command() -> None:
    """Interrupt this process when standard input ends, as it does with the process that started this one."""
    while os.read(sys.stdin.fileno(), 1):  # not sys.stdin.read(): a thread must not hold its lock when Python ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_TIDY_SECONDS)
    os._exit(_INTERRUPTED)  # the kernel notices that its parent has gone


def main(error: Path) -> int:
    """Run the notebook of standard input's first line; what went wrong in it is written to the file `error`."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it logs as errors, we say in our own words
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGINT may be ignored, as in a shell's background job
    try:
        words = json.loads(sys.stdin.readline())
        threading.Thread(target=_end_with_the_command, daemon=True).start()
        papermill.execute_notebook(**words)
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except PapermillExecutionError as e:
        if e.ename == "KeyboardInterrupt":
            return _INTERRUPTED
        what = (e.ename, e.evalue)
    except DeadKernelError:
        what = ("DeadKernelError", "the kernel died (out of memory?)")
    except CellTimeoutError as e:
        what = ("CellTimeoutError", str(e).splitlines()[0])
    write_if_changed(error, json.dumps(what).encode())
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
