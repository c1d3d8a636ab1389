"""The user's own folders, also where the system knows no home: a container with a made-up user, a bare service."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def home() -> Path:
    """The user's home folder, or one for temporary files where there is none (no HOME, and a user without an entry)."""
    try:
        return Path.home()
    except RuntimeError:
        user = os.getuid() if hasattr(os, "getuid") else "user"
        return Path(tempfile.gettempdir()) / f"implicit_rank-{user}"


def expanded(path: str | os.PathLike) -> Path:
    """The path with "~" or "~name" at its beginning written out; FileNotFoundError for a home that nobody knows."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise FileNotFoundError(f"{path}: there is no such home folder on this machine; write the path out.") from error
