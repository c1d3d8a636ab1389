"""The sub-commands `gpu` and `import`: the runs that want a graphics card, in minutes of one, and their way home.

For a borrowed machine on which only this repository and a few carried files are: nothing is fetched, nothing of the
book's tools is needed, what was finished lies in one folder of zip files after every ensemble, and a second call goes
on where the first one stopped.
"""

import argparse
import os
import shutil
import time
from pathlib import Path

from implicit_rank.book import members
from implicit_rank.book.layout import PROFILES, BookError
from implicit_rank.parameters import shown

CARRIED = "carried"  # folder of the repository that git ignores: data sets that travel with it
LARGEST = 15_000_000  # bytes of one archive
PLAN = (  # experiment, seeds of one step, settings that its members have, seconds of one member's evaluation
    *(("known_dimension_full", (seed,), {"data": "shapes-official", "l1": 0.0, "l2": 0.0}, 15) for seed in (0, 1, 2)),
    ("irmae_images_gpu", (1, 2), {}, 100),
    *(("greedy_images_gpu", (seed,), {}, 40) for seed in (0, 1, 2)),
)


def add_to(commands) -> None:
    """Register `gpu` and `import` on an argparse sub-parser collection."""
    gpu = commands.add_parser("gpu", help="the runs that want a graphics card, for so many minutes")
    gpu.add_argument("--minutes", type=minutes, default=9.0, metavar="M", help="when to stop (default: 9)")
    gpu.add_argument("--device", default="auto", help="auto (default), cuda or cpu")
    gpu.add_argument("--out", type=members.place, metavar="FOLDER", help="where the archives go (default: build/gpu)")
    gpu.add_argument("--profile", default="paper", choices=PROFILES, help="smoke tries the plan on a CPU")
    gpu.add_argument("--steps", type=int, default=200, metavar="N", help="steps that are timed first (default: 200)")
    gpu.add_argument("--partly", action="store_true", help="begin what does not fit, too, and leave its checkpoint")
    gpu.add_argument("--carry", action="store_true", help=f"only copy MNIST's files into {CARRIED}/, to take along")
    gpu.set_defaults(command=gpu_command)
    taking = commands.add_parser("import", help="take the runs of archives that another machine wrote into the store")
    taking.add_argument("archives", nargs="+", type=members.place, metavar="ZIP")
    taking.add_argument("--replace", action="store_true", help="also runs that are stored here with other content")
    taking.add_argument("--results", type=members.place, metavar="FOLDER", help="into which store (book/results)")
    taking.set_defaults(command=import_command)


def minutes(text: str) -> float:
    """A number of minutes above 0; argparse shows the message of a refused one."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"must be a number of minutes above 0, not {shown(text)}")
    return value


def plan(profile: str) -> list:
    """The plan's groups of members in the order of their importance."""
    from implicit_rank.experiments import register
    from implicit_rank.sweep.timed import Group

    groups = []
    for name, seeds, settings, evaluation in PLAN:
        planned = register.experiment(name).presets(profile, seeds=seeds)
        specs = [spec for spec in planned if all(getattr(spec, key) == value for key, value in settings.items())]
        if name == "known_dimension_full":
            specs.sort(key=lambda spec: (2, 4, 0).index(spec.depth))
        groups.append(Group(tuple(specs), evaluation))
    return groups


def gpu_command(args: argparse.Namespace, clock=time.monotonic) -> int:
    """Run the plan until the time is up; the archives in the folder hold all that was ever finished here."""
    began = clock()
    from implicit_rank.parameters import resolve_device
    from implicit_rank.store import Store, StoreError, checkout, pack_runs
    from implicit_rank.sweep.timed import until

    top = checkout() or Path.cwd()
    if args.carry:
        return carry(top)
    if args.steps < 1:
        raise BookError("--steps must be 1 or more")
    if "IMPLICIT_RANK_DATA" not in os.environ and (top / CARRIED).is_dir():
        os.environ["IMPLICIT_RANK_DATA"] = str(top / CARRIED)
    device = str(resolve_device(args.device))
    work, out = Store(top / "build" / "gpu" / args.profile), args.out or top / "build" / "gpu"
    members.one_thread(device)

    def pack() -> list[Path]:
        names = work.experiments()
        return pack_runs([run for name in names for run in work.scan(name)[0]], out, most=LARGEST)

    def say(line: str) -> None:
        print(f"[{clock() - began:4.0f} s] {line}", flush=True)

    say(f"{args.minutes:g} min on {named(device)}; data are looked for in {_data_root()}")
    try:
        pack()
        done = until(
            plan(args.profile),
            60 * args.minutes - (clock() - began),
            device=device,
            store=work,
            others=[Store()],
            steps=args.steps,
            partly=args.partly,
            clock=clock,
            say=say,
            after=pack,
        )
        archives = pack()
    except StoreError as error:
        raise BookError(str(error)) from error
    except KeyboardInterrupt:
        pack()
        raise
    say(f"{len(done.stored)} stored, {len(done.left)} left, {len(done.failed)} failed.")
    for path in archives:
        print(f"  {path} ({path.stat().st_size:,} bytes): python -m implicit_rank import {path.name}")
    return 1 if done.failed else 0


def import_command(args: argparse.Namespace) -> int:
    """Take archives into the store and say what was new, the same, or of other code."""
    from implicit_rank.experiments import register
    from implicit_rank.store import Store, StoreError, take_in

    def check(record) -> None:
        register.experiment(record.experiment).spec.from_dict(record.spec)

    store = Store(args.results)
    try:
        taken = take_in(args.archives, store, replace=args.replace, check=check)
    except StoreError as error:
        raise BookError(str(error)) from error
    stale = [record for record in [*taken.added, *taken.replaced] if record.stale]
    words = [f"{members.counted(len(taken.added), 'run')} new in {store.root}"]
    words += [f"{len(taken.replaced)} in the place of another"] if taken.replaced else []
    words += [f"{len(taken.same)} there already"] if taken.same else []
    print(", ".join(words) + ".")
    if stale:
        print(f"{members.counted(len(stale), 'run')} of them come from other code than the present: see `claims`.")
    return 0


def carry(top: Path) -> int:
    """Copy MNIST's four files to where they travel with the repository, and say how large all of it is."""
    from implicit_rank.data.archives import MD5, data_root, find_archive, read_archive

    folder = top / CARRIED / "MNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    for name in MD5:
        read_archive(name)  # what is not the published file is refused
        source = find_archive(name, data_root())
        if source.resolve() != (folder / source.name).resolve():
            shutil.copyfile(source, folder / source.name)
    total = sum(path.stat().st_size for path in (top / CARRIED).rglob("*") if path.is_file())
    print(f"{top / CARRIED} holds {total / 2**20:.1f} MiB: take it along, and `python -m implicit_rank gpu` finds it.")
    return 0


def named(device: str) -> str:
    """A device in words."""
    if not device.startswith("cuda"):
        return device
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)}, PyTorch {torch.__version__})"


def _data_root() -> Path:
    from implicit_rank.data import data_root

    return data_root()
