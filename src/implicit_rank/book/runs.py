"""The sub-command `run`: bring the stored runs of one experiment up to a profile, in this process."""

import argparse
import time

from implicit_rank.book import members
from implicit_rank.book.layout import BookError
from implicit_rank.book.progress import Progress
from implicit_rank.experiments.kit.shares import weighted


def add_to(commands) -> None:
    """Register `run` on an argparse sub-parser collection."""
    run = commands.add_parser("run", help="run an experiment's missing members into the store")
    members.add_arguments(run)
    run.set_defaults(command=run_command)


def run_command(args: argparse.Namespace) -> int:
    from implicit_rank.parameters import resolve_device
    from implicit_rank.store import StoreError
    from implicit_rank.sweep import facts
    from implicit_rank.sweep.ensembles import portions
    from implicit_rank.sweep.work import settled

    if args.experiment is None:
        members.list_experiments()
        return 0
    device = str(resolve_device(args.device))
    plan = members.prepare(args, device, f"on {device}")
    if plan is None:
        return 0
    settled(device)
    members.one_thread(device)
    begun, saved = time.monotonic(), []

    def keep(result) -> None:
        saved.append(plan.store.save(result.spec, result.scalars, result.arrays, facts(result, device)))

    try:
        with Progress() as progress:
            parts = portions(plan.experiment, plan.todo, device)
            for part, within in weighted(parts, plan.experiment.cost or (lambda spec: 1.0), progress):
                plan.experiment.run(part, device=device, progress=within, on_done=keep)
    except KeyboardInterrupt:
        print(f"\nInterrupted: {len(saved)} of {len(plan.todo)} are stored; the same command goes on from there.")
        return 130
    except StoreError as error:
        raise BookError(f"{error} ({len(saved)} of {len(plan.todo)} members were stored before.)") from error
    print(f"\nStored {members.counted(len(saved), 'member')} in {time.monotonic() - begun:.0f} s.")
    return 0
