"""Files that are complete or absent: atomic writes, a lock per folder, clear sentences for disk trouble."""

import contextlib
import errno
import hashlib
import io
import json
import os
import secrets
import time
import zipfile
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows: no lock, see `folder_lock`
    fcntl = None

FORMAT = 1
_STALE_SECONDS = 3600  # a temporary file older than this belongs to a process that died
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class StoreError(RuntimeError):
    """A run cannot be stored, or a stored run not be trusted; the message names the file and the remedy."""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark; OSError names a file in another encoding."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise OSError(f"{path} is not UTF-8 text (line {line}); save it as UTF-8.") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` so that `path` holds the old or the new bytes at every moment, also under kill -9."""
    temporary = path.with_name(f".tmp-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C included: leave nothing behind
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot; the replace is atomic all the same
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def folder_lock(folder: Path):
    """Hold the folder against other writers; yields False where the system offers no such lock.

    The lock is on the folder itself, so there is no lock file, and it goes with the process.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        locked = False
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                locked = True
        yield locked
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files of writers that died long ago."""
    for path in folder.glob(".tmp-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()


@contextlib.contextmanager
def clear_sentences(folder: Path, what: str = "the run", variable: str = "IMPLICIT_RANK_RESULTS"):
    """Turn the operating system's errors while writing below `folder` into a StoreError of one sentence.

    `what` is written there, and the environment variable `variable` names another place for it.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                f"no space left to store {what} in {folder}; nothing stored was changed: free "
                f"some space, or set {variable} to another folder."
            ) from error
        if error.errno in _FORBIDDEN:
            kind = "results" if what == "the run" else "checkpoint"
            raise StoreError(
                f"the {kind} folder {folder} is read-only; make it writable, or set {variable} to a folder that is."
            ) from error
        raise StoreError(
            f"{what} could not be stored in {folder} ({error.strerror or error}); nothing stored before was changed."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; StoreError, one sentence, when the disk does not let us."""
    with clear_sentences(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())


# ---- content ----
def encode_scalars(scalars: dict) -> dict:
    """Plain JSON values, non-finite numbers as the words "inf", "-inf", "nan" (ValueError if not plain)."""
    encoded = {}
    for name, value in scalars.items():
        value = value.item() if hasattr(value, "item") else value
        if isinstance(value, float) and not np.isfinite(value):
            value = str(value)
        elif isinstance(value, str) and value in ("inf", "-inf", "nan"):
            raise ValueError(f"scalar {name!r} must not be the word {value!r}, which stands for a number.")
        elif not (value is None or isinstance(value, (bool, int, float, str))):
            raise ValueError(f"scalar {name!r} must be a number, text or None, not {type(value).__name__}.")
        encoded[str(name)] = value
    return encoded


def decode_scalars(encoded: dict) -> dict:
    """The inverse of `encode_scalars`."""
    words = ("inf", "-inf", "nan")
    return {name: float(value) if value in words else value for name, value in encoded.items()}


def pack_arrays(arrays: dict) -> bytes:
    """The npz bytes of named arrays or tensors, equal for equal content (ValueError for object arrays)."""
    plain = {}
    for name, value in sorted(arrays.items()):
        value = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
        if value.dtype.hasobject:
            raise ValueError(f"array {name!r} must hold numbers, truth values or text, not Python objects.")
        plain[name] = value
    stream = io.BytesIO()
    np.savez_compressed(stream, **plain)
    return stream.getvalue()


def unpack_arrays(content: bytes, path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file's bytes, read-only; StoreError for anything but plain arrays."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise damaged(path, f"its array file does not hold plain arrays ({error})") from error
    for array in arrays.values():
        array.flags.writeable = False  # records are shared
    return arrays


def encode_record(content: dict) -> bytes:
    """The JSON text of a record: sorted, indented, with a checksum over its content."""
    content = content | {"checksum": _checksum(content)}
    text = json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def read_record(path: Path) -> dict:
    """A record's checked JSON content; StoreError when it is not exactly what was written."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        why = "it is cut off or not JSON" if isinstance(error, ValueError) else str(error)
        raise damaged(path, why) from error
    if not isinstance(content, dict) or "format" not in content:
        raise damaged(path, "it is not a stored run")
    if content["format"] != FORMAT:
        raise StoreError(
            f"the stored run {path} has format {content['format']!r}, this implicit_rank reads "
            f"format {FORMAT}; update implicit_rank, or delete the file and run it again."
        )
    checksum = content.pop("checksum", None)
    if checksum != _checksum(content):
        raise damaged(path, "its content does not match its checksum, so it was edited or damaged")
    return content


def sha256(content: bytes) -> str:
    """Hex digest of bytes."""
    return hashlib.sha256(content).hexdigest()


def damaged(path: Path, why: str) -> StoreError:
    """The sentence for a stored run that cannot be trusted."""
    return StoreError(f"the stored run {path} cannot be used: {why}; delete it and run its experiment again.")


def _checksum(content: dict) -> str:
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
