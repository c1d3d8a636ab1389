"""The sub-command `run`: bring the stored runs of one experiment up to a profile."""

import argparse
import importlib
import inspect
import pkgutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from implicit_rank.book.layout import PROFILES, BookError


def add_to(commands) -> None:
    """Register `run` on an argparse sub-parser collection."""
    run = commands.add_parser("run", help="run an experiment's missing members into the store")
    run.add_argument("experiment", nargs="?", help="its name; without one, the experiments are listed")
    run.add_argument("--profile", default="quick", choices=PROFILES, help="how large the runs are (default: quick)")
    run.add_argument("--seeds", nargs="+", type=int, metavar="N", help="only these seeds (default: the profile's own)")
    run.add_argument("--device", default="cpu", help="cpu (default), cuda or auto")
    run.add_argument("--part", type=part, metavar="I/N", help="the I-th of N equal shares, for several machines")
    run.add_argument("--force", action="store_true", help="run again what is stored")
    run.add_argument("--stale", action="store_true", help="run again what was stored by older code")
    run.add_argument("--dry-run", action="store_true", help="only say what would be run")
    run.add_argument("--results", metavar="FOLDER", help="where runs are stored (default: book/results)")
    run.set_defaults(command=run_command)


def part(text: str) -> tuple[int, int]:
    """ "2/3" as (2, 3); argparse shows the message of a refused one."""
    left, slash, right = text.partition("/")
    if not (slash and left.isdigit() and right.isdigit() and 1 <= int(left) <= int(right)):
        raise argparse.ArgumentTypeError(f"must be I/N with 1 <= I <= N, such as 1/2, not {text!r}")
    return int(left), int(right)


def experiments() -> list[str]:
    """The names of all modules of implicit_rank.experiments that have presets, in alphabetical order."""
    from implicit_rank import experiments as package

    names = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
    return sorted(
        n for n in names if {"presets", "run"} <= set(dir(importlib.import_module(f"{package.__name__}.{n}")))
    )


def load(name: str):
    """The module of an experiment; BookError names the closest and all allowed ones."""
    from implicit_rank.parameters import unknown_name

    names = experiments()
    if name not in names:
        raise BookError(unknown_name("experiment", name, names))
    return importlib.import_module(f"implicit_rank.experiments.{name}")


def wanted(module, profile: str, seeds: list[int] | None) -> list:
    """The members of a profile; `seeds`, when given, takes the place of the profile's own."""
    if seeds is None:
        return list(module.presets(profile))
    if any(seed < 0 for seed in seeds):
        raise BookError(f"seeds must be 0 or more, not {min(seeds)}")
    if "seeds" in inspect.signature(module.presets).parameters:
        return list(module.presets(profile, seeds=tuple(seeds)))
    return [spec for spec in module.presets(profile) if spec.seed in seeds]


def share(specs: list, which: tuple[int, int] | None) -> list:
    """Every N-th member beginning with the I-th, so that dear and cheap ones mix."""
    return specs if which is None else specs[which[0] - 1 :: which[1]]


def describe(seconds: float | None) -> str:
    """A duration in words fit for a rough estimate."""
    if seconds is None:
        return "nobody has timed these yet"
    if seconds < 90:
        return f"roughly {max(1, round(seconds))} s"
    return f"roughly {seconds / 60:.0f} min" if seconds < 5400 else f"roughly {seconds / 3600:.1f} h"


def estimate(store, specs: list) -> float | None:
    """Seconds for `specs`, from what stored members of the same profile took; None if there are none."""
    if not specs:
        return 0.0
    known = [r.provenance.get("seconds") for r in store.select(specs[0].experiment) if r.profile == specs[0].profile]
    known = [s for s in known if s]
    return statistics.mean(known) * len(specs) if known else None


def check_writable(folder: Path) -> None:
    """Find out before the first run, not after it, that results cannot be stored (OSError)."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def run_command(args: argparse.Namespace) -> int:
    from implicit_rank.parameters import resolve_device
    from implicit_rank.store import Store, StoreError, provenance

    if args.experiment is None:
        for name in experiments():
            about = (importlib.import_module(f"implicit_rank.experiments.{name}").__doc__ or "").strip().splitlines()
            print(f"{name:20} {about[0] if about else ''}")
        return 0
    module, store = load(args.experiment), Store(args.results)
    specs = share(wanted(module, args.profile, args.seeds), args.part)
    todo = specs if args.force else store.missing(specs, stale=args.stale)
    outdated = 0 if args.force or args.stale else len(store.missing(specs, stale=True)) - len(todo)
    kept = len(specs) - len(todo)
    print(f"{args.experiment}, profile {args.profile}: {len(specs)} members, {kept} of them stored.")
    if outdated:
        print(f"{outdated} of the stored ones are of older code; --stale runs them again.")
    if not todo:
        print("Nothing to run.")
        return 0
    device = str(resolve_device(args.device))
    print(f"To run on {device}: {len(todo)} members, {describe(estimate(store, todo))}; into {store.root}.")
    if args.dry_run:
        for spec in todo:
            print(f"  {spec}")
        return 0
    check_writable(store.root)
    import torch

    torch.set_flush_denormal(True)  # weights that decay below 1e-38 in float32 slow a processor tenfold
    begun, saved = time.monotonic(), []

    def keep(result) -> None:
        extra = {"note": result.note} if getattr(result, "note", None) else {}
        facts = provenance(device, result.seconds, **extra)
        saved.append(store.save(result.spec, result.scalars, result.arrays, facts))

    try:
        module.run(todo, device=device, progress=Progress(begun), on_done=keep)
    except KeyboardInterrupt:
        print(f"\nInterrupted: {len(saved)} of {len(todo)} are stored; the same command goes on from there.")
        return 130
    except StoreError as error:
        raise BookError(f"{error} ({len(saved)} of {len(todo)} members were stored before.)") from error
    print(f"\nStored {len(saved)} members in {time.monotonic() - begun:.0f} s.")
    return 0


class Progress:
    """Called with (share, text): one line rewritten on a terminal, else a line every 30 seconds."""

    def __init__(self, begun: float):
        self.begun, self.shown = begun, 0.0

    def __call__(self, done: float, text: str = "") -> None:
        now, live = time.monotonic(), sys.stdout.isatty()
        if now - self.shown < (0.2 if live else 30) and done < 1:
            return
        self.shown = now
        spent = now - self.begun
        left = f", {describe(spent / done - spent)} left" if 0.01 < done < 1 else ""
        line = f"  {done:4.0%} {text}{left}"
        print(f"\r{line:<100}" if live else line, end="" if live else "\n", flush=True)
