"""Downloads that leave either all of a data set or nothing, and the sentence for data that are not there."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from implicit_rank.data.embedded import NO_FILES_NEEDED

DAY = 86_400.0  # seconds


def missing(file: str, where: Path, title: str, *, downloadable: bool = True) -> FileNotFoundError:
    """The error for a file of data set `title` that is not in the folder `where`."""
    otherwise = "set IMPLICIT_RANK_DATA to the folder that has it"
    if downloadable:
        otherwise += " or fetch it (python -m implicit_rank fetch, or download=True)"
    return FileNotFoundError(f"{title} is not there: put {file} into {where}, {otherwise}; {NO_FILES_NEEDED}.")


def fetched(
    title: str,
    folder: str,
    root: Path,
    fetch: Callable[[str, Path], object],
    check: Callable[[Path], object],
    by_hand: str = "",
) -> Path:
    """The folder `root`/`folder` after a download of data set `title` into it.

    `fetch(folder, root)` downloads into a temporary folder beside the target, `check(path)` raises when what came
    is not what was published; only then the files move to their places, each in one step. Whatever happens, the
    temporary folder goes away. `by_hand` is the inner folder where a user would put the files. Raises
    ConnectionError, one sentence, when the download fails, and OSError when there is no place to write.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob(f".download-{folder}-*"):  # by a process that was killed
            if time.time() - left.stat().st_mtime > DAY:
                shutil.rmtree(left, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".download-{folder}-", dir=root))
    except OSError as problem:
        raise OSError(
            f"{title} cannot be downloaded: {root} is not writable ({problem.strerror or problem})."
        ) from None
    try:
        try:
            fetch(folder, temporary)
            check(temporary / folder)
        except Exception as problem:  # whatever the network, the disk or the helpers of torchvision come up with
            reason = (str(problem).strip() or type(problem).__name__).splitlines()[-1][:200].rstrip(".")
            raise ConnectionError(
                f"{title} could not be downloaded ({reason}); put its files into {root / folder / by_hand} by hand, "
                f"or go without: {NO_FILES_NEEDED}."
            ) from problem
        for source in sorted(path for path in (temporary / folder).rglob("*") if path.is_file()):
            target = root / folder / source.relative_to(temporary / folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return root / folder
