"""The Dask side of a sweep: connect, submit, watch workers come and go. `distributed` is imported only here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from implicit_rank.folders import expanded
from implicit_rank.parameters import shown
from implicit_rank.store import code_of
from implicit_rank.sweep.ensembles import device_memory
from implicit_rank.sweep.local import local_cluster
from implicit_rank.sweep.work import Outcome, SweepError, on_worker, sentence

_CONNECT_SECONDS = 4.0
_POLL_SECONDS = 0.5
_ASKED = 40  # times that workers are asked for their memory, should one die meanwhile
_COLLECT_SECONDS = 20.0  # a result that takes longer was lost with its worker, and is being computed again


@contextlib.contextmanager
def client_for(scheduler: Any, workers: int | None, retries: int) -> Iterator[Any]:
    """A client of the scheduler at an address, of so many local processes, or the client given; closed if made here."""
    distributed = _distributed()
    if workers is not None:
        with _quiet(), local_cluster(workers, retries) as cluster, _client(cluster) as client:
            yield client
    elif isinstance(scheduler, str):
        _check(scheduler)
        with _quiet(), _client(scheduler) as client:
            yield client
    elif isinstance(scheduler, distributed.Client):
        yield scheduler
    else:
        raise ValueError(f'scheduler must be "tcp://host:port" or a distributed.Client, not {scheduler!r}.')


def worker_memory(client: Any, device: str, progress: Callable[[float, str], None] | None) -> tuple[str, int]:
    """The poorest worker's kind of device and bytes for one ensemble; on CPUs, workers share their machine.

    Waits for the first worker if there is none yet. SweepError when a worker has no such device.
    """
    found: dict = {}
    for left in range(_ASKED - 1, -1, -1):
        if progress is not None and not client.scheduler_info()["workers"]:
            progress(0.0, "waiting for the first worker")
        client.wait_for_workers(1)
        try:
            found = client.run(device_memory, device)
        except ValueError as error:
            raise SweepError(f"a worker cannot train there: {sentence(error)}") from error
        except OSError as error:  # one died while it was asked; its successor, or the others, will answer
            if client.status != "running":
                raise SweepError(_LOST) from error
            if not left:
                raise SweepError(f"the workers die before they can say what they have ({sentence(error)}).") from error
        if found:
            break
        time.sleep(_POLL_SECONDS)
    hosts = [address.rpartition(":")[0] for address in found]
    kinds = {kind for kind, _ in found.values()}
    shares = [
        count // (1 if kind == "cuda" else hosts.count(address.rpartition(":")[0]))
        for address, (kind, count) in found.items()
    ]
    return ("cuda" if kinds == {"cuda"} else "cpu"), min(shares)


def run_on(
    client: Any,
    jobs: Sequence[tuple[Callable, list]],
    device: str,
    retries: int,
    progress: Callable[[float, str], None] | None,
    keep: Callable[[Any, dict], None],
    fail: Callable[[list, str], None],
) -> None:
    """Run every ensemble as one task; results are kept here, one ensemble after another, as they come."""
    topic, total = f"implicit-rank-{os.urandom(6).hex()}", sum(len(members) for _, members in jobs)
    shares, texts, deaths = [0.0] * len(jobs), {}, [0.0] * len(jobs)
    pending: dict[Any, int] = {}
    begun: set[int] = set()
    news = threading.Event()

    def submit(number: int) -> None:
        run, members = jobs[number]
        key = f"{members[0].experiment}-{os.urandom(6).hex()}"
        code = code_of(members[0])
        begun.discard(number)
        future = client.submit(on_worker, run, members, device, code, topic, number, key=key, pure=False)
        future.add_done_callback(lambda _: news.set())
        pending[future] = number

    def hear(event: tuple) -> None:
        number, share, text = event[1]
        begun.add(number)
        shares[number], texts[number] = max(share, shares[number]), text

    def tell() -> None:
        if progress is not None:
            done, info = len(jobs) - len(pending), client.scheduler_info()
            count = info.get("n_workers", len(info["workers"]))
            where = "no worker yet" if not count else "1 worker" if count == 1 else f"{count} workers"
            latest = next((text for number, text in reversed(texts.items()) if number in pending.values()), "")
            words = [f"{done} of {len(jobs)} ensembles done", where, *([latest] if latest else [])]
            progress(sum(s * len(m) for s, (_, m) in zip(shares, jobs, strict=True)) / total, ", ".join(words))

    def take(number: int, outcome: Outcome) -> None:
        for result, provenance in outcome.finished:
            keep(result, provenance)
        if outcome.error:
            fail(jobs[number][1], outcome.error)
        shares[number] = 1.0

    client.subscribe_topic(topic, hear)
    try:
        for number in range(len(jobs)):
            submit(number)
        while pending:
            tell()
            # at once, for what lies finished on a worker is lost should it die
            news.wait(_POLL_SECONDS)
            news.clear()
            if client.status not in ("running", "connecting"):
                raise SweepError(_LOST)
            for future in [future for future in pending if future.done()]:
                number, outcome = pending[future], _collect(future)
                if outcome is None:
                    continue
                del pending[future]
                if isinstance(outcome, Outcome):
                    take(number, outcome)
                    continue
                # Dask also counts what was only waiting on the worker that died
                deaths[number] += outcome if number in begun else outcome / 10
                if deaths[number] <= retries:
                    submit(number)
                else:
                    times = max(int(deaths[number]), retries + 1)
                    take(number, Outcome(error=f"its worker died {times} times (killed, or out of memory)."))
        tell()
    finally:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            client.cancel(list(pending), force=True)
            client.unsubscribe_topic(topic)


_LOST = "the Dask scheduler went away; what was stored is kept, and the same command goes on from there."


def _collect(future: Any) -> Outcome | int | None:
    """A finished task's outcome, the number of workers that died of it, or None while it is computed again."""
    from distributed import KilledWorker

    if future.status == "cancelled":
        raise SweepError(_LOST)
    try:
        error = future.exception(timeout=_COLLECT_SECONDS)
        if error is None:
            return future.result(timeout=_COLLECT_SECONDS)
    except TimeoutError:
        return None
    if isinstance(error, KilledWorker):
        return error.allowed_failures + 1
    return Outcome(error=f"the workers could not run it: {sentence(error)}")


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise SweepError(
            'sweeps over several processes or machines need Dask: pip install "implicit-rank[cluster]"'
        ) from error
    return distributed


