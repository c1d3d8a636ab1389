"""Where the runs lie: the checkout, what an installed package brings along, the user's own folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from implicit_rank.folders import expanded, home

VARIABLE = "IMPLICIT_RANK_RESULTS"


def checkout() -> Path | None:
    """The repository's top folder when the package, or else the working directory, lies in one."""
    here = Path(__file__).resolve().parents[3]
    for folder in (here, *Path.cwd().resolve().joinpath("x").parents):
        if (folder / "book" / "claims").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return None


def shelf() -> Path | None:
    """What an installed package brings along of the repository (claims, groups of runs, stored runs), if it does."""
    folder = Path(__file__).resolve().parent.parent / "shelf"
    return folder if folder.is_dir() else None


def library() -> Path | None:
    """The top folder in which book/claims, book/runs and book/results are read: the checkout, else the shelf."""
    return checkout() or shelf()


def default_root() -> Path:
    """$IMPLICIT_RANK_RESULTS, else the checkout's book/results, else a folder in the user's own data."""
    if os.environ.get(VARIABLE):
        return expanded(os.environ[VARIABLE])
    top = checkout()
    return top / "book" / "results" if top else _user_data() / "implicit_rank" / "results"


def _user_data() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home() / "AppData" / "Local"))
    if sys.platform == "darwin":
        return home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME") or home() / ".local" / "share")
