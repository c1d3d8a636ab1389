"""What `run` and `sweep` share: which members are wanted, which are missing, and what is said before they start."""

import argparse
import dataclasses
import os
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from implicit_rank.book.layout import PROFILES, BookError
from implicit_rank.book.progress import describe
from implicit_rank.experiments import register
from implicit_rank.experiments.register import Experiment
from implicit_rank.folders import expanded
from implicit_rank.parameters import LARGEST_SEED, shown

_LISTED = 8  # values of one field that are written out


@dataclasses.dataclass
class Plan:
    """The wanted members of one experiment, and those of them that are to be run."""

    experiment: Experiment
    store: Any
    wanted: list
    todo: list


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options which say what is to be run, and where results go."""
    parser.add_argument("experiment", nargs="?", help="its name; without one, the experiments are listed")
    parser.add_argument("--profile", default="quick", choices=PROFILES, help="how large the runs are (default: quick)")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="these seeds (default: the profile's own)")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or auto")
    parser.add_argument("--part", type=part, metavar="I/N", help="the I-th of N equal shares, for several machines")
    parser.add_argument("--force", action="store_true", help="run again what is stored")
    parser.add_argument("--stale", action="store_true", help="run again what was stored by older code")
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on from the checkpoints of an interrupted run (default), or discard them",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be run, how big and how long it is")
    parser.add_argument("--results", type=place, metavar="FOLDER", help="where runs are stored (default: book/results)")


def part(text: str) -> tuple[int, int]:
    """ "2/3" as (2, 3); argparse shows the message of a refused one."""
    left, slash, right = text.partition("/")
    if not (slash and left.isdigit() and right.isdigit() and 1 <= int(left) <= int(right)):
        raise argparse.ArgumentTypeError(f"must be I/N with 1 <= I <= N, such as 1/2, not {shown(text)}")
    return int(left), int(right)


def place(text: str) -> Path:
    """The file or folder that an option names, "~" written out; argparse shows the message of a refused one."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must name a place, not be empty")
    try:
        return expanded(text)
    except FileNotFoundError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def load(name: str) -> Experiment:
    """The experiment of a name; BookError names the closest and all allowed ones."""
    try:
        return register.experiment(name)
    except ValueError as error:
        raise BookError(str(error)) from error


def list_experiments() -> None:
    """Print every experiment's name and the first line of its docstring."""
    for name in register.names():
        print(f"{name:24} {register.about(name)}")


def wanted(experiment: Experiment, profile: str, seeds: list[int] | None) -> list:
    """The members of a profile; `seeds`, when given, takes the place of the profile's own."""
    if seeds is None:
        return list(experiment.presets(profile))
    seeds = tuple(dict.fromkeys(seeds))
    wrong = [seed for seed in seeds if not 0 <= seed <= LARGEST_SEED]
    if wrong:
        raise BookError(f"seeds must be from 0 to {LARGEST_SEED}, not {shown(wrong[0])}")
    return list(experiment.presets(profile, seeds=seeds))


def share(specs: list, which: tuple[int, int] | None) -> list:
    """Every N-th member beginning with the I-th, so that dear and cheap ones mix."""
    return specs if which is None else specs[which[0] - 1 :: which[1]]


def estimate(plan: Plan, device: str) -> float | None:
    """Seconds for one process to run `plan.todo`, or None.

    For each member it is the longest that a stored one took which differs in its seed alone, on the same kind of
    device (a resumed one was timed in part). For those without such a twin it is what the experiment's own
    `estimate(specs, device)` says; where that says nothing, what stored members of the profile took on average.
    """
    kind = device.partition(":")[0]
    longest: dict[str, float] = {}
    for record in plan.store.scan(plan.todo[0].experiment)[0]:
        seconds, where = record.provenance.get("seconds"), str(record.provenance.get("device") or kind)
        if seconds and record.profile == plan.todo[0].profile and (kind == "auto" or where.startswith(kind)):
            key = _but_for_the_seed(record.spec)
            longest[key] = max(seconds, longest.get(key, 0.0))
    keys = [_but_for_the_seed(spec.to_dict()) for spec in plan.todo]
    rest = [spec for spec, key in zip(plan.todo, keys, strict=True) if key not in longest]
    guess = 0.0
    if rest:
        try:
            guess = plan.experiment.estimate and plan.experiment.estimate(rest, device)
        except (ValueError, OSError):  # the data are not there, say: the run itself will tell
            guess = None
        if guess is None and longest:
            guess = statistics.mean(longest.values()) * len(rest)
    return None if guess is None else sum(longest.get(key, 0.0) for key in keys) + guess


