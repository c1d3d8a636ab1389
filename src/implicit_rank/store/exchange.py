"""Runs as files that travel: a store's runs packed into zip files, and taken into another store after checks.

A zip holds the two files of every run as they are, below the name of their experiment, and `manifest.json` with the
SHA-256 of each. Nothing is trusted: sizes are held against limits before anything is unpacked, names are not paths,
digests must agree, and what remains must be readable runs of this package's experiments. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from implicit_rank.store import files
from implicit_rank.store.archives import check_declared, entry_bytes
from implicit_rank.store.disk import Record, Store
from implicit_rank.store.files import StoreError
from implicit_rank.store.modules import MODULES

FORMAT = 1
LARGEST = 2**29  # bytes that an archive may unpack to
_MANIFEST = "manifest.json"
_NAME = re.compile(r"([a-z0-9_]+)/([A-Za-z0-9][\w.-]*\.(?:json|npz))")
_DATE = (1980, 1, 1, 0, 0, 0)  # the same runs make the same bytes


@dataclass
class TakenIn:
    """What became of the runs in archives: new here, here already with the same content, put in another's place."""

    added: list[Record] = field(default_factory=list)
    same: list[Record] = field(default_factory=list)
    replaced: list[Record] = field(default_factory=list)


def pack_runs(records: Iterable[Record], folder: Path, stem: str = "runs", most: int = 15_000_000) -> list[Path]:
    """Write stored runs into `folder`/`stem`-1.zip, -2.zip, ..., each at most `most` bytes and complete by itself.

    Zips of that stem from an earlier, longer packing are deleted. StoreError where a single run is larger, and for
    trouble with the disk.
    """
    parts: list[list[tuple[str, bytes]]] = []
    room = 0
    for record in records:
        paths = [path for path in (record.packed, record.path) if path is not None]
        own = [(f"{record.experiment}/{path.name}", files.read_bytes(path)) for path in paths]
        needs = sum(len(content) + 4 * len(name) + 400 for name, content in own)  # headers, and a line of the manifest
        if needs > most - 1000:
            raise StoreError(f"the run {record.path} has {needs:,} bytes, and an archive may have {most:,}.")
        if not parts or needs > room:
            parts.append([])
            room = most - 1000
        parts[-1] += own
        room -= needs
    with files.clear_sentences(folder, "the archive"):
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / f"{stem}-{number}.zip" for number in range(1, len(parts) + 1)]
        for path, entries in zip(written, parts, strict=True):
            files.write_atomically(path, _zipped(entries))
        for path in folder.glob(f"{stem}-*.zip"):
            if path not in written:
                path.unlink()
    return written


def take_in(
    paths: Sequence[str | os.PathLike],
    store: Store,
    *,
    replace: bool = False,
    check: Callable[[Record], None] = lambda record: None,
) -> TakenIn:
    """Put the runs of archives that `pack_runs` wrote into a store: all of them, or none and a StoreError.

    A run that is stored here with other content is refused unless `replace`; one of the same content is left as it is.
    `check(record)` may refuse a run with a ValueError. Runs keep their provenance, and those of other code are stale.
    """
    report = TakenIn()
    with tempfile.TemporaryDirectory(prefix="implicit-rank-") as scratch:
        found: dict[str, Record] = {}
        for number, path in enumerate(map(Path, paths)):
            for record in _unpacked(path, Path(scratch) / str(number), check):
                if record.hash in found and not _alike(record, found[record.hash]):
                    raise StoreError(f"two of the archives hold different runs {record.path.name}; nothing was stored.")
                found[record.hash] = record
        here: dict[str, Record] = {}
        for name in sorted({record.experiment for record in found.values()}):
            stored, problems = store.scan(name)
            here |= {record.hash: record for record in stored}
            for path, sentence in problems.items():
                if path.stem[-12:] in found:
                    raise StoreError(sentence)
        for key, record in found.items():
            own = here.get(key)
            kind = report.added if own is None else report.same if _alike(record, own) else report.replaced
            kind.append(record)
        if report.replaced and not replace:
            names = ", ".join(f"{record.experiment}/{record.path.name}" for record in report.replaced[:3])
            more = f" and {len(report.replaced) - 3} more" if len(report.replaced) > 3 else ""
            raise StoreError(
                f"the store has other runs of {names}{more}, so nothing was stored; take them in with --replace if "
                "they are to go."
            )
        for record in [*report.added, *report.replaced]:
            _adopt(record, here.get(record.hash), store)
    return report


