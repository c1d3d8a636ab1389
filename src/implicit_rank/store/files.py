"""Files that are complete or absent: atomic writes, a lock per folder, clear sentences for disk trouble."""

import contextlib
import errno
import hashlib
import io
import json
import os
import secrets
import stat
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

from implicit_rank.store.archives import arrays_of

try:
    import fcntl
except ImportError:  # Windows: no lock, see `folder_lock`
    fcntl = None

FORMAT = 1
LARGEST = 2**31  # bytes that the arrays of one run may hold
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


def no_file(path: Path) -> str | None:
    """What `path` is instead of a file, in words: opening a pipe could wait forever. FileNotFoundError for nothing."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return None
    return "a folder and not a file" if stat.S_ISDIR(mode) else "no file but a pipe, a socket or a device"


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; OSError, also where it is none."""
    if (kind := no_file(path)) is not None:
        raise OSError(errno.EINVAL, f"it is {kind}")
    return path.read_bytes()


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


def check_writable(folder: Path) -> None:
    """Make the folder and write a file there that is gone at once; StoreError, one sentence, where that fails."""
    with clear_sentences(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


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
    """The inverse of `encode_scalars` (ValueError if not plain)."""
    words = ("inf", "-inf", "nan")
    for name, value in encoded.items():
        if not (value is None or isinstance(value, (bool, int, float, str))):
            raise ValueError(f"scalar {name!r} must be a number, text or None, not {type(value).__name__}.")
    return {name: float(value) if value in words else value for name, value in encoded.items()}


def pack_arrays(arrays: dict) -> bytes:
    """The npz bytes of named arrays or tensors, equal for equal content (ValueError for objects and over `LARGEST`)."""
    plain = {}
    for name, value in sorted(arrays.items()):
        value = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
        if value.dtype.hasobject:
            raise ValueError(f"array {name!r} must hold numbers, truth values or text, not Python objects.")
        plain[name] = value
    if (size := sum(value.nbytes for value in plain.values())) > LARGEST // 2:  # headers take room too
        raise ValueError(f"the arrays of a run may hold {LARGEST // 2:,} bytes together, not {size:,}.")
    stream = io.BytesIO()
    np.savez_compressed(stream, **plain)
    return stream.getvalue()


def unpack_arrays(content: bytes, path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file's bytes, read-only; StoreError for anything but plain arrays."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            arrays = arrays_of(archive, LARGEST)
    except Exception as error:  # a damaged archive raises a dozen kinds of exceptions
        raise damaged(path, f"its array file does not hold plain arrays ({said(error)})") from error
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
        content = json.loads(read_bytes(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise damaged(path, said(error)) from error
    except (ValueError, RecursionError, MemoryError) as error:  # the last two: nested a thousand times
        raise damaged(path, "it is cut off or not JSON") from error
    if not isinstance(content, dict) or "format" not in content:
        raise damaged(path, "it is not a stored run")
    if content["format"] != FORMAT:
        raise StoreError(
            f"the stored run {path} has format {str(content['format'])[:40]}, this implicit_rank reads "
            f"format {FORMAT}; update implicit_rank, or delete the file and run it again."
        )
    checksum = content.pop("checksum", None)
    try:
        own = _checksum(content)
    except (ValueError, RecursionError, MemoryError):  # NaN, say, which we never write
        own = ""
    if checksum != own:
        raise damaged(path, "its content does not match its checksum, so it was edited or damaged")
    return content


def sha256(content: bytes) -> str:
    """Hex digest of bytes."""
    return hashlib.sha256(content).hexdigest()


def damaged(path: Path, why: str) -> StoreError:
    """The sentence for a stored run that cannot be trusted."""
    return StoreError(f"the stored run {path} cannot be used: {why}; delete it and run its experiment again.")


def said(error: BaseException) -> str:
    """What an error says, on one line and not at length; its kind where it says nothing."""
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return text[:200] if text else type(error).__name__


def _checksum(content: dict) -> str:
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
