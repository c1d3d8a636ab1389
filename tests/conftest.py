"""Copies of the book for tests that execute and build: the checkout itself is never written to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run_book(folder, *arguments, code=0, **environment):
    """`python -m implicit_rank ...` in `folder`; its printed text, after checking the exit code."""
    source = os.pathsep.join(p for p in (str(ROOT / "src"), os.environ.get("PYTHONPATH")) if p)
    done = subprocess.run(
        [sys.executable, "-m", "implicit_rank", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": source} | environment,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, f"exit code {done.returncode}, not {code}:\n{said}"
    return said


def copy_book(source, folder):
    """A book that can be built on its own: `source`'s pages under this repository's configuration."""
    ignore = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")
    shutil.copytree(source / "book", folder / "book", ignore=ignore)
    shutil.copy(source / "_toc.yml", folder)
    shutil.copy(ROOT / "_config.yml", folder)
    for name in ("_static", "references.bib"):
        if not (folder / "book" / name).exists():
            copy = shutil.copytree if (ROOT / "book" / name).is_dir() else shutil.copy
            copy(ROOT / "book" / name, folder / "book" / name)
    return folder


@pytest.fixture(scope="session")
def fixture_book(tmp_path_factory):
    """The small book of tests/fixture_book, built once with the profile smoke. Do not change it: see `small_book`."""
    folder = copy_book(ROOT / "tests" / "fixture_book", tmp_path_factory.mktemp("fixture"))
    run_book(folder, "book", "--profile", "smoke")
    return folder


@pytest.fixture
def small_book(fixture_book, tmp_path):
    """A copy of the built fixture book that a test may break."""
    return Path(shutil.copytree(fixture_book, tmp_path / "small"))


@pytest.fixture(scope="session")
def book_copy(tmp_path_factory):
    """A copy of the real book, not executed yet; all tests of one session share its outputs."""
    return copy_book(ROOT, tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="session")
def built_book(book_copy):
    """The real book, executed with the profile smoke and built; the folder of its pages."""
    run_book(book_copy, "book", "--profile", "smoke")
    return book_copy / "build" / "_build" / "html"
