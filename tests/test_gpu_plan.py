"""The plan for a graphics card, tried on a CPU: it stops in time, goes on, and its archives come home."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from implicit_rank.__main__ import main
from implicit_rank.book import gpu
from implicit_rank.experiments import register
from implicit_rank.experiments.kit import autoencoder_training as training
from implicit_rank.store import Store
from implicit_rank.store.files import encode_scalars
from implicit_rank.sweep.timed import Group, until

NAME = "greedy_images_gpu"


@pytest.fixture(autouse=True)
def checkpoints(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_RANK_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path / "checkpoints"


@pytest.fixture
def often(monkeypatch):
    """Checkpoints after every step: the fingerprint of the code knows nothing of it, as its source stays."""
    own = training.settings_of
    monkeypatch.setattr(training, "settings_of", lambda spec: replace(own(spec), checkpoint_seconds=1e-9))


class Clock:
    """A clock that stands still but for jumps."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def members():
    return register.experiment(NAME).presets("smoke", seeds=(0,))[:3]


def groups(evaluation=1.0):
    return [Group((spec,), evaluation) for spec in members()]


def went(store, seconds=1e6, on=lambda line, clock: None, **options):
    """What `until` did with the three members, and what it said; `on(line, clock)` may move the clock."""
    clock, lines = Clock(), []

    def say(line):
        lines.append(line)
        on(line, clock)

    plan = options.pop("plan", None) or groups()
    return until(plan, seconds, device="cpu", store=store, steps=2, clock=clock, say=say, **options), lines


def test_the_planned_members_are_those_of_the_paper():
    plan = gpu.plan("paper")
    assert [[spec.experiment for spec in group.specs] for group in plan] == [
        *[["known_dimension_full"] * 3] * 3,
        ["irmae_images_gpu"] * 2,
        *[[NAME] * 4] * 3,
    ]
    assert [spec.depth for spec in plan[0].specs] == [2, 4, 0]
    assert [group.specs[0].seed for group in plan] == [0, 1, 2, 1, 0, 1, 2]
    assert [(spec.seed, spec.depth, spec.fid) for spec in plan[3].specs] == [(1, 8, False), (2, 8, False)]
    sun = plan[4].specs
    assert [(spec.depth, spec.alpha) for spec in sun] == [(0, 1.0), (16, 1.0), (16, 100.0), (16, 300.0)]
    assert {(spec.epochs, spec.precision, spec.batch, spec.lr, spec.data) for spec in sun} == {
        (40, "float32", 32, 1e-4, "mnist")
    }
    for group in plan:  # every group is one ensemble on a GPU
        experiment = register.experiment(group.specs[0].experiment)
        if group.specs[0].data != "mnist":  # whose files may not be there
            assert experiment.batches(group.specs, memory=2**36, device="cuda") == [list(group.specs)]


def test_time_runs_out_in_the_middle_and_a_second_call_goes_on(tmp_path, often):
    whole = Store(tmp_path / "whole")
    done, lines = went(whole)
    assert [len(done.stored), len(done.left), len(done.failed)] == [3, 0, 0]
    assert "3 of 3 members should fit into the time that is left." in lines
    cut = Store(tmp_path / "cut")

    def end(line, clock):
        clock.now = 1e9 if line.startswith("2/3") and "begun" in line else clock.now

    done, lines = went(cut, on=end)
    assert done.stored == members()[:1]
    assert done.left == members()[1:]
    assert [line for line in lines if "the time is up; its checkpoint stays" in line]
    assert [line for line in lines if line.startswith("3/3") and "not begun" in line]
    done, lines = went(cut)
    assert done.stored == members()[1:]
    for spec in members():
        one, other = whole.load(spec), cut.load(spec)
        alike = [encode_scalars({k: v for k, v in run.scalars.items() if "second" not in k}) for run in (one, other)]
        assert alike[0] == alike[1]
        assert all(np.array_equal(one.arrays[k], other.arrays[k], equal_nan=True) for k in one.arrays)
    done, lines = went(cut)
    assert done.stored == []
    assert lines == ["0 of 0 members should fit into the time that is left."]


def test_what_will_not_fit_is_not_begun_unless_it_may_be_cut_off(tmp_path):
    store = Store(tmp_path / "runs")
    plan = [Group(groups()[0].specs, 5000.0), Group(register.experiment("irmae_images_gpu").presets("smoke")[:1], 1.0)]
    done, lines = went(store, seconds=1000.0, plan=plan)
    assert "1 of 2 members should fit into the time that is left." in lines
    assert [spec.experiment for spec in done.stored] == ["irmae_images_gpu"]  # the next one that fits is run
    assert done.left == members()[:1]
    done, _ = went(store, seconds=1000.0, plan=plan, partly=True)
    assert done.stored == members()[:1]


