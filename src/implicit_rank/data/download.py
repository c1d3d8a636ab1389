"""Downloads that leave either all of a data set or nothing, and the sentence for data that are not there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from implicit_rank.data.embedded import NO_FILES_NEEDED


def missing(file: str, where: Path, title: str, *, downloadable: bool = True) -> FileNotFoundError:
    """Return the error for a file of data set ``title`` that is not in the folder ``where``."""
    otherwise = "set IMPLICIT_RANK_DATA to the folder that has it"
    if downloadable:
        otherwise += " or allow the download (download=True)"
    return FileNotFoundError(f"{title} is not there: put {file} into {where}, {otherwise}; {NO_FILES_NEEDED}.")


def fetched(
    title: str, folder: str, root: Path, fetch: Callable[[str, Path], None], check: Callable[[Path], None]
) -> Path:
    """Return the folder ``root``/``folder`` after a download of data set ``title`` into it.

    ``fetch(folder, root)`` downloads into a temporary folder beside the target, ``check(path)`` raises when what came
    is not what was published; only then the files move to their places, each in one step. Whatever happens, the
    temporary folder goes away. Raises ConnectionError, one sentence, when the download fails, and OSError when there
    is no place to write.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".download-{folder}-", dir=root))
    except OSError as problem:
        raise OSError(f"{title} cannot be downloaded: {root} is not writable ({problem.strerror}).") from None
    try:
        try:
            fetch(folder, temporary)
            check(temporary / folder)
        except (OSError, RuntimeError, ValueError, EOFError, ImportError) as problem:
            reason = (str(problem).strip() or type(problem).__name__).splitlines()[-1][:200].rstrip(".")
            raise ConnectionError(
                f"{title} could not be downloaded ({reason}); put its files into {root / folder} by hand, or go "
                f"without: {NO_FILES_NEEDED}."
            ) from None
        for source in sorted(path for path in (temporary / folder).rglob("*") if path.is_file()):
            target = root / folder / source.relative_to(temporary / folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return root / folder
