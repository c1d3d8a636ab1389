"""Chapters run side by side, each in a process of its own."""

import itertools
import json
import os
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from conftest import ROOT, run_book

from implicit_rank.book import environment, running
from implicit_rank.book.layout import Layout
from implicit_rank.book.pairing import KERNELSPEC
from implicit_rank.book.running import Job

CELL = """\
import json, os, time
begun = time.time()
open(name + ".begun", "w").close()
end = time.monotonic() + 300
while partner and not os.path.exists(partner + ".begun"):
    assert time.monotonic() < end, "the other one never began"
    time.sleep(0.02)
with open(name + ".json", "w") as stream:
    json.dump([begun, time.time(), os.environ.get("OMP_NUM_THREADS"), os.getpid()], stream)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs notebooks that wait for their partner, on as many cores as said; returns what each wrote down, by name."""
    layout = Layout(tmp_path)
    layout.book.mkdir()
    kernel = environment.prepare(layout)
    for name in running.THREADS:
        monkeypatch.delenv(name, raising=False)

    def run(jobs, cores):
        monkeypatch.setattr(running, "cores", lambda: cores)
        begun, ended = [], []
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
        notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})
        parameters = nbformat.v4.new_code_cell("name, partner = '', ''", metadata={"tags": ["parameters"]})
        notebook.cells.insert(0, parameters)
        running.run_all(
            layout,
            [Job(name, {"name": name, "partner": partner}, seconds) for name, partner, seconds in jobs],
            {name: notebook for name, _, _ in jobs},
            kernel,
            lambda job: begun.append(job.chapter),
            lambda job, seconds, done, error: ended.append((job.chapter, seconds, done is not None, error)),
        )
        assert all(error is None for *_, error in ended), ended
        written = {name: json.loads((layout.book / f"{name}.json").read_text()) for name, _, _ in jobs}
        return begun, ended, written

    return run


def test_as_many_as_there_are_cores_run_at_a_time_each_on_one_thread(run):
    _, ended, written = run([("a", "b", 1.0), ("b", "a", 2.0)], cores=2)  # each ends only once the other has begun
    (_, _, a_threads, a_process), (_, _, b_threads, b_process) = written["a"], written["b"]
    assert a_threads == b_threads == "1"
    assert a_process != b_process
    assert sorted(ended[i][0] for i in (0, 1)) == ["a", "b"]
    assert all(good and error is None for _, _, good, error in ended)


def test_the_longest_begins_and_what_never_ran_counts_as_long(run):
    begun, _, written = run([("short", "", 1.0), ("long", "", 9.0), ("new", "", float("inf"))], cores=1)
    assert begun == ["new", "long", "short"]
    ends = [written[name][:2] for name in begun]
    assert all(earlier[1] < later[0] for earlier, later in itertools.pairwise(ends))


def test_one_chapter_alone_has_all_cores(run):
    assert run([("alone", "", 1.0)], cores=4)[2]["alone"][2] == "4"


def test_threads_that_a_person_set_are_kept(run, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert run([("alone", "", 1.0)], cores=2)[2]["alone"][2] == "3"


def test_a_process_that_dies_is_said_so_and_the_other_goes_on(small_book):
    text = (small_book / "book" / "01_tiny.md").read_text(encoding="utf-8")
    (small_book / "book" / "02_other.md").write_text(text.replace("-one", "-two").replace("eq-", "eq-o"), "utf-8")
    broken = "import os; os.kill(os.getppid(), 9); import time; time.sleep(900); open('slept', 'w')"
    broken = text.replace("assert depth > 0", broken)
    (small_book / "book" / "01_tiny.md").write_text(broken, encoding="utf-8")
    said = run_book(small_book, "book", "--profile", "smoke", "--execute-only", "--force", code=1)
    assert "01_tiny: the process that ran it ended with -9" in said
    assert "02_other: done" in said
    assert not (small_book / "book" / "slept").exists()  # nobody waited for the kernel


def test_chapters_end_with_a_command_that_is_killed(small_book):
    source, mark = small_book / "book" / "01_tiny.md", small_book / "started"
    text = source.read_text(encoding="utf-8")
    waiting = f"import pathlib, time; pathlib.Path({str(mark)!r}).touch(); time.sleep(900)"
    source.write_text(text.replace("assert depth > 0", waiting), encoding="utf-8")
    command = [sys.executable, "-m", "implicit_rank", "book", "--profile", "smoke", "--execute-only"]
    process = subprocess.Popen(
        command, cwd=small_book, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, stdout=subprocess.DEVNULL
    )
    with process:
        end = time.monotonic() + 300
        while not mark.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    lines = [" ".join(child.cmdline()) for child in children if child.is_running()]
    assert any("implicit_rank.book.running" in line for line in lines)
    assert any("ipykernel_launcher" in line for line in lines)
    assert psutil.wait_procs(children, timeout=120)[1] == []
