"""What setuptools cannot say in pyproject.toml: the package brings along what its chapters read of the repository."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

TOP = Path(__file__).resolve().parent
SHELF = ("_toc.yml", "book/claims", "book/runs", "book/results")


class WithShelf(build_py):
    """Copy the ledger, the named groups and the stored runs into implicit_rank/shelf of what is installed."""

    def run(self):
        super().run()
        if self.editable_mode:
            return  # an editable installation reads the checkout itself
        shelf = Path(self.build_lib, "implicit_rank", "shelf")
        shutil.rmtree(shelf, ignore_errors=True)
        for name in SHELF:
            source, target = TOP / name, shelf / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*"))
            elif source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)


setup(cmdclass={"build_py": WithShelf})