def _zipped(entries: list[tuple[str, bytes]]) -> bytes:
    manifest = {"format": FORMAT, "files": {name: files.sha256(content) for name, content in entries}}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps(manifest, sort_keys=True, indent=1).encode()
        for name, content in [(_MANIFEST, text), *entries]:
            kind = zipfile.ZIP_STORED if name.endswith(".npz") else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, _DATE), content, kind)
    return stream.getvalue()


def _unpacked(path: Path, folder: Path, check: Callable[[Record], None]) -> list[Record]:
    """The runs of one archive, unpacked into `folder`; StoreError, one sentence, for anything else."""
    try:
        if (kind := files.no_file(path)) is not None:
            raise ValueError(f"it is {kind}")
        with zipfile.ZipFile(path) as archive:
            check_declared(archive, LARGEST)
            contents = _contents(archive)
    except FileNotFoundError:
        raise StoreError(f"there is no archive {path}.") from None
    except Exception as error:  # a damaged archive raises a dozen kinds of exceptions
        raise _refusal(path, files.said(error)) from error
    for name, content in contents.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    records, store = [], Store(folder)
    for name in store.experiments():
        read, problems = store.scan(name)
        for damaged, _ in problems.items():
            raise _refusal(path, f"its {name}/{damaged.name} is no run that can be read")
        records += read
    named = {path for record in records for path in (record.path, record.packed) if path}
    extra = sorted(set(contents) - {f"{path.parent.name}/{path.name}" for path in named})
    if extra:
        raise _refusal(path, f"{extra[0]} belongs to no run in it")
    for record in records:
        try:
            check(record)
        except ValueError as error:
            raise _refusal(path, f"{record.experiment}/{record.path.name}: {files.said(error)}") from error
    return records


def _contents(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """The files of an archive by name, as its manifest lists them; ValueError where anything disagrees."""
    names = archive.namelist()
    manifest = json.loads(entry_bytes(archive, _MANIFEST)) if _MANIFEST in names else None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ValueError("it holds no list of runs")
    if manifest.get("format") != FORMAT:
        raise ValueError(f"it has format {str(manifest.get('format'))[:40]}, and format {FORMAT} is read")
    listed = manifest["files"]
    if sorted(names) != sorted([_MANIFEST, *listed]):
        raise ValueError("its files are not those that it lists")
    for name in listed:
        match = _NAME.fullmatch(name)
        if match is None or match[1] not in MODULES:
            raise ValueError(f"{name[:80]!r} is no run of an experiment of this package")
    contents = {name: entry_bytes(archive, name) for name in listed}
    for name, content in contents.items():
        if files.sha256(content) != listed[name]:
            raise ValueError(f"{name} is not what it was when it was packed")
    return contents


def _refusal(path: Path, why: str) -> StoreError:
    return StoreError(f"{path} cannot be taken in: {why}; nothing was stored.")


def _alike(one: Record, other: Record) -> bool:
    """Whether two stored runs are the same file; a restamp changes it, and what it says of the run is kept here."""
    return _core(one) == _core(other)


def _core(record: Record) -> tuple:
    content = files.read_record(record.path)
    facts = {name: value for name, value in content["provenance"].items() if name not in ("fingerprint", "restamped")}
    arrays = content["arrays"] and content["arrays"]["sha256"]
    return content["spec"], content["scalars"], arrays, facts


def _adopt(record: Record, own: Record | None, store: Store) -> None:
    """Copy the files of a run as they are, arrays first; those of the run whose place it takes go."""
    folder = store.root / record.experiment
    with files.clear_sentences(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with files.folder_lock(folder):
            for path in filter(None, (record.packed, record.path)):
                files.write_atomically(folder / path.name, files.read_bytes(path))
            kept = {path.name for path in (record.packed, record.path) if path}
            for path in filter(None, (own and own.path, own and own.packed)):
                if path.parent == folder and path.name not in kept:
                    with contextlib.suppress(FileNotFoundError):
                        path.unlink()
