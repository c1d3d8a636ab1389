"""The package without its repository: what a notebook on Colab, or `pip install`, has."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, run_book


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """An empty folder, and a home of one's own."""
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("IMPLICIT_RANK_RESULTS", "IMPLICIT_RANK_DATA", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def python(folder, package, code):
    environment = os.environ | {"PYTHONPATH": str(package)}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_the_installed_copy_and_brings_what_chapters_read(installed, outside):
    code = (
        "import implicit_rank; from implicit_rank.store import Store, checkout, library; store = Store(); "
        "print(implicit_rank.__file__, checkout(), library(), sum(len(store.select(e)) for e in store.experiments()))"
    )
    file, checkout, library, count = python(outside, installed, code).split()
    assert file.startswith(str(installed))
    assert checkout == "None"
    assert library == str(installed / "implicit_rank" / "shelf")
    assert int(count) == len(list((ROOT / "book" / "results").glob("*/*.json")))


def test_the_ledger_is_the_repositorys(installed, outside):
    here, there = run_book(ROOT, "claims"), run_book(outside, "claims", package=installed)
    assert there == here
    said = run_book(outside, "claims", "--write", package=installed, code=1)
    assert said.startswith("--write brings the verdicts file of a checkout up to date")


def test_the_doctor_and_the_list_of_experiments_work(installed, outside):
    assert "deep_linear" in run_book(outside, "run", package=installed)
    said = run_book(outside, "doctor", package=installed)
    assert re.search(r"effective_update\W.*\d+", said), "the runs that were brought are told"
    assert "GiB free on the disk of this folder" in said


def test_commands_of_the_book_say_in_a_sentence_what_they_need(installed, outside):
    for words in (["book"], ["pair"], ["notebooks", "x"]):
        said = run_book(outside, *words, package=installed, code=1)
        assert re.fullmatch(r"no book found: .+\n", said), said


def test_runs_go_into_the_users_folder_and_count_beside_those_that_were_brought(installed, outside):
    said = run_book(outside, "run", "effective_update", "--profile", "smoke", package=installed)
    assert re.search(r"Stored \d+ members? in", said)
    stored = list((outside.parent / "home").rglob("effective_update/*.json"))
    assert stored
    assert not list((installed / "implicit_rank" / "shelf").rglob("*smoke*"))
    again = run_book(outside, "run", "effective_update", "--profile", "smoke", package=installed)
    assert "Nothing to run." in again
    # what the package brought is there too: nothing of the paper's size is missing
    assert "Nothing to run." in run_book(outside, "run", "effective_update", "--profile", "paper", package=installed)


def test_a_run_of_ones_own_is_read_before_the_one_that_was_brought(installed, outside, tmp_path):
    brought = sorted((installed / "implicit_rank/shelf/book/results/effective_update").glob("*.json"))[0]
    record = json.loads(brought.read_text(encoding="utf-8"))
    code = (
        "import json, sys; from implicit_rank.experiments import register; from implicit_rank.store import Store; "
        f"spec = register.experiment('effective_update').spec.from_dict(json.loads({json.dumps(record['spec'])!r})); "
        "store = Store(); before = store.load(spec); store.save(spec, {'mine': 1.0}); after = store.load(spec); "
        "print(before.path.parent.parent, after.scalars, len(store.select('effective_update')), "
        "len([r for r in store.select('effective_update') if r.scalars == {'mine': 1.0}]))"
    )
    said = python(outside, installed, code)
    assert said.startswith(str(brought.parent.parent))
    assert said.rstrip().endswith(f"{{'mine': 1.0}} {len(list(brought.parent.glob('*.json')))} 1")
    assert json.loads(brought.read_text(encoding="utf-8")) == record


@pytest.mark.chapters
def test_an_exported_notebook_runs_in_an_empty_folder(installed, outside):
    """All chapters ran with the installed package (see `executed_book`); one as a person would run it."""
    shutil.copy(ROOT / "book" / "02_greedy_rank.ipynb", outside)
    command = [sys.executable, "-m", "papermill", "02_greedy_rank.ipynb", "out.ipynb", "-p", "profile", "smoke"]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=outside, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    notebook = (outside / "out.ipynb").read_text(encoding="utf-8")
    assert "claims tested here" in notebook
    assert "No stored run" not in notebook
