"""What lies in a folder of pictures: every file once, links followed, and what could not be looked into."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from implicit_rank.folders import expanded

PREFIX = "folder:"


@dataclass(frozen=True)
class Tree:
    """The files and sub-folders below a folder, each as the parts of its name, and (name, reason) passed over."""

    files: tuple[tuple[str, ...], ...]
    folders: tuple[tuple[str, ...], ...]
    skipped: tuple[tuple[str, str], ...]


def printable(name: str | Path) -> str:
    """The name in characters that can be printed and stored anywhere: others, and bytes of no text, as escapes."""
    return "".join(c if c.isprintable() else _escaped(c) for c in str(name))


def existing_folder(path: str | Path) -> Path:
    """The folder that `path` names, with ~ for the home directory; ValueError, one sentence, when there is none."""
    if not str(path):
        raise ValueError("folder:PATH needs the path of a folder of images after the colon.")
    folder = expanded(path)
    if not os.path.isdir(folder):
        raise ValueError(f"there is no folder {printable(folder)}; folder:PATH needs the path of a folder of images.")
    return folder


def absolute_folder(name: str, base: str | Path = ".") -> str:
    """The name of a data set; in "folder:PATH" the path becomes absolute, seen from the folder `base`.

    A program that starts kernels or workers elsewhere resolves the path where it was typed.
    """
    if not name.startswith(PREFIX) or not name.removeprefix(PREFIX):
        return name
    return PREFIX + os.path.abspath(Path(base) / expanded(name.removeprefix(PREFIX)))


def walk(folder: Path) -> Tree:
    """Everything below `folder` in the order of the names, except what begins with a dot.

    Links to files and folders are followed, but nothing is listed twice: a link to what is there already, or back to a
    folder that holds the link, is passed over, and so is a sub-folder that cannot be listed. ValueError when the folder
    itself cannot be.
    """
    top = os.path.realpath(folder)
    files: dict[str, tuple[str, ...]] = {}
    folders: dict[str, tuple[str, ...]] = {}
    skipped: list[tuple[str, str]] = []
    waiting: list[tuple[tuple[str, ...], str]] = [((), top)]
    links: list[tuple[tuple[str, ...], str]] = []
    while waiting or links:
        if not waiting:  # what lies here in its own right comes first, then the links, so that these are the doubles
            links.sort(reverse=True)
            _follow(*links.pop(), top, files, folders, waiting, skipped)
            continue
        parts, real = waiting.pop()
        if real in folders:
            skipped.append((printable("/".join(parts)), f"read already as {_named(folders[real])}"))
            continue
        folders[real] = parts
        try:
            with os.scandir(folder.joinpath(*parts)) as found:
                entries = [entry for entry in found if not entry.name.startswith(".")]
        except OSError as problem:
            if not parts:
                raise ValueError(f"{printable(folder)} cannot be listed ({_reason(problem)}).") from None
            skipped.append((printable("/".join(parts)), f"a folder that cannot be listed ({_reason(problem)})"))
            continue
        for entry in entries:
            place = ((*parts, entry.name), os.path.join(real, entry.name))
            try:
                if entry.is_symlink():
                    links.append(place)
                elif entry.is_dir():
                    waiting.append(place)
                else:
                    _take(*place, entry.is_file(), files, skipped)
            except OSError as problem:
                skipped.append((printable("/".join(place[0])), f"cannot be looked at ({_reason(problem)})"))
    return Tree(tuple(sorted(files.values())), tuple(sorted(folders.values())), tuple(sorted(skipped)))


def folder_state(name: str) -> str:
    """The digest of names, sizes and times of all files below the folder of "folder:PATH", "" for any other name.

    Whatever is kept of a folder's pictures is kept under it; another digest says that the pictures may be others. An
    absent folder has one too, so this never raises.
    """
    if not name.startswith(PREFIX):
        return ""
    digest = hashlib.sha256()
    try:
        folder = existing_folder(name.removeprefix(PREFIX))
        tree = walk(folder)
    except (ValueError, FileNotFoundError) as problem:
        return hashlib.sha256(str(problem).encode()).hexdigest()
    for parts in tree.files:
        try:
            status = os.stat(folder.joinpath(*parts))
            facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        except OSError:  # gone in the meantime
            facts = ()
        digest.update(repr((parts, facts)).encode())
    digest.update(repr((tree.folders, tree.skipped)).encode())
    return digest.hexdigest()


def _follow(parts, place, top, files, folders, waiting, skipped) -> None:
    """Queue a linked folder, take a linked file, or say why not."""
    name, real = printable("/".join(parts)), os.path.realpath(place)
    if not os.path.exists(real):
        skipped.append((name, "a link to nothing"))
    elif os.path.isdir(real):
        if any(_inside(held, real) for held in (top, os.path.dirname(place))):
            skipped.append((name, "a link back to a folder above it"))
        elif real in folders:
            skipped.append((name, f"read already as {_named(folders[real])}"))
        else:
            waiting.append((parts, real))
    else:
        _take(parts, real, os.path.isfile(real), files, skipped)


def _take(parts, real, is_file, files, skipped) -> None:
    if real in files:
        skipped.append((printable("/".join(parts)), f"read already as {_named(files[real])}"))
    elif is_file:
        files[real] = parts
    else:
        skipped.append((printable("/".join(parts)), "neither a file nor a folder"))


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _named(parts: tuple[str, ...]) -> str:
    return printable("/".join(parts)) or "the folder itself"


def _escaped(character: str) -> str:
    raw = 0xDC80 <= ord(character) <= 0xDCFF  # how Python keeps a byte of a name that is no UTF-8
    return f"\\x{ord(character) - 0xDC00:02x}" if raw else character.encode("unicode_escape").decode()


def _reason(problem: OSError) -> str:
    return problem.strerror or type(problem).__name__
