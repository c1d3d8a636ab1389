"""`restamp`: runs of older code are fresh again once the present code is shown to compute the same, and only then."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

EXPERIMENT = '''
"""Sums of noise, for tests."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_rank.experiments.kit.result import run_each
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option
from implicit_rank.store import Spec


@dataclass(frozen=True)
class Sums(Spec):
    """One sum."""

    experiment: ClassVar[str] = "sums"

    steps: int = option(4, "numbers that are added", least=1)


def presets(profile="quick", seeds=None):
    """Three members."""
    return [Sums(profile=profile, seed=seed, steps=3 if profile == "smoke" else 9) for seed in seeds or (0, 1, 2)]


def run(specs: Sequence[Sums], device="cpu", progress=None, on_done=None):
    """Add up."""
    return run_each(specs, added, progress, on_done)


def added(spec):
    steps = np.random.default_rng(spec.seed).normal(size=spec.steps)
    steps[-1] += float(os.environ.get("PROCESSOR", 0))  # another processor rounds otherwise
    sums = np.cumsum(steps)
    return {"last": float(sums[-1]), "seconds_per_step": np.random.default_rng().uniform()}, {"sums": sums}


MEASURES = {"last": lambda record: record.scalars["last"]}
EXPERIMENT = Experiment(Sums, presets, run, MEASURES)
'''
RENAMED = (("added(spec)", "total_of(spec)"), ("run_each(specs, added,", "run_each(specs, total_of,"))
ONE_BIT = ("np.cumsum(steps)", "np.nextafter(np.cumsum(steps), np.arange(spec.steps) == 1)")


class Copy:
    """A copy of the package with one more experiment, its three runs stored by the code of its only commit."""

    def __init__(self, top):
        self.top, self.results = top, top / "results"
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / "src" / "implicit_rank", top / "src" / "implicit_rank", ignore=ignore)
        self.file = top / "src" / "implicit_rank" / "experiments" / "sums.py"
        self.file.write_text(EXPERIMENT)
        table = top / "src" / "implicit_rank" / "store" / "modules.py"
        table.write_text(table.read_text().replace('"rotation":', '"sums": "sums",\n        "rotation":'))
        for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
            self.git(*words)
        self.call("run", "sums", PROCESSOR="0.25")

    def git(self, *words):
        owner = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        done = subprocess.run(["git", "-C", str(self.top), *owner, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def call(self, *words, code=0, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "implicit_rank", *words, "--results", str(self.results)],
            cwd=self.top,
            env=os.environ | {"PYTHONPATH": str(self.top / "src"), "PROCESSOR": "0"} | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def edit(self, *pairs):
        text = self.file.read_text()
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        self.file.write_text(text)

    def files(self):
        return {path.name: path.read_bytes() for path in (self.results / "sums").iterdir()}

    def provenance(self):
        return [json.loads(content)["provenance"] for name, content in self.files().items() if name.endswith(".json")]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("original"))


@pytest.fixture
def copy(original, tmp_path):
    """A copy of the copy that a test may edit."""
    made = object.__new__(Copy)
    made.top = tmp_path / "copy"
    shutil.copytree(original.top, made.top)
    made.results, made.file = made.top / "results", made.top / original.file.relative_to(original.top)
    return made


def test_runs_that_come_out_the_same_are_stamped_with_the_evidence(copy):
    before = copy.files()
    assert "none of 3 stored runs is stale" in copy.call("restamp", "sums", "--verify", "2")
    copy.edit(*RENAMED)
    assert "3 of the stored ones are of older code" in copy.call("run", "sums", "--dry-run")
    said = copy.call("restamp", "sums", "--verify", "2", PROCESSOR="0.25")
    assert said.endswith("All agree bit for bit: 3 runs stamped as fresh.\n")
    assert "of older code" not in copy.call("run", "sums", "--dry-run")
    after = copy.files()
    assert before.keys() == after.keys()
    for name in before:
        if name.endswith(".npz"):
            assert before[name] == after[name]
            continue
        old, new = json.loads(before[name]), json.loads(after[name])
        (entry,) = new["provenance"].pop("restamped")
        assert entry["from"] == old["provenance"].pop("fingerprint")
        assert entry["to"] == new["provenance"].pop("fingerprint") != entry["from"]
        assert (entry["against"], len(entry["members"])) == ("the stored results", 2)
        assert {"date", "commit", "device_name", "versions"} <= entry.keys()
        assert {**old, "checksum": 0} == {**new, "checksum": 0}


def test_one_bit_more_and_nothing_is_stamped(copy):
    copy.edit(*RENAMED, ONE_BIT)
    before = copy.files()
    said = copy.call("restamp", "sums", "--verify", "1", code=1, PROCESSOR="0.25")
    (sentence,) = [line for line in said.splitlines() if "nothing was stamped" in line]
    assert "the scalar 'last' was" in sentence
    assert "(profile quick, seed " in sentence
    assert copy.files() == before
    copy.edit(("sums[-1]), ", "cumulated[-1]), "), ("    sums = ", "    cumulated = np.cumsum(steps)\n    sums = "))
    said = copy.call("restamp", "sums", "--verify", "1", code=1, PROCESSOR="0.25")
    assert "nothing was stamped: the array 'sums' was np.float64(" in said
    assert "at [0] in the member" in said
    assert copy.files() == before


def test_another_processor_needs_the_older_code_to_compare_with(copy):
    commit = copy.git("rev-parse", "HEAD")
    copy.edit(*RENAMED)
    copy.git("commit", "-qam", "second")
    before = copy.files()
    assert "nothing was stamped" in copy.call("restamp", "sums", "--verify", "1", code=1)
    said = copy.call("restamp", "sums", "--verify", "1", "--against", "HEAD", code=1)
    assert said.endswith("name the commit it comes from\n")
    assert "but the stored run" in said
    assert "there is no commit 'nowhere'" in copy.call(
        "restamp", "sums", "--verify", "1", "--against", "nowhere", code=1
    )
    assert copy.files() == before
    copy.call("restamp", "sums", "--verify", "2", "--against", commit, "--profile", "smoke", "--with", "steps=2")
    for facts in copy.provenance():
        (entry,) = facts["restamped"]
        assert (entry["against"], entry["profile"], entry["with"]) == (commit[:12], "smoke", ["steps=2"])
        assert len(entry["members"]) == 2
    # what has been shown to be equal counts from then on
    copy.edit(("total_of", "sum_of"))
    copy.call("restamp", "sums", "--verify", "1", "--against", commit)
    assert [len(facts["restamped"]) for facts in copy.provenance()] == [2, 2, 2]


def test_a_difference_from_the_older_code_is_found(copy):
    before = copy.files()
    copy.edit(*RENAMED, ONE_BIT)
    said = copy.call("restamp", "sums", "--verify", "1", "--against", "HEAD", "--profile", "smoke", code=1)
    assert "nothing was stamped: the scalar 'last' was" in said
    copy.edit(("np.cumsum(steps)", "np.cumsumm(steps)"))
    said = copy.call("restamp", "sums", "--verify", "1", "--against", "HEAD", code=1)
    assert "nothing was stamped: the members could not be run (AttributeError: module 'numpy' has no" in said
    assert copy.files() == before


@pytest.mark.parametrize(
    ("words", "sentence", "code"),
    [
        (["--verify", "1", "--profile", "smoke"], "--profile and --with need --against", 1),
        (["--verify", "0"], "must be a whole number of 1 or more, not '0'", 2),
        (["--verify", "1", "--against", "HEAD", "--with", "step=1"], "unknown spec field 'step' (did you mean", 1),
        (["--verify", "1", "--against", "HEAD", "--with", "steps"], "--with takes NAME=VALUE, not 'steps'", 1),
    ],
)
def test_bad_arguments_are_one_sentence(copy, words, sentence, code):
    copy.edit(*RENAMED)
    assert sentence in copy.call("restamp", "sums", *words, code=code)
