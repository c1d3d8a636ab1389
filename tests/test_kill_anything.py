"""Kills of each kind, and that the judge of them sees what is lost, doubled, damaged or other than it was."""

import dataclasses
import functools
import random
import shutil
from typing import ClassVar

import kill_anything
import numpy as np
import pytest
from killing import runs, stores

from implicit_rank.parameters import option
from implicit_rank.store import Spec, Store

MEMBERS = ["--seeds", "0", "--part", "1/3"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The function that gives an experiment's undisturbed store."""
    return functools.cache(functools.partial(kill_anything.undisturbed, tmp_path_factory.mktemp("kills"), MEMBERS))


@pytest.mark.parametrize("kind", [kind for kind in kill_anything.KINDS if kind != "book"])
def test_what_is_killed_goes_on_as_if_nothing_had_been(kind, tmp_path, undisturbed):
    lines = []
    kills, good, problems = kill_anything.kill_kind(kind, 1, 0, tmp_path, MEMBERS, undisturbed, lines.append)
    assert problems == []
    assert kills == good == 1
    assert "bit-equal" in lines[-1]


def test_a_killed_book_goes_on_as_if_nothing_had_been(tmp_path):
    kills, good, problems = kill_anything.kill_kind("book", 2, 1, tmp_path, MEMBERS, None, print)
    assert problems == []
    assert kills == good == 2


@dataclasses.dataclass(frozen=True)
class Judged(Spec):
    """A run of nothing."""

    experiment: ClassVar[str] = "judged"
    width: int = option(3, "how many zeros", least=0)


@pytest.fixture
def stored(tmp_path):
    """A folder with two records."""
    for seed in (0, 1):
        arrays = {"zeros": np.zeros(3), "seconds": np.ones(2)}
        Store(tmp_path / "results").save(Judged(seed=seed), {"value": np.nan, "images_per_second": seed}, arrays)
    return tmp_path / "results"


def test_the_judge_finds_nothing_where_nothing_is_wrong(stored, tmp_path):
    assert stores.after_a_kill(stored, stores.contents(stored)) == (stores.contents(stored), [])
    shutil.copytree(stored, tmp_path / "other")
    Store(tmp_path / "other").save(
        Judged(), {"value": np.nan, "images_per_second": 9.0}, {"zeros": np.zeros(3), "seconds": np.zeros(2)}
    )
    assert stores.at_the_end(tmp_path / "other", stored) == []  # times may differ


def test_the_judge_sees_what_is_wrong(stored, tmp_path):
    before = stores.contents(stored)
    first = min((stored / "judged").glob("*-s0-*.json"))
    shutil.copytree(stored, tmp_path / "other")

    def problems():
        return " ".join(stores.after_a_kill(stored, before)[1])

    twin = first.with_name(f"another-{first.name}")
    shutil.copy(first, twin)
    assert f"stored twice: {first.stem[-12:]}" in problems()
    twin.unlink()
    first.write_bytes(first.read_bytes()[:100])
    assert "damaged: " in problems()
    assert f"lost or changed: {first.name}" in problems()
    first.unlink()
    assert f"lost or changed: {first.name}" in problems()
    other = " ".join(stores.at_the_end(stored, tmp_path / "other"))
    assert "not stored: ('judged', " in other
    assert "arrays of no record: " in other
    Store(stored).save(Judged(), {"value": 1.0, "images_per_second": 0}, {"zeros": np.full(3, -0.0), "seconds": 0.0})
    other = " ".join(stores.at_the_end(stored, tmp_path / "other"))
    assert "value is 1.0, undisturbed nan" in other
    assert "array zeros differs" in other  # -0.0 and 0.0 are equal numbers, and other bits
    assert "second" not in other


def test_moments_are_drawn_by_the_seed():
    drawn = [[runs.moments(random.Random(seed), 100) for _ in range(3)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