def test_members_that_the_book_has_are_passed_over_and_what_fails_is_told(tmp_path, monkeypatch):
    book = Store(tmp_path / "book")
    book.save(members()[0], {"error": 1.0})
    absent = tuple(
        replace(spec, data="folder:/nowhere") for spec in register.experiment("irmae_images").presets("smoke")[:1]
    )
    done, lines = went(Store(tmp_path / "runs"), others=[book], plan=[groups()[0], Group(absent, 1.0), groups()[1]])
    assert done.stored == members()[1:2]
    assert list(done.failed) == list(absent)
    assert [line for line in lines if "/nowhere" in line]


@pytest.fixture
def short(monkeypatch, tmp_path):
    """A plan of two members in a checkout of its own."""
    monkeypatch.setattr(gpu, "PLAN", ((NAME, (0,), {"depth": 16, "alpha": 1.0}, 1), (NAME, (1,), {"depth": 0}, 1)))
    monkeypatch.setattr("implicit_rank.store.checkout", lambda: tmp_path)
    return ["gpu", "--profile", "smoke", "--steps", "2", "--device", "cpu", "--out", str(tmp_path / "out")]


def test_the_command_writes_one_archive_that_the_store_takes_in(short, tmp_path, capsys):
    assert main(short) == 0
    assert "2 stored, 0 left, 0 failed." in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["runs-1.zip"]
    assert main(["import", str(tmp_path / "out" / "runs-1.zip"), "--results", str(tmp_path / "home")]) == 0
    found = Store(tmp_path / "home").select(NAME)
    assert [(run.seed, run.spec["depth"]) for run in found] == [(1, 0), (0, 16)]
    assert not any(run.stale for run in found)
    assert {"error", "rank_codes", "accuracy_best_codes", "distance"} <= found[0].scalars.keys()
    (tmp_path / "out" / "runs-1.zip").unlink()  # a folder that is emptied before every call
    assert main([*short, "--minutes", "0.0001"]) == 0
    assert "0 stored, 0 left" in capsys.readouterr().out
    assert (tmp_path / "out" / "runs-1.zip").exists()


def test_ctrl_c_leaves_an_archive_of_what_was_finished(short, tmp_path, monkeypatch, capsys):
    from implicit_rank.sweep import timed

    own, calls = timed.sweep, []

    def sweep(part, **options):
        calls.append(part)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return own(part, **options)

    monkeypatch.setattr(timed, "sweep", sweep)
    assert main(short) == 130
    assert main(["import", str(tmp_path / "out" / "runs-1.zip"), "--results", str(tmp_path / "home")]) == 0
    assert len(Store(tmp_path / "home").select(NAME)) == 1


@pytest.mark.parametrize("wrong", [["--minutes", "0"], ["--minutes", "soon"], ["--profile", "full"]])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(SystemExit):
        main(["gpu", *wrong])


def test_data_are_copied_to_where_they_travel(tmp_path, monkeypatch, capsys):
    from implicit_rank.data import archives

    monkeypatch.setattr("implicit_rank.store.checkout", lambda: tmp_path)
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path / "data"))
    assert main(["gpu", "--carry"]) == 1
    assert "is not in" in capsys.readouterr().err
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    monkeypatch.setattr(archives, "read_archive", lambda name: None)  # published bytes are not at hand
    for name in archives.MD5:
        (raw / name).write_bytes(name.encode())
    assert main(["gpu", "--carry"]) == 0
    assert "take it along" in capsys.readouterr().out
    carried = tmp_path / "carried" / "MNIST" / "raw"
    assert {path.name: path.read_bytes() for path in carried.iterdir()} == {n: n.encode() for n in archives.MD5}


def test_nothing_of_the_books_tools_is_needed(tmp_path):
    tools = (
        "jupytext",
        "papermill",
        "IPython",
        "ipykernel",
        "nbformat",
        "nbclient",
        "jupyter_book",
        "sphinx",
        "docutils",
    )
    work = tmp_path / "repository"  # build/gpu of the checkout may hold runs of somebody's own
    program = f"""
import sys
from pathlib import Path
from importlib.machinery import PathFinder
absent = {(*tools, "myst_nb", "pytorch_fid", "dask", "distributed", "filelock")!r}
class Rest(PathFinder):
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in absent else PathFinder.find_spec(name, path, target)
sys.meta_path = [Rest if finder is PathFinder else finder for finder in sys.meta_path]
from implicit_rank import store
from implicit_rank.__main__ import main
from implicit_rank.book import gpu
store.checkout = lambda: Path({str(work)!r})
kinds = {{entry[0]: entry for entry in reversed(gpu.PLAN)}}
gpu.PLAN = tuple((name, seeds[:1], settings, 1) for name, seeds, settings, _ in kinds.values())
sys.exit(main("gpu --profile smoke --steps 2 --device cpu".split()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "6 stored, 0 left, 0 failed." in done.stdout
    assert (work / "build" / "gpu" / "runs-1.zip").exists()
