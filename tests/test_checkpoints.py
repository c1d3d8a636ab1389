"""Checkpoints: bits survive, kill -9 and full disks leave the old one, damage and mix-ups are one sentence."""

import dataclasses
import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from implicit_rank.parameters import option
from implicit_rank.store import (
    Checkpoints,
    Spec,
    StoreError,
    checkpoint_folder,
    checkpoint_of,
    checkpoints_with,
    discard_checkpoints,
    files,
    unfinished_ensembles,
)
from implicit_rank.store import checkpoints as module

SOURCE = Path(__file__).resolve().parents[1] / "src"
SETTINGS = {"lr": 0.1, "members": [{"seed": 0}, {"seed": 1}], "optimiser": "adam"}


@dataclasses.dataclass(frozen=True)
class Toy(Spec):
    experiment: ClassVar[str] = "toy"

    depth: int = option(4, "layers", least=1)


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "deep" / "run.npz", SETTINGS)


def state(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "file": rng.normal(size=(3, 5)).astype(np.float32),
        "encoder/0.weight": rng.normal(size=(2, 3, 4, 4)),
        "odd": np.array([np.nan, -0.0, np.inf, 5e-324]),
        "rng": rng.integers(0, 256, 5056).astype(np.uint8),
        "step": np.int64(12345),
        "columns": np.asfortranarray(rng.normal(size=(4, 3))),
        "empty": np.zeros((0, 7), dtype=np.float16),
        "stopped": np.array([True, False]),
        "names": np.array(["", "diverged at step 25"]),
    }


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        expected = np.asarray(other[name])
        assert (value.dtype, value.shape, value.tobytes()) == (expected.dtype, expected.shape, expected.tobytes()), name


# ---- round trip ----
def test_bits_survive_and_a_second_save_replaces(checkpoints):
    assert checkpoints.load() is None
    for seed in (0, 1):
        checkpoints.save(state(seed))
        assert_same(Checkpoints(checkpoints.path, dict(reversed(SETTINGS.items()))).load(), state(seed))
    checkpoints.load()["file"][:] = 0  # what is loaded may be changed in place
    assert [path.name for path in checkpoints.path.parent.iterdir()] == ["run.npz"]
    with np.load(checkpoints.path, allow_pickle=False) as archive:  # plain npz, for other readers
        np.testing.assert_array_equal(archive["rng"], state(1)["rng"])
    checkpoints.remove()
    checkpoints.remove()
    assert checkpoints.load() is None


def test_nothing_is_pickled(checkpoints):
    checkpoints.save(state())
    with pytest.raises(ValueError, match="array 'bad' of a checkpoint must hold numbers, truth values or text"):
        checkpoints.save({"bad": np.array([print], dtype=object)})
    assert_same(checkpoints.load(), state())
    np.savez(checkpoints.path, bad=np.array([print], dtype=object))
    with pytest.raises(StoreError, match="is a file of another kind and no checkpoint, so it is left as it is"):
        checkpoints.load()


# ---- whose it is ----
@pytest.mark.parametrize(
    ("theirs", "ours", "sentence"),
    [
        (SETTINGS, SETTINGS | {"lr": 0.2}, r"another run \(lr = 0.1\) and not to this one \(lr = 0.2\); delete it"),
        (
            SETTINGS,
            {"lr": 0.1, "depth": 2},
            r"\(depth = null, members = \[.*\], optimiser = \"adam\"\) .* \(depth = 2, ",
        ),
        ("first stage", "second stage", r"another run \(first stage\) and not to this one \(second stage\)"),
        ("", "x" * 500, r"another run \(no identity\) and not to this one \(x{157}\.\.\.\)"),
    ],
)
def test_another_runs_checkpoint_is_refused(tmp_path, theirs, ours, sentence):
    Checkpoints(tmp_path / "run.npz", theirs).save(state())
    with pytest.raises(StoreError, match=sentence) as refused:
        Checkpoints(tmp_path / "run.npz", ours).load()
    assert "\n" not in str(refused.value)
    assert_same(Checkpoints(tmp_path / "run.npz", theirs).load(), state())


# ---- damage ----
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_says_to_delete_it(checkpoints, share):
    checkpoints.save(state())
    content = checkpoints.path.read_bytes()
    checkpoints.path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(StoreError, match=r"it is cut off or damaged .* delete it and run again from the start"):
        checkpoints.load()
    checkpoints.save(state(1))
    assert_same(checkpoints.load(), state(1))


def test_no_flipped_bit_passes_for_the_saved_state(checkpoints):
    checkpoints.save(state())
    content, caught = checkpoints.path.read_bytes(), 0
    for place in np.random.default_rng(0).integers(0, len(content), 400):
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << (place % 8)
        checkpoints.path.write_bytes(spoilt)
        try:
            assert_same(checkpoints.load(), state())  # dates and the like may change
        except StoreError:
            caught += 1
    assert caught > 200


# ---- interruptions ----
WRITER = textwrap.dedent("""
    import sys
    import numpy as np
    from implicit_rank.store import Checkpoints, StoreError

    checkpoints = Checkpoints(sys.argv[1], "toy")
    """)