@contextlib.contextmanager
def _client(target: Any) -> Iterator[Any]:
    distributed = _distributed()
    with distributed.Client(target, timeout=_CONNECT_SECONDS, set_as_default=False) as client:
        yield client


def _check(address: str) -> None:
    """Find out within seconds that no scheduler answers: a Client that failed to start would hang on afterwards."""
    if not re.fullmatch(r"(tcp|tls|ws|wss|ucx)://\S+:\d+", address):
        raise ValueError(f'a scheduler\'s address looks like "tcp://host:8786", not {shown(address)}.')
    options = _encryption(address)

    async def ask() -> dict:
        from distributed.core import rpc

        async with asyncio.timeout(_CONNECT_SECONDS), rpc(address, **options) as remote:
            return await remote.identity()

    try:
        with ThreadPoolExecutor(1) as pool, _quiet():  # in a thread, for notebooks have a loop of their own
            kind = pool.submit(asyncio.run, ask()).result()["type"]
    except (OSError, ValueError, TimeoutError) as error:
        raise SweepError(
            f"no Dask scheduler answers at {address}; start one with `dask scheduler --host ADDRESS`, "
            "or check host, port and firewall" + (", and the certificates." if address.startswith("tls:") else ".")
        ) from error
    if kind != "Scheduler":
        raise SweepError(f"at {address} there is a Dask {kind.lower()}, not a scheduler.")


def _encryption(address: str) -> dict[str, Any]:
    """What a connection to the address takes beside it; SweepError for TLS without the certificates it needs."""
    from distributed import Security

    names = "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ..__CLIENT__CERT and ..__CLIENT__KEY"
    try:
        arguments = Security().get_connection_args("client")
    except OSError as error:
        raise SweepError(f"the certificates that {names} name cannot be used: {sentence(error)}") from error
    if address.startswith("tls://") and arguments.get("ssl_context") is None:
        raise SweepError(
            f"{address} wants certificates, and Dask was given none: name their files in {names}, "
            "or in the section distributed.comm.tls of its configuration."
        )
    return {"timeout": _CONNECT_SECONDS, "connection_args": arguments}


def scheduler_in(path: str | os.PathLike) -> str:
    """The address in a file that `dask scheduler --scheduler-file` has written; SweepError when there is none in it."""
    try:
        content = json.loads(expanded(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        why = error.strerror or str(error)
        raise SweepError(f"the scheduler file {path} cannot be read ({why}): is the scheduler up?") from error
    except (ValueError, RecursionError):
        content = None
    if not (isinstance(content, dict) and isinstance(content.get("address"), str)):
        raise SweepError(f"{path} is no file that `dask scheduler --scheduler-file` has written.")
    return content["address"]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's loggers, which tell of every lost connection, silent: the sweep has sentences of its own."""
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
