"""Worker processes of this machine: started again when they die at once, and not at all by a script that would loop."""

from __future__ import annotations

import ast
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from implicit_rank.sweep.work import SweepError, sentence


@contextlib.contextmanager
def local_cluster(workers: int, retries: int) -> Iterator[Any]:
    """So many worker processes here, one ensemble each, which share the processor's cores and know no dashboard.

    SweepError when they die while they start, more than `retries` times, and for a script that cannot start any.
    """
    import dask
    import distributed

    threads = str(max(1, (os.cpu_count() or 1) // workers))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    settings = {
        "distributed.scheduler.allowed-failures": retries,
        # a worker that is away for 15 s, as after two deaths in a row, would be given up for good
        "distributed.deploy.lost-worker-timeout": "30 days",
        **{f"distributed.nanny.pre-spawn-environ.{name}": os.environ.get(name, threads) for name in names},
    }
    with (
        _readable_main(),
        tempfile.TemporaryDirectory(prefix="implicit-rank-", ignore_cleanup_errors=True) as scratch,
        dask.config.set(settings),
    ):

        def start() -> Any:
            return distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                local_directory=scratch,
                preload=["implicit_rank.sweep.quiet"],
            )

        with _started(start, retries) as cluster:
            yield cluster


def _started(start: Callable[[], Any], retries: int) -> Any:
    for left in range(retries, -1, -1):
        try:
            return start()
        except (RuntimeError, OSError) as error:  # a worker was killed before it could say that it is there
            if not left:
                why = sentence(error.__cause__ or error)
                raise SweepError(
                    f"the worker processes died while they started, {retries + 1} times ({why[:200]})."
                ) from error
    raise AssertionError("retries is 0 or more")


@contextlib.contextmanager
def _readable_main() -> Iterator[None]:
    """Every worker process reads the script that started it once more, as Python's multiprocessing does.

    SweepError when it would come to this sweep again; a script from standard input is not there to be read.
    """
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is None or getattr(main, "__spec__", None) is not None:
        yield
        return
    if not Path(path).is_file():
        del main.__file__
        try:
            yield
        finally:
            main.__file__ = path
        return
    line = _running_line(vars(main))
    if line is not None and not _guarded(Path(path), line):
        raise SweepError(
            f"worker processes read {Path(path).name} again when they start, and would come to line {line} again: put "
            'what it does below `if __name__ == "__main__":`, or leave out `workers`.'
        )
    yield


def _running_line(namespace: dict) -> int | None:
    """The line of the script that is being run, in this thread; None when it only set this thread going."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals is namespace and frame.f_code.co_name == "<module>":
            return frame.f_lineno
        frame = frame.f_back
    return None


def _guarded(path: Path, line: int) -> bool:
    """Whether a line stands below an `if` that asks for `__name__`."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # a bundle of modules, or a program's own starter
        return True
    return any(
        isinstance(node, ast.If)
        and any(isinstance(name, ast.Name) and name.id == "__name__" for name in ast.walk(node.test))
        and node.lineno <= line <= (node.end_lineno or node.lineno)
        for node in ast.walk(tree)
    )
