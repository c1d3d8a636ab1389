"""Kills of `run`, `sweep --workers`, and `sweep --scheduler` with a scheduler and a worker of their own."""

import contextlib
import socket
import subprocess
import sys

from killing.processes import (
    ended,
    environment,
    moments,
    outlived,
    relatives,
    started,
    tracebacks,
    wait_for_moment,
    wait_until,
)
from killing.stores import after_a_kill, at_the_end, contents, records

EXPERIMENTS = {"greedy_images": 20, "deep_linear": 3}  # one that has checkpoints, one without; files a member changes


class Trial:
    """One store in a folder of its own, filled by one command that is killed several times on its way."""

    def __init__(self, folder, experiment, members, reference, say):
        self.folder, self.experiment, self.say = folder, experiment, say
        self.reference = reference(experiment)
        self.files = EXPERIMENTS[experiment] * len(records(self.reference))
        folder.mkdir(parents=True)
        self.results = folder / "results"
        self.words = [experiment, "--profile", "smoke", *members, "--results", str(self.results)]
        self.kept, self.kills, self.problems = {}, 0, []

    def note(self, what, problems):
        """Count a kill, look at what it left, and print its line."""
        self.kept, found = after_a_kill(self.results, self.kept)
        self.kills += 1
        self.tell(what, [*problems, *found])

    def tell(self, what, problems):
        self.problems += problems
        self.say(
            f"{self.experiment}: {what}; {len(self.kept)} stored" + "".join(f"\n    PROBLEM {p}" for p in problems)
        )

    def finish(self, code):
        """Hold the whole store against the undisturbed one."""
        problems = [] if code == 0 else [f"the last command ended with {code}"]
        self.kept, found = after_a_kill(self.results, self.kept)
        problems += found + at_the_end(self.results, self.reference) + tracebacks(self.folder)
        self.tell("went on to the end, " + ("NOT as undisturbed" if problems else "bit-equal"), problems)

    @property
    def watched(self):
        return self.results, self.folder / "checkpoints"


def kill_command(trial, kills, rng, *words):
    """Kill a command again and again, and let the same command go on."""
    family = []
    for _ in range(kills):
        moment = moments(rng, trial.files)
        with started(trial.folder, "implicit_rank", *words) as process:
            if not wait_for_moment(moment, process, *trial.watched):
                break
            trial.kept |= contents(trial.results)
            workers = relatives(process)
            process.kill()
            process.wait()
            family += workers
        trial.note(f"command killed {moment}", [])
    with started(trial.folder, "implicit_rank", *words) as process:
        code = ended(process)
    trial.problems += outlived(family)
    trial.finish(code)


def run(trial, kills, rng):
    """Kill `run`."""
    kill_command(trial, kills, rng, "run", *trial.words)


def sweep(trial, kills, rng):
    """Kill `sweep --workers 2`."""
    kill_command(trial, kills, rng, "sweep", *trial.words, "--workers", "2")


def worker(trial, kills, rng):
    """Kill worker processes of one `sweep --workers 2`, which recovers by itself."""
    with started(trial.folder, "implicit_rank", "sweep", *trial.words, "--workers", "2", "--retries", "50") as process:
        for _ in range(kills):
            moment = moments(rng, trial.files // 2)
            if not wait_for_moment(moment, process, *trial.watched):
                break
            if not wait_until(lambda: relatives(process, "spawn_main") or process.poll() is not None):
                break
            workers = relatives(process, "spawn_main")
            if not workers:
                break
            trial.kept |= contents(trial.results)
            with contextlib.suppress(ProcessLookupError):
                rng.choice(workers).kill()
            trial.note(f"worker killed {moment}", [])
        code = ended(process)
    trial.finish(code)


def cluster(trial, kills, rng):
    """Kill the command, the scheduler, or the worker of a cluster brought up by hand."""
    with contextlib.ExitStack() as stack:
        port = free_port()
        dask = {name: stack.enter_context(dask_process(trial.folder, name, port)) for name in ("scheduler", "worker")}
        words = ["sweep", *trial.words, "--scheduler", f"tcp://127.0.0.1:{port}", "--retries", "50"]
        code = None
        while code is None and trial.kills < kills:
            moment, target = moments(rng, trial.files), rng.choice(("command", "scheduler", "worker"))
            wait_until(lambda: answers(port))
            with started(trial.folder, "implicit_rank", *words) as process:
                if not wait_for_moment(moment, process, *trial.watched):
                    code = ended(process)
                    break
                trial.kept |= contents(trial.results)
                problems = []
                if target == "command":
                    process.kill()
                    process.wait()
                elif target == "scheduler":
                    dask["scheduler"].kill()
                    if ended(process) != 1:
                        problems = [f"without its scheduler the command ended with {process.returncode}, not 1"]
                    stop(dask["worker"])
                    dask = {name: stack.enter_context(dask_process(trial.folder, name, port)) for name in dask}
                else:
                    for child in relatives(dask["worker"], "spawn_main") or [dask["worker"]]:
                        child.kill()
                    if dask["worker"].poll() is not None:
                        dask["worker"] = stack.enter_context(dask_process(trial.folder, "worker", port))
                    code = ended(process)
                trial.note(f"{target} killed {moment}", problems)
        if code is None:
            wait_until(lambda: answers(port))
            with started(trial.folder, "implicit_rank", *words) as process:
                code = ended(process)
        trial.finish(code)


@contextlib.contextmanager
def dask_process(folder, what, port):
    """`dask scheduler` or `dask worker`, as a person would start it on this machine alone."""
    address = f"tcp://127.0.0.1:{port}"
    how = {
        "scheduler": ["--host", address, "--dashboard-address", "127.0.0.1:0"],
        "worker": [address, "--nthreads", "1", "--local-directory", str(folder / "tmp" / "worker")],
    }
    with open(folder / f"{what}.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", what, *how[what], "--no-dashboard"],
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process):
    """End a Dask process and its children."""
    family = relatives(process)
    process.kill()
    process.wait()
    for child in family:
        with contextlib.suppress(Exception):
            child.kill()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def answers(port):
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
