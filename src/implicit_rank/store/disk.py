"""The store: one run = a readable JSON file, which is the commit point, and an npz file that it names.

`<root>/<experiment>/<profile>-s<seed>-<hash>.json` holds spec, scalars and provenance;
`<profile>-s<seed>-<hash>-<content>.npz` beside it holds the arrays and is named, with its SHA-256, in the JSON.
A run is found by the hash, whatever stands before it: older stores wrote settings there. The npz is written first
under a name made from its content, the JSON last by an atomic replace: whatever happens in between, a reader finds
the old run or the new one, complete. Nothing is pickled.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from implicit_rank.parameters import unknown_name
from implicit_rank.store import files
from implicit_rank.store.files import StoreError, damaged
from implicit_rank.store.fingerprint import fingerprint
from implicit_rank.store.modules import MODULES, module_of
from implicit_rank.store.places import VARIABLE, checkout, default_root, shelf
from implicit_rank.store.spec import Spec, code_of, hash_of, spec_hash


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """One run: spec and provenance as plain dicts, scalars, read-only arrays.

    `stale` says that the code which computes this experiment has changed since; `path` (JSON) and `packed`
    (npz, if any) are None for a run that was not stored. Scalars are numbers, None (not applicable) or text;
    "never" is +inf.
    """

    experiment: str
    spec: dict[str, Any]
    scalars: dict[str, Any]
    arrays: dict[str, np.ndarray]
    provenance: dict[str, Any]
    stale: bool = False
    path: Path | None = None
    packed: Path | None = None

    @property
    def hash(self) -> str:
        """The 12 hex digits that identify the run."""
        return hash_of(self.experiment, self.spec)

    @property
    def profile(self) -> str:
        """smoke, quick or paper."""
        return self.spec["profile"]

    @property
    def seed(self) -> int:
        """The random seed of this member."""
        return self.spec["seed"]


def live_record(spec: Spec, scalars: dict, arrays: dict, provenance: dict | None = None) -> Record:
    """A Record of a run that is not stored, so that figures and measures take live and stored runs alike."""
    plain = {
        name: value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
        for name, value in arrays.items()
    }
    return Record(
        spec.experiment,
        spec.to_dict(),
        files.decode_scalars(files.encode_scalars(scalars)),
        plain,
        dict(provenance or {}),
    )


class Store:
    """The runs below one folder (see `default_root`); safe under several processes.

    Without a folder and without a checkout, the runs that an installed package brings along are read too, behind the
    user's own; nothing is ever written there.
    """

    def __init__(self, root: str | os.PathLike | None = None):
        self.root = Path(root) if root is not None else default_root()
        brought = shelf() / "book" / "results" if root is None and not os.environ.get(VARIABLE) and shelf() else None
        self._roots = [self.root] if brought is None or checkout() else [self.root, brought]
        self._read: dict[Path, tuple[tuple, Record]] = {}

    def save(self, spec: Spec, scalars: dict, arrays: dict | None = None, provenance: dict | None = None) -> Record:
        """Store one finished run, replacing an earlier one of the same spec; returns it as read back.

        Raises StoreError (disk full, read-only folder) and ValueError (a scalar or array that is not plain);
        what was stored before stays as it was.
        """
        encoded = files.encode_scalars(scalars)
        folder, arrays = self.root / spec.experiment, arrays or {}
        if not spec.experiment:
            raise ValueError(f"{type(spec).__name__} names no experiment; set its `experiment`.")
        packed = files.pack_arrays(arrays) if arrays else b""
        with files.clear_sentences(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with files.folder_lock(folder) as locked:
                files.remove_leftovers(folder)
                stored = self._path(spec)
                path = (
                    stored
                    if stored and stored.parent == folder
                    else folder / f"{spec.profile}-s{spec.seed}-{spec_hash(spec)}.json"
                )
                content = {
                    "format": files.FORMAT,
                    "experiment": spec.experiment,
                    "spec": spec.to_dict(),
                    "scalars": encoded,
                    "arrays": None,
                    "provenance": {**(provenance or {}), "fingerprint": code_of(spec)},
                }
                if spec.experiment not in MODULES:  # of an experiment from outside the package only the run knows
                    content["module"] = type(spec).__module__
                if packed:
                    digest = files.sha256(packed)
                    name = f"{path.stem}-{digest[:8]}.npz"
                    content["arrays"] = {"file": name, "sha256": digest, "names": sorted(arrays)}
                    files.write_atomically(folder / name, packed)
                files.write_atomically(path, files.encode_record(content))
                self._remove_superseded(path, content["arrays"], locked)
        return self._record(path)

    def check_writable(self, specs: Iterable[Spec]) -> None:
        """Find out before these are computed, not after, that they cannot be stored (StoreError)."""
        for name in sorted({spec.experiment for spec in specs}):
            files.check_writable(self.root / name)

    def restamp(self, record: Record, evidence: dict[str, Any]) -> None:
        """Mark a stored run as one of the present code; its provenance keeps the old print beside the evidence.

        Whoever calls this has shown that the present code computes the same. Raises StoreError (damaged, read-only).
        """
        folder = record.path.parent
        with files.clear_sentences(folder), files.folder_lock(folder):
            content = files.read_record(record.path)
            facts, code = content["provenance"], fingerprint(module_of(record.experiment, content.get("module", "")))
            entry = {"from": facts["fingerprint"], "to": code, **evidence}
            content["provenance"] = facts | {"fingerprint": code, "restamped": [*facts.get("restamped", ()), entry]}
            files.write_atomically(record.path, files.encode_record(content))

    def load(self, spec: Spec) -> Record | None:
        """The stored run of exactly this spec, or None; StoreError when it is damaged."""
        path = self._path(spec)
        with contextlib.suppress(FileNotFoundError):  # deleted between listing and reading
            return self._record(path) if path else None
        return None

    def select(self, experiment: str, **fields) -> list[Record]:
        """All stored runs of an experiment whose spec has these field values, ordered by spec.

        A damaged file raises StoreError (see `check`), and a field that no stored run of the experiment has
        raises ValueError: nothing is left out silently.
        """
        records = []
        for path in self._paths(experiment):
            with contextlib.suppress(FileNotFoundError):
                records.append(self._record(path))
        return filter_records(records, **fields)

    def missing(self, specs: Iterable[Spec], stale: bool = False) -> list[Spec]:
        """The specs with no usable stored run, in order; with `stale`, runs of older code are missing too."""
        return [spec for spec in specs if not self._usable(spec, stale)]

    def experiments(self) -> list[str]:
        """The names of all experiments with stored runs."""
        return sorted({path.parent.name for root in self._roots for path in root.glob("*/[!.]*.json")})

    def check(self, experiment: str | None = None) -> dict[Path, str]:
        """The damaged files (of one experiment or of all) and what is wrong with each."""
        names = [experiment] if experiment else self.experiments()
        return {path: sentence for name in names for path, sentence in self.scan(name)[1].items()}

    def scan(self, experiment: str) -> tuple[list[Record], dict[Path, str]]:
        """All readable runs of an experiment, and the damaged files with what is wrong with each."""
        records, problems = [], {}
        for path in self._paths(experiment):
            try:
                records.append(self._record(path))
            except FileNotFoundError:  # deleted between listing and reading
                continue
            except StoreError as error:
                problems[path] = str(error)
        return sorted(records, key=_order), problems

    def _usable(self, spec: Spec, stale: bool) -> bool:
        try:
            record = self.load(spec)
        except StoreError:
            return False
        return record is not None and not (stale and record.stale)

    def _paths(self, experiment: str) -> list[Path]:
        by_hash: dict[str, Path] = {}
        for root in self._roots:
            for path in sorted((root / experiment).glob("[!.]*.json")):
                by_hash.setdefault(path.stem[-12:], path)
        return sorted(by_hash.values(), key=lambda path: path.name)

    def _path(self, spec: Spec) -> Path | None:
        # by hash: older stores wrote other words before it
        pattern = f"[!.]*-{spec_hash(spec)}.json"
        return next((path for root in self._roots for path in sorted((root / spec.experiment).glob(pattern))), None)

    def _record(self, path: Path) -> Record:
        key, record = self._read.get(path, (None, None))
        if record is None or key != _state(path, record):
            record = _load(path)
            self._read[path] = (_state(path, record), record)
        # The scalars and the other dicts are copied: a caller's change must not reach the next caller.
        return dataclasses.replace(
            record,
            spec=dict(record.spec),
            scalars=dict(record.scalars),
            arrays=dict(record.arrays),
            provenance=dict(record.provenance),
        )

    def _remove_superseded(self, path: Path, arrays: dict | None, locked: bool) -> None:
        """Delete array files of earlier runs of this spec (unlocked: only old ones)."""
        for other in path.parent.glob(f"{path.stem}-*.npz"):
            if arrays is None or other.name != arrays["file"]:
                with contextlib.suppress(OSError):
                    if locked or time.time() - other.stat().st_mtime > 3600:
                        other.unlink()


def filter_records(records: Iterable[Record], **fields) -> list[Record]:
    """The records whose spec has these field values, in order; ValueError for a field none of them has."""
    records = list(records)
    known = sorted({name for record in records for name in record.spec})
    for name in fields:
        if records and name not in known:
            raise ValueError(unknown_name("spec field", name, known))
    wanted = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
    chosen = [
        record
        for record in records
        if all(name in record.spec and record.spec[name] == value for name, value in wanted.items())
    ]
    return sorted(chosen, key=_order)


def _state(path: Path, record: Record) -> list[tuple | None]:
    """What changes when either file of a record does."""
    paths = [path, *([record.packed] if record.packed else [])]
    states = [other.stat() if other.exists() else None for other in paths]
    return [state and (state.st_mtime_ns, state.st_size, state.st_ino) for state in states]


def _order(record: Record) -> tuple:
    # Numbers before texts before everything else, so that mixed fields never compare across types.
    def rank(value):
        if isinstance(value, (bool, int, float)):
            return 0, value, ""
        return (1 if isinstance(value, str) else 2), 0, str(value)

    names = sorted(record.spec, key=lambda name: (name == "seed", name))
    return tuple((name, rank(record.spec[name])) for name in names)


def _load(path: Path, attempts: int = 3) -> Record:
    content = files.read_record(path)
    try:
        return _record_of(path, content)
    except FileNotFoundError:
        if attempts > 1:  # another process replaced the run just now: read its JSON again
            return _load(path, attempts - 1)
        raise damaged(path, f"its array file {content['arrays']['file']} is missing") from None
    except StoreError:
        raise
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(path, f"it lacks an entry ({files.said(error)})") from error
    except Exception as error:  # its checksum is right, so somebody made it up
        raise damaged(path, f"its content is not that of a run ({files.said(error)})") from error


def _record_of(path: Path, content: dict) -> Record:
    """The run in a record's JSON; FileNotFoundError without its array file, StoreError and others for nonsense."""
    experiment, spec, facts, entry = (content[name] for name in ("experiment", "spec", "provenance", "arrays"))
    if not isinstance(spec, dict) or not isinstance(facts, dict) or not isinstance(content["scalars"], dict):
        raise TypeError("spec, scalars and provenance must be tables")
    packed_path = path.parent / Path(entry["file"]).name if entry else None
    packed = files.read_bytes(packed_path) if entry else b""
    if entry and files.sha256(packed) != entry["sha256"]:
        raise damaged(path, f"its array file {packed_path.name} is cut off or damaged")
    if not path.stem.endswith(hash_of(experiment, spec)) or path.parent.name != experiment:
        raise damaged(path, "its name does not belong to its content, so it was moved or renamed")
    arrays = files.unpack_arrays(packed, path) if entry else {}
    stale = fingerprint(module_of(experiment, content.get("module", ""))) != facts["fingerprint"]
    return Record(experiment, spec, files.decode_scalars(content["scalars"]), arrays, facts, stale, path, packed_path)
