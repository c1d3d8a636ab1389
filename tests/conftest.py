"""Copies of the book for tests that execute and build: the checkout itself is never written to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]


def run_book(folder, *arguments, code=0, package=ROOT / "src", **environment):
    """`python -m implicit_rank ...` in `folder`; its printed text, after checking the exit code."""
    source = os.pathsep.join(p for p in (str(package), os.environ.get("PYTHONPATH")) if p)
    done = subprocess.run(
        [sys.executable, "-m", "implicit_rank", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": source} | environment,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert code is None or done.returncode == code, f"exit code {done.returncode}, not {code}:\n{said}"
    return said


@pytest.fixture(autouse=True)
def ordinary_numbers():
    """Runs flush the smallest numbers to zero in their whole process; the next test begins without that."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


def live_records(results, provenance=None):
    """Results of a run as figures and measures take them."""
    from implicit_rank.store import live_record

    return [live_record(r.spec, r.scalars, r.arrays, provenance) for r in results]


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


def once(tmp_path_factory, name, make):
    """A folder that `make(folder)` fills once, for all processes of one run of the tests."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder, done = base / name, base / f"{name}.done"
    with FileLock(base / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def fixture_book(tmp_path_factory):
    """The small book of tests/fixture_book, built once with the profile smoke. Do not change it: see `small_book`."""
    return once(tmp_path_factory, "fixture", build_fixture)


def build_fixture(folder):
    copy_book(ROOT / "tests" / "fixture_book", folder)
    run_book(folder, "book", "--profile", "smoke")


@pytest.fixture
def small_book(fixture_book, tmp_path):
    """A copy of the built fixture book that a test may break."""
    return Path(shutil.copytree(fixture_book, tmp_path / "small"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A folder with the package as `pip install` puts it: no checkout is near it."""
    return once(tmp_path_factory, "installed", install)


def install(folder):
    """Build a wheel of a copy of the repository and unpack it; without a network, and nothing else with it."""
    source = folder.with_name("to-install")
    shutil.rmtree(source, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "_static")
    for name in ("src", "book"):
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "_toc.yml"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(folder), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(source)


@pytest.fixture(scope="session")
def executed_book(tmp_path_factory, installed):
    """The real book's chapters in a folder of their own, executed with the profile smoke by the installed package.

    Neither ledger nor stored runs are there, only what the package brought along; `execution.log` is what was said.
    """

    def execute(folder):
        copy_book(ROOT, folder)
        for name in ("claims", "results"):
            shutil.rmtree(folder / "book" / name)
        words = ("book", "--profile", "smoke", "--execute-only")
        (folder / "execution.log").write_text(run_book(folder, *words, code=None, package=installed), encoding="utf-8")

    return once(tmp_path_factory, "book", execute)


@pytest.fixture(scope="session")
def built_book(executed_book, installed):
    """The folder of the real book's pages, built from its outputs at the profile smoke."""
    with FileLock(executed_book.with_suffix(".building")):
        run_book(executed_book, "book", "--profile", "smoke", package=installed)
    return executed_book / "build" / "_build" / "html"
