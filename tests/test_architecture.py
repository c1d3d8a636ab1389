"""The page on architecture: what it tells people to add is added to a copy of the project, and works."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

PAGE = ROOT / "book" / "architecture.md"
BLOCK = re.compile(r"^(`{5,})\{code-block\} (\w+)\n:caption: ([^\n]+)\n\n(.*?)\n\1$", re.M | re.S)


def blocks():
    """(file, how it is added, content) of every example of the page."""
    found = []
    for _, _, caption, content in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        name, _, place = caption.partition(", ")
        found.append((name, place, content + "\n"))
    return found


def add(top, name, place, content):
    """Do to a file what the page's caption says."""
    path = top / name
    if not place:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        if path.suffix == ".py":
            (path.parent / "__init__.py").touch()
        return
    text = path.read_text(encoding="utf-8")
    if place == "among the imports":
        text = text.replace("from implicit_rank.data.shapes", content + "from implicit_rank.data.shapes", 1)
    else:
        kind, _, mark = place.partition(" ")
        lines = text.splitlines(keepends=True)
        # "in X": after the line that opens the table X; "after X": after the line that names X
        opening = r"^{}\b.*[{{(\[]$" if kind == "in" else r".*{}$"
        at = next(i for i, line in enumerate(lines) if re.match(opening.format(mark), line.rstrip()))
        at += next(i for i, line in enumerate(lines[at:]) if line.lstrip().startswith('"')) - 1 if kind == "in" else 0
        text = "".join([*lines[: at + 1], content, *lines[at + 1 :]])
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the project with everything on the page added to it."""
    top = tmp_path_factory.mktemp("extended")
    ignore = shutil.ignore_patterns("__pycache__", "results", "*.ipynb", "*.egg-info")
    for folder in ("src", "book"):
        shutil.copytree(ROOT / folder, top / folder, ignore=ignore)
    for name in ("_toc.yml", "_config.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, top)
    for block in blocks():
        add(top, *block)
    return top


def command(top, *words):
    done = subprocess.run(
        [sys.executable, *words],
        cwd=top,
        env=os.environ | {"PYTHONPATH": str(top / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_has_all_its_examples():
    names = [name for name, _, _ in blocks()]
    assert len(names) == 10
    assert all((ROOT / name).exists() for name, place, _ in blocks() if place)
    assert not any((ROOT / name).exists() for name, place, _ in blocks() if not place)


def test_the_experiment_runs_is_judged_and_reads_as_a_chapter(extended):
    assert "product_rank" in command(extended, "-m", "implicit_rank", "run")
    said = command(extended, "-m", "implicit_rank", "run", "product_rank", "--profile", "paper")
    assert "Stored 15 members" in said
    verdict = command(extended, "-m", "implicit_rank", "claims", "--chapter", "15")
    assert "reproduced  ours-product-rank-falls" in verdict
    # the other pages name runs that this copy does not have, so only the new one is looked at
    command(extended, "-m", "implicit_rank", "book", "--only", "15", "--profile", "smoke", "--execute-only")
    page = (extended / "book" / "15_product_rank.ipynb").read_text(encoding="utf-8")
    first, last = re.search(r"single factor has rank (\d+), a product of sixteen (\d+)\.", page).groups()
    assert int(first) > int(last)
    assert "✔\u00a0reproduced" in page
    executed = extended / "build" / "executed" / "smoke" / "15_product_rank.ipynb"
    assert "fig-ranks-stored" in executed.read_text(encoding="utf-8")


def test_the_data_set_is_there_for_every_experiment(extended):
    code = (
        "from implicit_rank.data import load; from implicit_rank.data.load import IMAGE_NAMES; "
        "train, test = load('stripes', size=16), load('stripes', 'test', size=16); "
        "print('stripes' in IMAGE_NAMES, tuple(train.images.shape), tuple(test.images.shape))"
    )
    assert command(extended, "-c", code).split("\n")[0] == "True (1000, 1, 16, 16) (200, 1, 16, 16)"
    from implicit_rank import data

    with pytest.raises(ValueError, match="unknown images 'stripes'"):
        data.load("stripes")
