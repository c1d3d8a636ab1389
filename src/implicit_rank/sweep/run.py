"""The sweep itself: what is missing, in ensembles, into the store; one writer, whoever computes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from implicit_rank.experiments import register
from implicit_rank.parameters import resolve_device
from implicit_rank.store import Spec, Store
from implicit_rank.sweep.ensembles import device_memory, ensembles_of
from implicit_rank.sweep.work import run_ensemble


@dataclass
class Swept:
    """What became of the members: stored now, stored before, or failed and why (one sentence each)."""

    stored: list[Spec] = field(default_factory=list)
    kept: list[Spec] = field(default_factory=list)
    failed: dict[Spec, str] = field(default_factory=dict)


def sweep(
    specs: Iterable[Spec],
    *,
    scheduler: Any = None,
    workers: int | None = None,
    device: str = "cpu",
    store: Store | str | os.PathLike | None = None,
    progress: Callable[[float, str], None] | None = None,
    on_done: Callable[[Any], None] | None = None,
    retries: int = 3,
    batch: int | None = None,
    memory: int | None = None,
    force: bool = False,
    stale: bool = False,
) -> Swept:
    """Run every member that is not stored yet and store each as it is finished.

    Members of one experiment are trained in the ensembles of `ensembles_of`, by its `run`: one after
    another in this process, or as one Dask task each on `scheduler` ("tcp://host:port" or a `distributed.Client`)
    or on `workers` processes of this machine. `device` is where an ensemble is trained ("auto" is decided by
    each worker), `batch` limits its members, `memory` its bytes (default: a share of the device's memory).
    `progress(share, text)` reports; `on_done(result)` is called once a member is stored. `force` runs stored
    members again, `stale` those that older code stored.

    An ensemble whose `run` raises is reported in the returned `Swept`, and the others go on. When a worker dies,
    its ensembles go to another one, and this up to `retries` times for each (the scheduler's own limit
    `distributed.scheduler.allowed-failures`, 3 by default, applies where it is higher); they go on from their
    last checkpoint if all machines share the folder IMPLICIT_RANK_CHECKPOINTS, and else begin again. Only this process
    writes the store, so nothing is stored twice. Ctrl-C keeps what is stored and cancels the rest.

    Raises SweepError (no Dask installed, no scheduler there, scheduler lost, workers that die at once, `workers` in a
    script without `if __name__ == "__main__":`), StoreError (results cannot be stored), ValueError (bad arguments).

    Bringing up a cluster: every machine needs this package in the same version (``pip install
    "implicit-rank[cluster]"`), workers one thread each (`--nthreads 1`). By hand: `dask scheduler --host
    10.0.0.5` here and `dask worker tcp://10.0.0.5:8786 --nthreads 1` there. A scheduler without `--host`` listens
    on every network of its machine and runs whatever code reaches it, as you: name a network that you trust, or
    127.0.0.1, or use TLS (see the page on running). Over SSH: `dask ssh host1 host2 --nthreads 1`. On Slurm:
    `cluster = dask_jobqueue.SLURMCluster(cores=1, processes=1, memory="8GB")` and `cluster.scale(jobs=20)`. On
    the GPUs of one machine: `cluster = dask_cuda.LocalCUDACluster()`, with `device="cuda"`. The last two are
    Python: pass `scheduler=distributed.Client(cluster)`.
    """
    if retries < 0:
        raise ValueError(f"retries must be 0 or more, not {retries}.")
    if scheduler is not None and workers is not None:
        raise ValueError("give a scheduler or a number of local workers, not both.")
    if workers is not None and workers < 1:
        raise ValueError(f"the number of workers must be 1 or more, not {workers}.")
    store = store if isinstance(store, Store) else Store(store)
    specs = list(dict.fromkeys(specs))
    todo = specs if force else store.missing(specs, stale=stale)
    missing, report = set(todo), Swept()
    report.kept = [spec for spec in specs if spec not in missing]

    def keep(result, provenance: dict) -> None:
        if result.spec not in missing:
            return
        store.save(result.spec, result.scalars, result.arrays, provenance)
        missing.discard(result.spec)
        report.stored.append(result.spec)
        if on_done is not None:
            on_done(result)

    def fail(members: list[Spec], why: str) -> None:
        report.failed.update((spec, why) for spec in members if spec in missing)

    if not todo:
        return report
    store.check_writable(todo)
    if scheduler is None and workers is None:
        resolve_device(device)  # a worker says for itself what it lacks
    with contextlib.ExitStack() as stack:
        client = None
        if scheduler is not None or workers is not None:
            from implicit_rank.sweep import cluster

            client = stack.enter_context(cluster.client_for(scheduler, workers, retries))
        chosen: dict[str, list[Spec]] = {}
        for spec in todo:
            chosen.setdefault(spec.experiment, []).append(spec)
        experiments = [register.experiment(name) for name in chosen]
        kind = device
        if any(experiment.batches for experiment in experiments):
            known = device_memory(device) if client is None else cluster.worker_memory(client, device, progress)
            kind, memory = known[0], known[1] if memory is None else memory
        jobs = [
            (experiment.run, members)
            for experiment in experiments
            for members in ensembles_of(experiment, chosen[experiment.name], batch, memory, kind)
        ]
        if client is None:
            _run_here(jobs, device, progress, keep, fail)
        else:
            cluster.run_on(client, jobs, device, retries, progress, keep, fail)
    return report


def _run_here(jobs, device, progress, keep, fail) -> None:
    total, done = sum(len(members) for _, members in jobs), 0
    for number, (run, members) in enumerate(jobs, start=1):

        def within(share: float, text: str = "", done=done, members=members, number=number) -> None:
            if progress is not None:
                where = f"ensemble {number} of {len(jobs)}: " if len(jobs) > 1 else ""
                progress((done + share * len(members)) / total, where + text)

        why = run_ensemble(run, members, device, within, keep)
        if why is not None:
            fail(members, why)
        done += len(members)
        within(0, "done", done, [], number)
