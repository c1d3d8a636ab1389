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
from implicit_rank.store.archives import arrays_of, check_declared, entry_bytes
from implicit_rank.store.files import StoreError
from implicit_rank.store.fingerprint import fingerprint
from implicit_rank.store.places import checkout
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

        Raises StoreError, one sentence, when the file is damaged, is no checkpoint (then it is another's, and stays) or
        belongs to a run of another identity.
        """
        try:
            if (kind := files.no_file(self.path)) is not None:
                raise StoreError(f"the checkpoint {self.path} is {kind}: give it the name of a file.")
            size = self.path.stat().st_size
            with zipfile.ZipFile(self.path) as archive:
                check_declared(archive, size)  # nothing is compressed
                identity = entry_bytes(archive, _IDENTITY).decode()
                if identity == self.identity:
                    return arrays_of(archive, size, without=_IDENTITY)
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise StoreError(f"the checkpoint {self.path} cannot be read ({error.strerror}).") from error
        except StoreError:
            raise
        except Exception as error:  # a damaged archive raises a dozen kinds of exceptions
            if not _begins_like_one(self.path):
                raise StoreError(
                    f"{self.path} is a file of another kind and no checkpoint, so it is left as it is; "
                    "give the checkpoint another name."
                ) from error
            raise StoreError(
                f"the checkpoint {self.path} cannot be used: it is cut off or damaged ({files.said(error)}); "
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


def _begins_like_one(path: Path) -> bool:
    """Whether a file begins as `Checkpoints.save` begins one, be it cut off ever so early."""
    with open(path, "rb") as stream:
        head = stream.read(30 + len(_IDENTITY))  # a zip's first entry: a signature, 26 bytes of facts, its name
    return b"PK\3\4".startswith(head[:4]) and _IDENTITY.encode().startswith(head[30:])


def _identity(path: Path) -> dict[str, Any]:
    try:
        if files.no_file(path) is not None:
            return {"members": []}
        with zipfile.ZipFile(path) as archive:
            check_declared(archive, path.stat().st_size)
            identity = json.loads(entry_bytes(archive, _IDENTITY))
        texts = [identity["fingerprint"], identity.get("code", ""), *identity["members"]]
        return identity if all(isinstance(text, str) for text in texts) else {"members": []}
    except Exception:  # damaged, or not made by `checkpoint_of`
        return {"members": []}


def _contrast(theirs: str, ours: str) -> tuple[str, str]:
    """Two identities as short text: of two mappings only the entries in which they differ."""
    try:
        one, other = json.loads(theirs), json.loads(ours)
        names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    except (ValueError, AttributeError, RecursionError, MemoryError):
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
