"""Kills of `book --execute-only`: the command, the process of its chapter, the kernel."""

import contextlib
import math
import re
import time

import nbformat
import psutil
from conftest import ROOT, copy_book

from killing.processes import ended, outlived, relatives, started, tracebacks, wait_until

COMMAND = ("implicit_rank", "book", "--profile", "smoke", "--execute-only")
TARGETS = {"command": "", "chapter": "implicit_rank.book.running", "kernel": "ipykernel_launcher"}
OUTPUT = "build/executed/smoke/01_tiny.ipynb"
CHAPTER = "book/01_tiny.md"
LINE = 'glue("runs", 3)'


class Book:
    """A copy of the small book in a folder, executed once; each kill is of a chapter that says another number."""

    def __init__(self, folder, say):
        self.folder, self.say, self.kills, self.problems = folder, say, 0, []
        folder.mkdir(parents=True)
        copy_book(ROOT / "tests" / "fixture_book", folder)
        self.text, self.mark = (folder / CHAPTER).read_text(encoding="utf-8"), 0
        self.seconds = math.inf
        self.problems += self.execute()
        self.reference = self.outputs()

    def write(self):
        """The chapter with another number to say."""
        self.mark += 1
        text = self.text.replace(LINE, f"{LINE}\nprint('mark', {self.mark})")
        (self.folder / CHAPTER).write_text(text, encoding="utf-8")

    def execute(self):
        """Run the command to its end; what it did not do is a problem."""
        begun = time.monotonic()
        with started(self.folder, *COMMAND) as process:
            code = ended(process)
        self.seconds = min(self.seconds, time.monotonic() - begun)
        return [] if code == 0 else [f"the command ended with {code}"]

    def outputs(self):
        """What each code cell of the executed notebook shows, without the number; ValueError when it is not whole."""
        notebook = nbformat.read(self.folder / OUTPUT, 4)
        nbformat.validate(notebook)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        if "implicit_rank" not in notebook.metadata or any(cell.execution_count is None for cell in cells):
            raise ValueError("not executed to its end")
        shown = [[output for output in cell.outputs if output.output_type != "stream"] for cell in cells]
        said = "".join(o.text for cell in cells for o in cell.outputs if o.output_type == "stream")
        data = repr([[output.get("data", output.get("ename")) for output in outputs] for outputs in shown])
        return re.sub("0x[0-9a-f]+", "an address", data), said

    def check(self, mark):
        """The problems of the notebook on the disk, which must say the number `mark`."""
        try:
            shown, said = self.outputs()
        except (OSError, ValueError, nbformat.ValidationError) as error:
            return [f"the executed notebook is damaged: {type(error).__name__}: {str(error)[:100]}"]
        problems = [] if shown == self.reference[0] else ["the notebook shows something else than undisturbed"]
        return problems + ([] if said.strip() == f"mark {mark}" else [f"it says {said.strip()!r}, not 'mark {mark}'"])


def book(trial, kills, rng):
    """Kill what executes the chapter, and let the same command, or the next reader's, go on."""
    trial.write()
    trial.problems += trial.execute() + trial.check(trial.mark)
    for _ in range(kills):
        target, delay = rng.choice(sorted(TARGETS)), rng.uniform(0, trial.seconds)
        edited = rng.random() < 0.5
        old, old_mark = (trial.folder / OUTPUT).read_bytes(), trial.mark
        trial.write()
        problems = []
        with started(trial.folder, *COMMAND) as process:
            family, killed = kill(process, target, delay)
            code = ended(process) if target != "command" or not killed else None
        new = (trial.folder / OUTPUT).read_bytes() != old
        problems += trial.check(trial.mark if new else old_mark)
        # what is killed when its work is done, as a kernel that is being shut down, may be missed by nobody
        if code is not None and code != (0 if new else 1):
            problems.append(f"the command ended with {code} and left {'new' if new else 'old'} outputs")
        if edited:  # a reader changes the chapter at once: what the dead command began must not get into its outputs
            trial.write()
        problems += trial.execute() + trial.check(trial.mark) + outlived(family) + trial.check(trial.mark)
        problems += tracebacks(trial.folder)
        trial.kills += killed
        trial.problems += problems
        words = f"{target} killed {delay:.3f} s after its start" if killed else f"{target} ended before {delay:.3f} s"
        trial.say(f"fixture book: {words}" + "".join(f"\n    PROBLEM {p}" for p in problems))


def kill(process, target, delay):
    """Kill the target so long after the start, or as soon as it is there: (what was alive of it, whether)."""
    pause = time.monotonic() + delay
    wait_until(lambda: time.monotonic() >= pause or process.poll() is not None)
    found = []
    if target != "command":
        wait_until(lambda: relatives(process, TARGETS[target]) or process.poll() is not None)
        found = relatives(process, TARGETS[target])
    family = relatives(process)
    if process.poll() is not None or (target != "command" and not found):
        return family, False
    with contextlib.suppress(psutil.NoSuchProcess):
        (process if target == "command" else found[0]).kill()
    if target == "command":
        process.wait()
    return family, True
