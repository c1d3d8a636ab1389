"""The sub-command `restamp`: runs of older code are fresh again once the present code is shown to compute the same.

A refactoring changes the fingerprint of an experiment's code and makes its stored runs stale, though every number
stays. Instead of running all of them again, some members are, and their arrays and scalars compared bit by bit: with
the stored ones, or, where these come from another kind of processor, with what an earlier commit computes here. Only
if all agree do the experiment's stale runs get the present fingerprint; the old one and what was compared stay in
their provenance.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from implicit_rank.book import members
from implicit_rank.book.commands import parse_parameters
from implicit_rank.book.layout import PROFILES, BookError

_TIMES = re.compile(r"(^|_)seconds?(_|$)")  # scalars that say how long something took
_PACKAGE = Path(__file__).resolve().parents[1]


def add_to(commands) -> None:
    """Register `restamp` on an argparse sub-parser collection."""
    restamp = commands.add_parser("restamp", help="mark runs of older code as fresh where the code computes the same")
    restamp.add_argument("experiment", help="its name")
    restamp.add_argument(
        "--verify", type=number, required=True, metavar="N", help="how many members are run again, the cheapest ones"
    )
    restamp.add_argument("--against", metavar="COMMIT", help="compare with the code of this commit, run here as well")
    restamp.add_argument("--profile", choices=PROFILES, help="run the planned members of this profile, not stored ones")
    restamp.add_argument(
        "--with",
        dest="fields",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the members that are run, such as epochs=1",
    )
    restamp.add_argument("--results", type=members.place, metavar="FOLDER", help="whose runs (default: book/results)")
    restamp.set_defaults(command=restamp_command)


def number(text: str) -> int:
    """A whole number of 1 or more; argparse shows the message of a refused one."""
    if not (text.isdigit() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more, not {text!r}")
    return int(text)


def restamp_command(args: argparse.Namespace) -> int:
    from implicit_rank.store import Store, StoreError

    if (args.profile or args.fields) and not args.against:
        raise BookError("--profile and --with need --against: the members they name are not the stored ones")
    experiment, store = members.load(args.experiment), Store(args.results)
    records, damaged = store.scan(experiment.name)
    if damaged:
        raise BookError(next(iter(damaged.values())))
    stale = [record for record in records if record.stale]
    if not stale:
        print(f"{experiment.name}: none of {members.counted(len(records), 'stored run')} is stale.")
        return 0
    chosen = to_run(experiment, stale, args)
    print(f"{experiment.name}: {len(stale)} of {members.counted(len(records), 'stored run')} are stale.")
    with tempfile.TemporaryDirectory(prefix="implicit-rank-") as scratch:
        evidence = compare(experiment, stale, chosen, args.against, Path(scratch))
    evidence |= {"profile": args.profile} if args.profile else {}
    evidence |= {"with": args.fields} if args.fields else {}
    try:
        for record in stale:
            store.restamp(record, evidence)
    except StoreError as error:
        raise BookError(str(error)) from error
    print(f"All agree bit for bit: {members.counted(len(stale), 'run')} stamped as fresh.")
    return 0


def to_run(experiment, stale: Sequence, args: argparse.Namespace) -> list:
    """The members that are run again: the cheapest stale ones, or those of a profile, with the settings asked for."""
    from implicit_rank.parameters import unknown_name

    if args.profile:
        specs = sorted(experiment.presets(args.profile), key=experiment.cost or (lambda spec: 0))
    else:
        order = sorted(stale, key=lambda record: record.provenance.get("seconds") or float("inf"))
        specs = [experiment.spec(**record.spec) for record in order]
    given = parse_parameters(args.fields, "--with")
    for name in given:
        if name not in experiment.fields:
            raise BookError(unknown_name("spec field", name, experiment.fields))
    specs = dict.fromkeys(experiment.spec(**{**spec.to_dict(), **given}) for spec in specs)
    return list(specs)[: args.verify]


def compare(experiment, stale: Sequence, specs: list, commit: str | None, scratch: Path) -> dict[str, Any]:
    """What was run and found equal, as plain facts; BookError names the first difference."""
    from implicit_rank.store import code_of, provenance, spec_hash

    here = _PACKAGE.parent
    if commit is None:
        print("  stored results", flush=True)
        by_hash = {record.hash: record for record in stale}
        expected = iter([_stored(by_hash[spec_hash(spec)]) for spec in specs])
    else:
        there, commit = extracted(commit, here, scratch / "code")
        code = _run(experiment, [], there, scratch / "print")
        for record in stale:
            known = {record.provenance["fingerprint"], *(old["from"] for old in record.provenance.get("restamped", ()))}
            if code not in known:
                raise BookError(
                    f"the code of {experiment.name} at {commit} has the fingerprint {code}, but the stored run "
                    f"{record.path} was computed by {record.provenance['fingerprint']}; name the commit it comes from"
                )
        print(f"  the code at {commit}", flush=True)
        _run(experiment, specs, there, scratch / "old")
        expected = _results(scratch / "old", len(specs))
    print("  the present code", flush=True)
    if _run(experiment, specs, here, scratch / "new") != code_of(specs[0]):
        raise BookError("nothing was stamped: the code was edited meanwhile, or another copy of it is on Python's path")
    for spec, old, new in zip(specs, expected, _results(scratch / "new", len(specs)), strict=True):
        if different := difference(old, new):
            settings = ", ".join(f"{name} {value}" for name, value in spec.to_dict().items())
            raise BookError(f"nothing was stamped: {different} in the member {spec_hash(spec)} ({settings})")
    facts = provenance("cpu")
    return {
        "date": facts["date"],
        "commit": facts["commit"],
        "dirty": facts["dirty"],
        "versions": facts["versions"],
        "device_name": facts["device_name"],
        "against": commit or "the stored results",
        "evidence": f"{members.counted(len(specs), 'member')} run again: every array and scalar agrees bit for bit",
        "members": [spec_hash(spec) for spec in specs],
    }


def difference(old: tuple[dict, dict], new: tuple[dict, dict]) -> str:
    """The first difference of two results (scalars, arrays) in words, durations left out; empty when there is none."""
    for kind, one, other in zip(("scalar", "array"), old, new, strict=True):
        for name in sorted({*one, *other}):
            if name not in one or name not in other:
                return f"only one code computes the {kind} {name!r}"
            if kind == "scalar" and not _TIMES.search(name) and json.dumps(one[name]) != json.dumps(other[name]):
                return f"the scalar {name!r} was {one[name]} and is {other[name]}"
            if kind == "array" and (words := _array_difference(one[name], other[name])):
                return f"the array {name!r} {words}"
    return ""


def _array_difference(one: np.ndarray, other: np.ndarray) -> str:
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return f"was {one.dtype} of shape {one.shape} and is {other.dtype} of shape {other.shape}"
    if one.tobytes() == other.tobytes():
        return ""
    bits = [np.frombuffer(array.tobytes(), np.uint8).reshape(array.size, -1) for array in (one, other)]
    place = int(np.flatnonzero((bits[0] != bits[1]).any(axis=1))[0])
    index = ", ".join(map(str, np.unravel_index(place, one.shape)))
    return f"was {one.flat[place]!r} and is {other.flat[place]!r} at [{index}]"


def extracted(commit: str, source: Path, folder: Path) -> tuple[Path, str]:
    """The package's sources as a commit has them, written into a folder, and the commit's short name."""

    def git(*words: str, binary: bool = False) -> Any:
        done = subprocess.run(["git", "-C", str(source), *words], capture_output=True, check=True)
        return done.stdout if binary else done.stdout.decode().strip()

    try:
        name = git("rev-parse", "--short=12", "--verify", "--quiet", f"{commit}^{{commit}}")
    except (OSError, subprocess.CalledProcessError) as error:
        raise BookError(f"there is no commit {commit!r} of this package's code here") from error
    folder.mkdir(parents=True)
    archive = folder / "code.tar"
    archive.write_bytes(git("archive", name, ".", binary=True))
    with tarfile.open(archive) as tar:
        # Python 3.11.3 and older know no filter; the archive is git's own
        tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return folder, name


def _run(experiment, specs: list, source: Path, folder: Path) -> str:
    """Run members by the package below `source` in a process of its own; the print of its code."""
    folder.mkdir()
    module = experiment.spec.__module__
    order = {
        "experiment": experiment.name,
        "module": None if module.startswith("implicit_rank.") else module,
        "specs": [spec.to_dict() for spec in specs],
    }
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
    places = [str(source), *(place for place in sys.path if place and Path(place) != _PACKAGE.parent)]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(places),
        "IMPLICIT_RANK_CHECKPOINTS": str(folder / "checkpoints"),
        "IMPLICIT_RANK_RESULTS": str(folder / "results"),
    }
    program = (_PACKAGE / "book" / "rerun.py").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder / "order.json"), str(folder)],
        env=environment,
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise BookError(f"nothing was stamped: the members could not be run ({said})")
    return (folder / "print").read_text(encoding="utf-8")


def _results(folder: Path, count: int) -> Iterator[tuple[dict, dict]]:
    from implicit_rank.store import files

    for number in range(1, count + 1):
        scalars = json.loads((folder / f"{number}.json").read_text(encoding="utf-8"))
        path = folder / f"{number}.npz"
        yield scalars, files.unpack_arrays(path.read_bytes(), path)


def _stored(record) -> tuple[dict, dict]:
    from implicit_rank.store import files

    return files.encode_scalars(record.scalars), record.arrays