LOOP = textwrap.dedent("""
    print("ready", flush=True)
    for value in range(int(sys.argv[2]), int(sys.argv[2]) + 1_000_000):
        checkpoints.save({"value": np.int64(value), "weights": np.full(250_000, float(value))})
    """)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}


def test_kill_9_while_saving_leaves_a_whole_checkpoint(tmp_path):
    checkpoints, rng, seen = Checkpoints(tmp_path / "run.npz", "toy"), np.random.default_rng(0), set()
    for attempt in range(8):
        first = 1_000_000 * attempt
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER + LOOP, str(checkpoints.path), str(first)],
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
            text=True,
        )
        with process:
            assert process.stdout.readline() == "ready\n"
            end = time.monotonic() + 300
            while attempt % 4 and not ((loaded := checkpoints.load()) and loaded["value"] >= first):
                assert time.monotonic() < end, "nothing was saved"
            time.sleep(rng.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        loaded = checkpoints.load()
        if loaded is not None:
            assert (loaded["weights"] == loaded["value"]).all()
            seen.add(int(loaded["value"]))
    assert len(seen) >= 6  # every fourth may be killed before it has saved anything
    for path in tmp_path.glob(".tmp-*"):
        os.utime(path, (0, 0))
    checkpoints.save({})
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]  # leftovers of the dead are gone


def test_a_full_disk_is_one_sentence_and_keeps_the_old_one(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run.npz", "toy")
    checkpoints.save({"value": np.arange(5)})
    script = WRITER + textwrap.dedent("""
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        try:
            checkpoints.save({"value": np.zeros(100_000)})
        except StoreError as error:
            print(error)
        """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(checkpoints.path)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )
    assert done.stdout.startswith(f"no space left to store the checkpoint in {tmp_path}; ")
    assert "set IMPLICIT_RANK_CHECKPOINTS to another folder" in done.stdout
    assert checkpoints.load()["value"].tolist() == [0, 1, 2, 3, 4]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.EDQUOT, "no space left to store the checkpoint"),
        (errno.EROFS, "the checkpoint folder .* is read-only; make it writable, or set IMPLICIT_RANK_CHECKPOINTS"),
        (errno.EIO, "the checkpoint could not be stored in"),
    ],
)
def test_trouble_at_the_last_step(checkpoints, monkeypatch, code, sentence):
    checkpoints.save(state())

    def refuse(source, target):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises(StoreError, match=sentence):
        checkpoints.save(state(1))
    assert_same(checkpoints.load(), state())
    assert len(list(checkpoints.path.parent.iterdir())) == 1


# ---- where they lie, and whose members they hold ----
def test_the_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("IMPLICIT_RANK_CHECKPOINTS", raising=False)
    assert checkpoint_folder() == SOURCE.parent / "build" / "checkpoints"
    monkeypatch.setattr(module, "checkout", lambda: None)
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert checkpoint_folder() == tmp_path / "implicit_rank" / "checkpoints"
    monkeypatch.setenv("IMPLICIT_RANK_CHECKPOINTS", str(tmp_path / "own"))
    assert checkpoint_folder() == tmp_path / "own"


def test_the_checkpoint_of_an_ensemble_follows_members_and_code(tmp_path, monkeypatch):
    specs = [Toy(seed=seed) for seed in range(4)]
    one = checkpoint_of(specs[:3], tmp_path)
    staged = checkpoint_of(specs[3:], tmp_path, stage="first", code="implicit_rank.spectra")
    assert one.path.parent == tmp_path / "toy"
    others = [checkpoint_of(specs[:2], tmp_path), checkpoint_of(specs[2::-1], tmp_path)]
    monkeypatch.setattr(module, "code_of", lambda spec: "newer code")
    others.append(checkpoint_of(specs[:3], tmp_path))
    assert len({one.path, staged.path, *(other.path for other in others)}) == 5
    for other in (one, others[0], others[2]):
        other.save(state())
    monkeypatch.undo()
    assert unfinished_ensembles(specs, tmp_path) == [specs[:3]] or unfinished_ensembles(specs, tmp_path) == [specs[:2]]
    others[0].remove()
    staged.save(state())
    assert sorted(unfinished_ensembles(specs, tmp_path), key=len) == [specs[3:], specs[:3]]
    assert unfinished_ensembles(specs[1:3], tmp_path) == []
    staged.remove()
    others[0].save(state())
    others[2].remove()
    (tmp_path / "toy" / "broken.npz").write_bytes(b"PK")
    Checkpoints(tmp_path / "toy" / "own.npz", "a hand-made one").save(state())
    assert {path: len(found["members"]) for path, found in checkpoints_with(specs, tmp_path).items()} == {
        one.path: 3,
        others[0].path: 2,
    }
    assert list(checkpoints_with(specs[2:], tmp_path)) == [one.path]
    assert discard_checkpoints(specs[3:], tmp_path) == 0
    assert discard_checkpoints(specs[2:], tmp_path) == 1
    assert one.load() is None
    assert_same(others[0].load(), state())
