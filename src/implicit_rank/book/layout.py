"""Where everything lies, and how files are written so that nothing is ever left half-written."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from implicit_rank.parameters import shown
from implicit_rank.store.files import read_text

PROFILES = ("smoke", "quick", "paper")
BUDGETS = {"smoke": 20.0, "quick": 90.0}  # seconds per chapter on two CPU cores; "paper" has none
CHAPTER_MARK = "kernelspec:"  # a page with this key in its front matter is executed


class BookError(Exception):
    """Something the person at the keyboard can mend: shown as one sentence, without a traceback."""


@dataclass(frozen=True)
class Layout:
    """Paths of one checkout, all derived from its `root`."""

    root: Path

    @property
    def book(self) -> Path:
        return self.root / "book"

    @property
    def build(self) -> Path:
        return self.root / "build"

    @property
    def failed(self) -> Path:
        return self.build / "failed"

    @property
    def site(self) -> Path:
        return self.build / "_build" / "html"

    @property
    def package(self) -> Path:
        return Path(__file__).resolve().parents[1]

    def short(self, path: Path) -> str:
        """The path as a person at the top of the checkout would type it."""
        return os.path.relpath(path, self.root)


def find_layout(start: Path | None = None) -> Layout:
    """The checkout around `start` (default: the current folder), else the one that holds the package."""
    here = Path(start or Path.cwd()).resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[3]):
        if (folder / "_toc.yml").exists() and (folder / "book").is_dir():
            return Layout(folder)
    raise BookError(f"no book found: neither {here} nor a folder above it holds _toc.yml and book/")


def read_yaml(path: Path) -> dict:
    """The content of one of the book's YAML files; BookError names a file that is no table of settings."""
    import yaml

    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise BookError(f"{path} is not valid YAML: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(content, dict):
        raise BookError(f"{path} must hold settings by name, as `name: value`")
    return content


def front_matter(text: str) -> str:
    """The YAML block at the top of a Markdown page, or an empty string."""
    if not text.startswith("---\n"):
        return ""
    end = text.find("\n---", 3)
    return text[4 : end + 1] if end > 0 else ""


def markdown_pages(book: Path) -> list[Path]:
    """The Markdown pages of a folder; names that begin with a dot are an editor's or a file system's, not ours."""
    return sorted(book.glob("[!.]*.md"))


def chapters(layout: Layout) -> list[Path]:
    """The `.md` sources of all executed pages: those whose front matter names a kernel."""
    return [p for p in markdown_pages(layout.book) if f"\n{CHAPTER_MARK}" in f"\n{front_matter(read_text(p))}"]


def select(pages: list[Path], only: list[str] | None) -> list[Path]:
    """The pages whose name starts with one of `only` ("02" or "02_greedy_rank"); all when empty."""
    if not only:
        return pages
    for prefix in only:
        if not any(p.stem.startswith(prefix) for p in pages):
            raise BookError(f"no chapter starts with {shown(prefix)}; there are {', '.join(p.stem for p in pages)}")
    return [p for p in pages if any(p.stem.startswith(prefix) for prefix in only)]


def write_if_changed(path: Path, content: bytes) -> bool:
    """Write through a temporary file and a rename, only when the content differs; True when written."""
    if path.exists() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(content)
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)  # mkstemp gives 0600, which a web server may not read
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True