def _but_for_the_seed(fields: dict) -> str:
    from implicit_rank.store import canonical_json

    return canonical_json({name: value for name, value in fields.items() if name != "seed"})


def prepare(args: argparse.Namespace, device: str, where: str, processes: int = 1) -> Plan | None:
    """Find out what is to be run and print it; None when there is nothing to do or it is a dry run.

    `device` is what the members run on, `where` the same in words, `processes` how many share the work.
    """
    from implicit_rank.store import Store, discard_checkpoints, unfinished_ensembles

    experiment, store = load(args.experiment), Store(args.results)
    specs = share(wanted(experiment, args.profile, args.seeds), args.part)
    plan = Plan(experiment, store, specs, specs if args.force else store.missing(specs, stale=args.stale))
    outdated = 0 if args.force or args.stale else len(store.missing(specs, stale=True)) - len(plan.todo)
    kept = len(specs) - len(store.missing(specs))
    print(f"{experiment.name}, profile {args.profile}: {counted(len(specs), 'member')}, {kept} of them stored.")
    if outdated:
        print(f"{outdated} of the stored ones are of older code; --stale runs them again.")
    if not plan.todo:
        print("Nothing to run.")
        return None
    seconds = estimate(plan, device)
    how_long = describe(seconds and seconds / processes)
    print(f"To run {where}: {counted(len(plan.todo), 'member')}, {how_long}; into {store.root}.")
    for line in [*differences(plan.todo), *sizes(experiment, plan.todo)]:
        print(f"  {line}")
    begun = unfinished_ensembles(plan.todo)
    if begun and args.resume:
        print(f"{sum(map(len, begun))} of them go on from {counted(len(begun), 'checkpoint')} (--no-resume discards).")
    if args.dry_run:
        names = [line.partition(":")[0] for line in differences(plan.todo)]
        for spec in plan.todo:
            print("    " + ", ".join(f"{name} {_value(getattr(spec, name))}" for name in names))
        return None
    if not args.resume and (count := discard_checkpoints(plan.todo)):
        print(f"Discarded {counted(count, 'checkpoint')}.")
    store.check_writable(plan.todo)
    return plan


def differences(specs: list) -> list[str]:
    """A line for each field in which members differ, and the seeds: "depth: 2, 4, 8" or "start: he (6), none (3)"."""

    def order(value) -> tuple:
        return not isinstance(value, (bool, int, float)), str(type(value)), value

    lines = []
    for name in (field.name for field in dataclasses.fields(specs[0])):
        counts = Counter(getattr(spec, name) for spec in specs)
        if len(counts) == 1 and name != "seed":
            continue
        shown = [_value(v) + (f" ({counts[v]})" if isinstance(v, str) else "") for v in sorted(counts, key=order)]
        if len(shown) > _LISTED:
            shown = [*shown[: _LISTED - 3], "...", f"{shown[-1]} ({len(counts)} values)"]
        lines.append(f"{name}: {', '.join(shown)}")
    return lines


def sizes(experiment: Experiment, specs: list) -> list[str]:
    """One line from the experiment's `size(specs)`, if it has one: numbers by name; "bytes..." are in bytes."""
    if experiment.size is None:
        return []
    from implicit_rank.sweep import in_bytes

    try:
        facts = experiment.size(specs)
    except (ValueError, OSError) as error:  # the data are not there, say: the rest is still worth knowing
        return [f"size: unknown ({error})"]
    words = []
    for name, value in facts.items():
        if name.startswith("bytes"):
            words.append(in_bytes(value) + name.removeprefix("bytes"))
        else:
            words.append(f"{value:,} {name}" if isinstance(value, int) else f"{_value(value)} {name}")
    return [f"size: {', '.join(words)}"]


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + " ".join(map(_value, value)) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)


def counted(count: int, noun: str) -> str:
    """ "1 member", "2 members"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def one_thread(device: str) -> None:
    """Compute on one thread of a CPU, unless the user has said how many (OMP_NUM_THREADS).

    Our matrices are small: two threads are slower than one on a quiet machine already (50 s against 37 for the quick
    members of irmae_images on two cores), and on a busy one they wait for each other.
    """
    if device == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(1)
