"""Sweeps: what is missing is run once and stored once, here or on workers that fail, die and are cancelled."""

import asyncio
import contextlib
import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import toy_sweep
from toy_sweep import Toy, diary

from implicit_rank.experiments import register
from implicit_rank.store import Spec, Store, StoreError, checkpoint_of, checkpoints_with
from implicit_rank.sweep import SweepError, device_memory, ensembles_of, sweep
from implicit_rank.sweep import cluster as cluster_side

TESTS = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def checkpoints(checkpoint_root, tmp_path):
    """All processes, also workers that are up already, keep checkpoints in one folder."""
    return checkpoint_root


@pytest.fixture(scope="module")
def checkpoint_root(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("checkpoints")
        patch.setenv("IMPLICIT_RANK_CHECKPOINTS", str(folder))
        yield folder


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def ensembles(specs, batch=None, **options):
    """What `ensembles_of` makes of the toy as it stands in the register."""
    return ensembles_of(register.experiment("toy_sweep"), specs, batch, **options)


def toys(folder, seeds, **fields):
    return [Toy(seed=seed, folder=str(folder), **fields) for seed in seeds]


def assert_stored(store, specs):
    for spec in specs:
        record = store.load(spec)
        assert record.scalars == {"sum": float(spec.seed * spec.steps), "steps": spec.steps}
        assert not record.stale
    assert len(list((store.root / "toy_sweep").glob("*.json"))) == len(specs)


# ---- in this process ----
def test_everything_is_stored_once_and_then_skipped(store, tmp_path):
    specs, shares, done = toys(tmp_path, (3, 1, 2)), [], []
    swept = sweep([*specs, specs[0]], store=store, progress=lambda *told: shares.append(told), on_done=done.append)
    assert swept.stored == specs == [result.spec for result in done]
    assert (swept.kept, swept.failed) == ([], {})
    assert_stored(store, specs)
    assert [seeds for _, _, seeds in diary(tmp_path, "end")] == [(3, 1), (2,)]
    assert checkpoints_with(specs) == {}
    assert [share for share, _ in shares] == sorted(share for share, _ in shares)
    assert shares[0] == (pytest.approx(1 / 6), "ensemble 1 of 2: step 1")
    assert shares[-1][0] == 1
    facts = store.load(specs[0]).provenance
    assert (facts["device"], facts["seconds"], facts["threads"] > 0) == ("cpu", 0.5, True)

    more = [*specs, *toys(tmp_path, (7,))]
    swept = sweep(more, store=store.root)
    assert (swept.stored, swept.kept) == (more[3:], specs)
    assert len(diary(tmp_path, "begin")) == 3
    assert sweep(more, store=store, force=True).stored == more


@pytest.mark.parametrize(
    ("fail", "why", "kept"),
    [
        ("refused", r"the toy is broken: mend it\.", 0),
        ("between", r"RuntimeError: a thunder stroke \(toy_sweep.py, line \d+\)", 1),
    ],
)
def test_a_failing_ensemble_is_reported_and_the_others_go_on(store, tmp_path, fail, why, kept):
    bad, good = toys(tmp_path, (0, 1), fail=fail), toys(tmp_path, (2, 3, 4))
    swept = sweep([*bad, *good], store=store)
    assert sorted(swept.failed, key=str) == bad[kept:]  # what it had finished before is kept
    for sentence in swept.failed.values():
        assert re.fullmatch(why, sentence)
    assert store.missing([*bad, *good]) == bad[kept:]


def test_a_module_that_forgets_a_member_is_found_out(store, tmp_path, monkeypatch):
    toy_sweep.changed(monkeypatch, run=lambda specs, **options: [])
    assert sweep(toys(tmp_path, (0,)), store=store).failed == {
        Toy(folder=str(tmp_path)): "the experiment returned no result for it."
    }


def test_ctrl_c_keeps_what_is_stored(store, tmp_path):
    specs = toys(tmp_path, range(4))

    def interrupt(share, text):
        if share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(specs, store=store, progress=interrupt)
    assert store.missing(specs) == specs[2:]
    assert sweep(specs[::-1], store=store).stored == specs[2:]  # the unfinished ensemble, as it was
    assert diary(tmp_path, "begin")[-1][1:] == (1, (2, 3))  # from its checkpoint
    assert_stored(store, specs)


def test_a_store_that_cannot_be_written_ends_the_sweep(store, tmp_path, monkeypatch):
    def full(self, *_):
        raise StoreError("no space left")

    monkeypatch.setattr(Store, "save", full)
    with pytest.raises(StoreError, match="no space left"):
        sweep(toys(tmp_path, range(4)), store=store)
    assert len(diary(tmp_path, "begin")) == 1


@dataclasses.dataclass(frozen=True)
class Homeless(Spec):
    experiment: ClassVar[str] = "homeless"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"retries": -1}, "retries must be 0 or more, not -1"),
        ({"workers": 0}, "the number of workers must be 1 or more, not 0"),
        ({"workers": 2, "scheduler": "tcp://host:1"}, "give a scheduler or a number of local workers, not both"),
        ({"scheduler": 8786}, 'scheduler must be "tcp://host:port" or a distributed.Client, not 8786'),
        ({"scheduler": "host"}, "a scheduler's address looks like \"tcp://host:8786\", not 'host'"),
        ({"scheduler": "tcp://host"}, "not 'tcp://host'"),
        ({"batch": 0}, "the number of members in an ensemble must be 1 or more, not 0"),
        ({"device": "toaster"}, "device must be 'cpu'"),
    ],
)
def test_bad_arguments_are_one_sentence(store, tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        sweep(toys(tmp_path, (0,)), store=store, **options)


def test_members_without_a_run_are_refused(store):
    with pytest.raises(ValueError, match="unknown experiment 'homeless'"):
        sweep([Homeless()], store=store)


def test_without_dask_there_is_a_sentence_and_in_process_sweeps_work(store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SweepError, match=r'need Dask: pip install "implicit-rank\[cluster\]"'):
        sweep(toys(tmp_path, (0,)), store=store, workers=2)
    assert len(sweep(toys(tmp_path, (0,)), store=store).stored) == 1


# ---- ensembles ----
def test_the_modules_batches_are_taken_and_cut(tmp_path, monkeypatch):
    specs = toys(tmp_path, range(5))
    sizes = {batch: [len(e) for e in ensembles(specs, batch)] for batch in (None, 1, 4)}
    assert sizes == {None: [2, 2, 1], 1: [1] * 5, 4: [2, 2, 1]}
    toy_sweep.changed(monkeypatch, batches=lambda specs, memory, device: [specs[1:]])
    with pytest.raises(ValueError, match=r"batches\(\) of toy_sweep must return every member exactly once"):
        ensembles(specs)
    toy_sweep.changed(monkeypatch, batches=lambda specs, memory, device: [specs] if device == "cuda" else [])
    assert ensembles(specs, device="cuda") == [specs]
    toy_sweep.changed(monkeypatch, batches=None)
    sizes = {batch: [len(e) for e in ensembles(specs, batch)] for batch in (None, 3)}
    assert sizes == {None: [1] * 5, 3: [3, 2]}


def test_unfinished_ensembles_come_first(tmp_path):
    specs = toys(tmp_path, range(6))
    checkpoint_of([specs[4], specs[1], specs[2]]).save({})
    checkpoint_of([specs[0], Toy(seed=99, folder=str(tmp_path))]).save({})  # a member that is not wanted now
    seeds = [[spec.seed for spec in members] for members in ensembles(specs, batch=1)]
    assert seeds == [[4, 1, 2], [0], [3], [5]]


def test_the_memory_of_a_device_is_the_same_at_every_call():
    kind, count = device_memory("cpu")
    assert (kind, count) == device_memory("cpu")
    assert 10**8 < count < 10**14
    assert kind == "cpu"


# ---- on a cluster ----
def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@contextlib.contextmanager
def after(condition, act):
    """Meanwhile, in a thread, wait for the condition and act."""

    def wait():
        wait_for(condition)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join()


def children():
    import psutil

    found = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            words = " ".join(process.cmdline())  # empty for what has ended; Python's own tracker stays until it ends
            found |= {process.pid} if words and "resource_tracker" not in words else set()
    return found


@pytest.fixture(scope="module")
def cluster(checkpoint_root):
    """A client of a real scheduler with two worker processes that are restarted when they die."""
    before = children()
    with cluster_side.client_for(None, 2, retries=0) as client:  # 0: every death comes back to the sweep at once
        yield client
    wait_for(lambda: children() <= before)  # no process is left behind


def test_two_processes_share_the_work(cluster, store, tmp_path):
    specs, told = toys(tmp_path, range(6), hold=1), []

    def both_at_work():
        return len({pid for pid, _, _ in diary(tmp_path, "begin")}) == 2

    with after(both_at_work, lambda: (tmp_path / "go").touch()):
        swept = sweep(specs, scheduler=cluster, store=store, progress=lambda *what: told.append(what))
    assert sorted(swept.stored, key=lambda spec: spec.seed) == specs
    assert_stored(store, specs)
    begun = diary(tmp_path, "begin")
    assert sorted(seeds for _, _, seeds in begun) == [(0, 1), (2, 3), (4, 5)]
    assert len({pid for pid, _, _ in begun}) == 2
    assert os.getpid() not in {pid for pid, _, _ in begun}
    assert told[-1] == (1, "3 of 3 ensembles done, 2 workers")
    assert sweep(specs, scheduler=cluster, store=store).kept == specs
    here = Store(tmp_path / "here")
    sweep(specs, store=here)
    for spec in specs:
        np.testing.assert_array_equal(store.load(spec).arrays["all"], here.load(spec).arrays["all"])


def test_ctrl_c_cancels_what_is_under_way_on_the_workers(cluster, store, tmp_path):
    quick, slow = toys(tmp_path, (0, 1)), toys(tmp_path, range(2, 12), pause=0.1, steps=600)

    def interrupt(result):
        wait_for(lambda: any(seeds > (1,) for _, _, seeds in diary(tmp_path, "begin")))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep([*quick, *slow], scheduler=cluster, store=store, on_done=interrupt)
    assert store.missing(quick) == quick[1:]
    assert sweep(quick, scheduler=cluster, store=store).stored == quick[1:]  # a worker is free again
    begun = {seeds for _, _, seeds in diary(tmp_path, "begin")} - {(0, 1), (1,)}
    wait_for(lambda: {seeds for _, _, seeds in diary(tmp_path, "cancelled")} == begun)
    assert len(begun) < 5  # those that had not begun never did


def test_a_worker_with_other_code_refuses(cluster, store, tmp_path, monkeypatch):
    monkeypatch.setattr("implicit_rank.sweep.cluster.code_of", lambda spec: "newer")
    (why,) = sweep(toys(tmp_path, (0,)), scheduler=cluster, store=store).failed.values()
    assert why.endswith("has other code of toy_sweep than the caller.")
    assert diary(tmp_path, "begin") == []


def test_an_address_without_a_scheduler_is_one_sentence_within_seconds(cluster, store, tmp_path, monkeypatch):
    assert cluster_side._CONNECT_SECONDS < 5
    limits = []
    watched = SimpleNamespace(run=asyncio.run, timeout=lambda limit: limits.append(limit) or asyncio.timeout(limit))
    monkeypatch.setattr(cluster_side, "asyncio", watched)
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, never answers
        mute_address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        worker = next(iter(cluster.scheduler_info()["workers"]))
        cases = (mute_address, 0.5, "no Dask scheduler answers at"), (worker, 60.0, "there is a Dask worker, not a")
        for address, seconds, sentence in cases:
            monkeypatch.setattr(cluster_side, "_CONNECT_SECONDS", seconds)
            with pytest.raises(SweepError, match=sentence):
                sweep(toys(tmp_path, (0,)), scheduler=address, store=store)
    assert limits == [0.5, 60.0]  # without one, the mute would have been waited for for ever


def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(cluster, store, tmp_path):
    specs, killed, saved = toys(tmp_path, range(8), steps=8, hold=3), [], []

    def kill():
        pid, _, seeds = diary(tmp_path, "begin")[1]
        wait_for(lambda: checkpoint_of([specs[seed] for seed in seeds]).load() is not None)
        os.kill(pid, signal.SIGKILL)
        killed.append((pid, seeds))
        (tmp_path / "go").touch()

    with after(lambda: len(diary(tmp_path, "begin")) >= 2, kill):
        swept = sweep(specs, scheduler=cluster, store=store, on_done=saved.append)
    assert swept.failed == {}
    assert_stored(store, specs)
    assert sorted(result.spec.seed for result in saved) == list(range(8))  # stored once each
    assert sorted(seeds for _, _, seeds in diary(tmp_path, "end")) == [(0, 1), (2, 3), (4, 5), (6, 7)]
    begun = [seeds for _, _, seeds in diary(tmp_path, "begin")]
    ((pid, seeds),) = killed
    assert sorted(begun) == sorted([(0, 1), (2, 3), (4, 5), (6, 7), seeds])  # only that ensemble began twice
    again = [(where, step) for where, step, these in diary(tmp_path, "begin") if these == seeds][1]
    assert again[0] != pid
    assert again[1] > 0  # from its checkpoint
    assert checkpoints_with(specs) == {}
    assert pid not in {where for where, _, _ in diary(tmp_path, "end") if _ == seeds}


def test_failures_on_workers_are_reported_and_the_others_go_on(cluster, store, tmp_path):
    refused, between = toys(tmp_path, (0, 1), fail="refused"), toys(tmp_path, (2, 3), fail="between")
    # it tells that it has begun, which is what counts as a death of its own, before it is killed
    killed, good = toys(tmp_path, (4,), fail="killed", pause=2.0), toys(tmp_path, (5, 6))
    swept = sweep([*refused, *between, *good, *killed], scheduler=cluster, store=store, retries=1)
    assert sorted(swept.stored, key=lambda spec: spec.seed) == [between[0], *good]
    assert swept.failed.pop(between[1]).startswith("RuntimeError: a thunder stroke (toy_sweep.py, line ")
    assert swept.failed.pop(killed[0]) == "its worker died 2 times (killed, or out of memory)."
    assert swept.failed == dict.fromkeys(refused, "the toy is broken: mend it.")
    assert len([seeds for _, _, seeds in diary(tmp_path, "begin") if seeds == (4,)]) == 2


# ---- processes brought up by hand ----
@pytest.fixture
def by_hand(tmp_path):
    """`dask scheduler` and one `dask worker`, as a person would start them: (address, both processes)."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "src"), os.environ.get("PYTHONPATH", "")])
    with contextlib.ExitStack() as stack:
        processes = []
        for words in (
            ["scheduler", "--host", address, "--no-dashboard", "--dashboard-address", "127.0.0.1:0"],
            ["worker", address, "--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path / "scratch")],
        ):
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *words],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": path},
                start_new_session=True,
            )
            stack.callback(process.wait)
            stack.callback(lambda group=process.pid: os.killpg(group, signal.SIGKILL))
            processes.append(process)
        yield address, *processes


def test_a_scheduler_that_goes_away_ends_the_sweep_with_a_sentence(by_hand, store, tmp_path):
    address, scheduler, _ = by_hand
    wait_for(lambda: answers(address))
    specs = toys(tmp_path, range(4), pause=0.02) + toys(tmp_path, (4,), pause=0.1, steps=600)
    done = []

    def stop_after_two(result):
        done.append(result.spec)
        if len(done) == 4:
            scheduler.kill()

    with pytest.raises(SweepError, match="the Dask scheduler went away; what was stored is kept"):
        sweep(specs, scheduler=address, store=store, on_done=stop_after_two)
    assert store.missing(specs) == specs[4:]


def answers(address):
    host, _, port = address.removeprefix("tcp://").partition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


# ---- workers that die at once, scripts that would loop ----
def test_a_worker_killed_while_it_starts_is_started_again(store, tmp_path):
    before = children()

    with after(lambda: children() - before, lambda: os.kill(min(children() - before), signal.SIGKILL)):
        swept = sweep(toys(tmp_path, range(4)), workers=2, store=store, retries=2)
    assert (len(swept.stored), swept.failed) == (4, {})


def test_workers_that_never_start_are_one_sentence(store, tmp_path, monkeypatch):
    import distributed

    begun = []

    def never(**_):
        begun.append(1)
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(distributed, "LocalCluster", never)
    with pytest.raises(SweepError, match=r"the worker processes died while they started, 3 times \(.*Nanny failed"):
        sweep(toys(tmp_path, (0,)), workers=2, store=store, retries=2)
    assert len(begun) == 3


class Deaf:
    """A client whose workers are lost while they are asked, so many times."""

    status = "running"

    def __init__(self, times):
        self.times = times

    def scheduler_info(self):
        return {"workers": {}}

    def wait_for_workers(self, count):
        pass

    def run(self, *_):
        self.times -= 1
        if self.times >= 0:
            raise OSError("Stream is closed")
        return {"tcp://a:1": ("cpu", 100), "tcp://a:2": ("cpu", 100)}


def test_workers_lost_while_they_are_asked_are_asked_again(monkeypatch):
    monkeypatch.setattr(cluster_side, "_POLL_SECONDS", 0.0)
    assert cluster_side.worker_memory(Deaf(3), "cpu", None) == ("cpu", 50)
    with pytest.raises(SweepError, match=r"the workers die before they can say what they have \(Stream is closed\)"):
        cluster_side.worker_memory(Deaf(1000), "cpu", None)


SCRIPT = """
import sys
from toy_sweep import Toy
from implicit_rank.sweep import SweepError, sweep

def main():
    try:
        print(len(sweep([Toy(folder=sys.argv[1])], store=sys.argv[1], workers=1).stored), "stored")
    except SweepError as error:
        print(error)

"""


@pytest.mark.parametrize(
    ("last", "how", "said"),
    [
        (
            "main()",
            "file",
            "read script.py again when they start, and would come to line 12 again: put .* `if __name__",
        ),
        ('if __name__ == "__main__":\n    main()', "file", "^1 stored$"),
        ("main()", "input", "^1 stored$"),
    ],
    ids=["unguarded", "guarded", "from standard input"],
)
def test_a_script_gets_its_workers_or_a_sentence(tmp_path, last, how, said):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + last + "\n", encoding="utf-8")
    path = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
    done = subprocess.run(
        [sys.executable, str(script) if how == "file" else "-", str(tmp_path)],
        input="" if how == "file" else script.read_text(encoding="utf-8"),
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert re.search(said, done.stdout.strip()), done.stdout + done.stderr
    assert done.stderr == ""


# ---- schedulers known by a file, or by their certificates ----
@pytest.fixture
def certificate(tmp_path):
    """A certificate that signs itself, and its key."""
    made = tmp_path / "made.pem", tmp_path / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    try:
        subprocess.run([*words, "-keyout", made[1], "-out", made[0]], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    return made


def test_an_encrypted_scheduler_takes_the_certificates_that_dask_was_given(certificate, store, tmp_path, monkeypatch):
    import dask

    cert, key = map(str, certificate)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"tls://127.0.0.1:{probe.getsockname()[1]}"
    common = ["--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key]
    known = tmp_path / "known.json"
    port = address.rpartition(":")[2]
    path = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
    with contextlib.ExitStack() as stack:
        for words in (
            ["scheduler", "--protocol", "tls", "--host", "127.0.0.1", "--port", port, "--scheduler-file", str(known)],
            ["worker", "--scheduler-file", str(known), "--nthreads", "1", "--local-directory", str(tmp_path / "w")],
        ):
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *words, "--no-dashboard", "--dashboard-address", "127.0.0.1:0", *common],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": path},
                start_new_session=True,
            )
            stack.callback(process.wait)
            stack.callback(lambda group=process.pid: os.killpg(group, signal.SIGKILL))
        wait_for(known.exists)
        found = cluster_side.scheduler_in(known)
        assert found == address
        with pytest.raises(SweepError, match=r"wants certificates, and Dask was given none: .*TLS__CA_FILE"):
            sweep(toys(tmp_path, (0,)), scheduler=found, store=store)
        for name, value in (("CA_FILE", cert), ("CLIENT__CERT", cert), ("CLIENT__KEY", key)):
            monkeypatch.setenv(f"DASK_DISTRIBUTED__COMM__TLS__{name}", value)
        try:
            dask.config.refresh()
            assert len(sweep(toys(tmp_path, (0, 1)), scheduler=found, store=store).stored) == 2
            monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", str(tmp_path / "lost.pem"))
            dask.config.refresh()
            with pytest.raises(SweepError, match=r"the certificates that .* name cannot be used"):
                sweep(toys(tmp_path, (2,)), scheduler=found, store=store)
        finally:
            monkeypatch.undo()
            dask.config.refresh()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"cannot be read \(No such file or directory\): is the scheduler up\?"),
        (b'{"type": "Scheduler"}', "is no file that `dask scheduler --scheduler-file` has written"),
        (b"[" * 100_000, "is no file that"),
        (b"\xff\xfe", "is no file that"),
    ],
)
def test_a_scheduler_file_that_says_nothing_is_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "scheduler.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SweepError, match=sentence):
        cluster_side.scheduler_in(path)
