"""The sub-command `sweep`: `run` in separate ensembles, on several processes or machines if wanted."""

import argparse
import time

from implicit_rank.book import members
from implicit_rank.book.layout import BookError
from implicit_rank.book.progress import Progress
from implicit_rank.parameters import shown


def add_to(commands) -> None:
    """Register `sweep` on an argparse sub-parser collection."""
    sweep = commands.add_parser("sweep", help="the same in ensembles, on several processes or machines")
    members.add_arguments(sweep)
    where = sweep.add_mutually_exclusive_group()
    where.add_argument("--scheduler", metavar="ADDRESS", help="a running Dask scheduler, such as tcp://host:8786")
    where.add_argument(
        "--scheduler-file",
        type=members.place,
        metavar="FILE",
        help="the same, by the file that a scheduler has written",
    )
    where.add_argument("--workers", type=positive, metavar="N", help="so many processes of this machine")
    sweep.add_argument("--batch", type=positive, metavar="N", help="at most so many members in one ensemble")
    sweep.add_argument(
        "--retries", type=int, default=3, metavar="N", help="deaths of workers that one ensemble survives (default: 3)"
    )
    sweep.set_defaults(command=sweep_command)


def positive(text: str) -> int:
    """A whole number of 1 or more; argparse shows the message of a refused one."""
    if not (text.isdigit() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more, not {shown(text)}")
    return int(text)


def sweep_command(args: argparse.Namespace) -> int:
    from implicit_rank.parameters import resolve_device
    from implicit_rank.store import StoreError
    from implicit_rank.sweep import SweepError, sweep

    if args.experiment is None:
        members.list_experiments()
        return 0
    scheduler = args.scheduler
    if args.scheduler_file is not None:
        from implicit_rank.sweep.cluster import scheduler_in

        try:
            scheduler = scheduler_in(args.scheduler_file)
        except SweepError as error:
            raise BookError(str(error)) from error
    device = args.device if scheduler else str(resolve_device(args.device))
    where = f"on {device}" + (f" of the workers at {scheduler}" if scheduler else "")
    where += f" in {args.workers} processes" if args.workers else ""
    plan = members.prepare(args, device, where, args.workers or 1)
    if plan is None:
        return 0
    members.one_thread(device)
    begun, saved = time.monotonic(), []
    try:
        with Progress() as progress:
            swept = sweep(
                plan.todo,
                scheduler=scheduler,
                workers=args.workers,
                device=device,
                store=plan.store,
                progress=progress,
                on_done=saved.append,
                retries=args.retries,
                batch=args.batch,
                force=True,
            )
    except KeyboardInterrupt:
        print(f"\nInterrupted: {len(saved)} of {len(plan.todo)} are stored; the same command goes on from there.")
        return 130
    except (StoreError, SweepError) as error:
        before = f" ({len(saved)} of {len(plan.todo)} members were stored before.)" if saved else ""
        raise BookError(f"{error}{before}") from error
    print(f"\nStored {members.counted(len(swept.stored), 'member')} in {time.monotonic() - begun:.0f} s.")
    for why in dict.fromkeys(swept.failed.values()):
        failed = [spec for spec, reason in swept.failed.items() if reason == why]
        print(f"{len(failed)} failed: {why}")
        for line in members.differences(failed):
            print(f"  {line}")
    return 1 if swept.failed else 0
