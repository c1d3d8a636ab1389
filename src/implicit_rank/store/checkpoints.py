"""Checkpoints of unfinished runs: one npz file each, replaced atomically, never pickled.

A checkpoint is working state, not a result: it lies outside the results folder (see `checkpoint_folder`), is
as large as an optimiser's state, and is removed once its members are stored.
"""

import hashlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from implicit_rank.folders import expanded, home
from implicit_rank.store import files
from implicit_rank.store.disk import checkout
from implicit_rank.store.files import StoreError
from implicit_rank.store.fingerprint import fingerprint
from implicit_rank.store.spec import Spec, canonical_json, code_of, spec_hash

VARIABLE = "IMPLICIT_RANK_CHECKPOINTS"
_IDENTITY = "identity.json"  # arrays are entries NAME.npy, so no name of theirs can clash with it
_SHOWN = 160  # characters of an identity in a sentence


class Checkpoints:
    """The checkpoint of one run at `path` (an npz file that need not exist yet).

    `identity` says which run it belongs to: text, or a mapping of plain JSON values such as the run's settings.
    """

    def __init__(self, path: str | os.PathLike, identity: Mapping[str, Any] | str = ""):
        self.path = Path(path)
        self.identity = identity if isinstance(identity, str) else canonical_json(dict(identity))

    def load(self) -> dict[str, np.ndarray] | None:
        """The saved arrays, bit by bit, or None when there is no checkpoint.

        Raises StoreError, one sentence, when the file is damaged or belongs to a run of another identity.
        """
        try:
            with zipfile.ZipFile(self.path) as archive:
                identity = archive.read(_IDENTITY).decode()
                if identity == self.identity:
                    # read() checks each entry's CRC-32 before anything of it is interpreted
                    return {
                        name.removesuffix(".npy"): _unpack(archive.read(name))
                        for name in archive.namelist()
                        if name != _IDENTITY
                    }
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise StoreError(f"the checkpoint {self.path} cannot be read ({error.strerror}).") from error
        except Exception as error:  # a damaged archive raises a dozen kinds of exceptions
            raise StoreError(
                f"the checkpoint {self.path} cannot be used: it is cut off or damaged ({error}); "
                "delete it and run again from the start."
            ) from error
        theirs, ours = _contrast(identity, self.identity)
        raise StoreError(
            f"the checkpoint {self.path} belongs to another run ({theirs}) and not to this one ({ours}); "
            "delete it, or keep this run's checkpoints elsewhere."
        )

    def save(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the checkpoint; whatever happens, the file holds the old arrays or the new ones, complete.

        Arrays are numbers, truth values or text of any shape (ValueError for objects); uncompressed, for speed.
        Raises StoreError, one sentence, on a full or read-only disk: the old checkpoint is then intact.
        """
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_IDENTITY, self.identity)
            for name, value in arrays.items():
                value = np.asarray(value)
                if value.dtype.hasobject:
                    raise ValueError(
                        f"array {name!r} of a checkpoint must hold numbers, truth values or text, not Python objects."
                    )
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, value, allow_pickle=False)
        folder = self.path.parent
        with files.clear_sentences(folder, "the checkpoint", VARIABLE):
            folder.mkdir(parents=True, exist_ok=True)
            files.remove_leftovers(folder)
            files.write_atomically(self.path, stream.getbuffer())

    def remove(self) -> None:
        """Delete the checkpoint; nothing happens when there is none."""
        with files.clear_sentences(self.path.parent, "the checkpoint", VARIABLE):
            self.path.unlink(missing_ok=True)


def checkpoint_folder() -> Path:
    """$IMPLICIT_RANK_CHECKPOINTS, else build/checkpoints of the checkout, else a folder in the user's cache."""
    if os.environ.get(VARIABLE):
        return expanded(os.environ[VARIABLE])
    top = checkout()
    return top / "build" / "checkpoints" if top else _user_cache() / "implicit_rank" / "checkpoints"


def checkpoint_of(
    specs: Sequence[Spec], folder: str | os.PathLike | None = None, *, stage: str = "", code: str | None = None
) -> Checkpoints:
    """The checkpoint of an ensemble: these members, in this order, under the code as it is now.

    Changed code or another set of members have another file, so they begin anew and are never mixed up. `code` is
    the module whose code counts (default: all the experiment's); a training of several stages has a file each.
    """
    identity = {
        "experiment": specs[0].experiment,
        "members": [spec_hash(spec) for spec in specs],
        "fingerprint": fingerprint(code) if code else code_of(specs[0]),
    }
    identity |= ({"code": code} if code else {}) | ({"stage": stage} if stage else {})
    name = hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:16]
    root = Path(folder) if folder is not None else checkpoint_folder()
    return Checkpoints(root / specs[0].experiment / f"{name}.npz", identity)


def checkpoints_with(specs: Iterable[Spec], folder: str | os.PathLike | None = None) -> dict[Path, dict[str, Any]]:
    """The files `checkpoint_of` made for ensembles with any of these members, and the identity of each."""
    root = Path(folder) if folder is not None else checkpoint_folder()
    specs = list(specs)
    wanted = {spec_hash(spec) for spec in specs}
    found = {}
    for name in sorted({spec.experiment for spec in specs}):
        for path in sorted((root / name).glob("[!.]*.npz")):
            identity = _identity(path)
            if wanted & set(identity["members"]):
                found[path] = identity
    return found


def unfinished_ensembles(specs: Iterable[Spec], folder: str | os.PathLike | None = None) -> list[list[Spec]]:
    """The ensembles of these members that `checkpoint_of` finds a checkpoint for, each in its own order.

    Whoever groups members takes these out first: an ensemble can go on only as it was.
    """
    by_hash, ensembles = {spec_hash(spec): spec for spec in specs}, []
    for identity in checkpoints_with(by_hash.values(), folder).values():
        members = identity["members"]
        if not by_hash.keys() >= set(members):
            continue
        code = fingerprint(identity["code"]) if "code" in identity else code_of(by_hash[members[0]])
        if identity["fingerprint"] == code:
            ensembles.append([by_hash.pop(name) for name in members])
    return ensembles


def discard_checkpoints(specs: Iterable[Spec], folder: str | os.PathLike | None = None) -> int:
    """Delete the checkpoints of all ensembles with any of these members; returns how many there were."""
    found = checkpoints_with(specs, folder)
    for path in found:
        Checkpoints(path).remove()
    return len(found)


def _identity(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            identity = json.loads(archive.read(_IDENTITY))
        return identity if {"members", "fingerprint"} <= identity.keys() else {"members": []}
    except Exception:  # damaged, or not made by `checkpoint_of`
        return {"members": []}


def _unpack(content: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def _contrast(theirs: str, ours: str) -> tuple[str, str]:
    """Two identities as short text: of two mappings only the entries in which they differ."""
    try:
        one, other = json.loads(theirs), json.loads(ours)
        names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    except (ValueError, AttributeError):
        return _short(theirs or "no identity"), _short(ours or "no identity")
    return tuple(
        _short(", ".join(f"{name} = {json.dumps(which.get(name), ensure_ascii=False)}" for name in names))
        for which in (one, other)
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home() / "AppData" / "Local"))
    if sys.platform == "darwin":
        return home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache")
