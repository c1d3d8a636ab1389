"""Kill -9 whatever runs, at random moments, and see that nothing is lost, doubled, damaged or computed otherwise.

`python tests/kill_anything.py --kills 50 --seed 0` kills `run`, `sweep --workers 2` (the command; one of its worker
processes), `sweep --scheduler` (the command, the scheduler or the worker of a cluster brought up on 127.0.0.1) and
`book --execute-only` (the command, the process of its chapter or the kernel). What was killed goes on with the same
command, to the end, and is then held against an undisturbed run, bit by bit. Everything lies in a temporary folder.
The seed gives the same kinds, targets and moments; a moment counts files and adds milliseconds, so where exactly a
process stands then is the machine's affair. Exit code 1 when there was any problem.
"""

import argparse
import functools
import itertools
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from killing import books, runs
from killing.processes import ended, started

KINDS = {"run": runs.run, "sweep": runs.sweep, "worker": runs.worker, "cluster": runs.cluster, "book": books.book}
IN_A_ROW = 5  # kills of one command before it may come to its end
ROUNDS = 200  # of a kind, at most: a command may end before its moment comes


def undisturbed(folder, members, experiment):
    """The store of an experiment's members that nobody disturbs."""
    place = folder / "undisturbed" / experiment
    place.mkdir(parents=True)
    words = (experiment, "--profile", "smoke", *members, "--results", str(place / "results"))
    with started(place, "implicit_rank", "run", *words) as process:
        if ended(process) != 0:
            raise RuntimeError(f"{experiment} does not run: {(place / 'log').read_text(encoding='utf-8')[-500:]}")
    return place / "results"


def kill_kind(kind, kills, seed, folder, members, reference, say):
    """So many kills of one kind: how many there were, how many of them in rounds without a problem, all problems."""
    rng, done, good, problems = random.Random(f"{kind} {seed}"), 0, 0, []
    if kind == "book":
        trial = books.Book(folder / kind, say)
    for number in range(ROUNDS):
        wanted = min(kills - done, IN_A_ROW)
        if kind == "book":
            trial.kills, trial.problems = 0, trial.problems if not number else []
        else:
            experiment = list(runs.EXPERIMENTS)[number % len(runs.EXPERIMENTS)]
            trial = runs.Trial(folder / f"{kind}-{number}", experiment, members, reference, say)
        KINDS[kind](trial, wanted, rng)
        done, good = done + trial.kills, good + (trial.kills if not trial.problems else 0)
        problems += trial.problems
        if done >= kills:
            return done, good, problems
    return done, good, [*problems, f"only {done} of {kills} kills came in time"]


def main(arguments=None):
    """Kill, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of all kinds together (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of kinds, targets and moments (default: 0)")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="these kinds (default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of the members that are run (default: 0)")
    args = parser.parse_args(arguments)
    if args.kills < 1:
        parser.error(f"--kills must be 1 or more, not {args.kills}")
    shares = dict.fromkeys(args.only, 0)
    for kind in itertools.islice(itertools.cycle(shares), args.kills):
        shares[kind] += 1
    table, members = {}, ["--seeds", *map(str, args.seeds)]
    with tempfile.TemporaryDirectory(prefix="kill-anything-", ignore_cleanup_errors=True) as folder:
        reference = functools.cache(functools.partial(undisturbed, Path(folder), members))
        for kind, share in shares.items():

            def say(line, kind=kind):
                print(f"{kind:8} {line}", flush=True)

            if share:
                table[kind] = kill_kind(kind, share, args.seed, Path(folder), members, reference, say)
    print(f"\n{'kind':8} {'kills':>5} {'resumed bit-equal':>17} {'problems':>8}")
    for kind, (kills, good, problems) in table.items():
        print(f"{kind:8} {kills:5} {good:17} {len(problems):8}")
    return int(any(problems for *_, problems in table.values()))


if __name__ == "__main__":
    sys.exit(main())
