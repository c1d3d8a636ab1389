"""The README's score is computed, its commands and those of the page on running exist, and its code runs."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from implicit_rank.__main__ import parser
from implicit_rank.book.layout import chapters, find_layout, select
from implicit_rank.claims import ledger
from implicit_rank.claims.score import END, START, score_table, with_score
from implicit_rank.experiments import register

README = Path(__file__).parents[1] / "README.md"
RUNNING = README.parent / "book" / "running.md"
BOOK = ("python", "-m", "implicit_rank")


def test_the_score_is_the_one_computed_now():
    text = README.read_text(encoding="utf-8")
    assert START in text
    assert with_score(text, ledger()) == text, "run `python -m implicit_rank claims --write`"


def test_the_score_counts_every_claim_once():
    judgements = ledger()
    rows = score_table(judgements).splitlines()[2:]
    counts = [[int(cell) for cell in row.split("|")[3:-1]] for row in rows]
    standing = [judgement for judgement in judgements if not judgement.claim.superseded_by]
    assert sum(row[0] for row in counts) == len(standing)
    assert sum(row[1] for row in counts) == sum(bool(judgement.claim.post_hoc) for judgement in standing)
    assert all(row[0] == sum(row[2:]) for row in counts)
    assert [row.split("|")[2].strip() for row in rows] == ["printed", "our question"] * 3


def test_a_text_without_markers_is_left_alone():
    assert with_score("no markers here", ledger()) == "no markers here"
    assert with_score(f"a {START} old {END} b", []).startswith(f"a {START}")


def test_files_named_in_the_readme_exist():
    text = README.read_text(encoding="utf-8")
    named = re.findall(r"[\w./]*\w/[\w./]*\.\w+|CITATION\.cff", re.sub(r"```.*?```|https?://\S+", "", text, flags=re.S))
    assert {"book/02_greedy_rank.ipynb", "book/_static/cover.png", "book/04_irmae_images.md", "CITATION.cff"} <= {
        *named
    }
    for name in named:
        top = README.parent
        assert any((place / name).exists() for place in (top, top / "book", top / "src" / "implicit_rank")), name


def test_one_word_leads_from_a_chapter_to_all_that_makes_it():
    """Jing's Table 2, say: computed, judged and drawn are found by the chapter's own word."""
    top = README.parent
    for page in sorted((top / "book").glob("[0-9]*.md")):
        _, _, word = page.stem.partition("_")
        word = {"greedy_mnist": "greedy_images", "cifar10": "greedy_images"}.get(word, word)
        package = top / "src" / "implicit_rank"
        assert (package / "experiments" / word).is_dir(), page.stem
        assert (package / "figures" / word).is_dir() or (package / "figures" / f"{word}.py").is_file(), page.stem
        assert list((top / "book" / "claims").glob(f"*_{word}.toml")), page.stem
    tables = (package / "figures" / "irmae_images" / "tables.py").read_text(encoding="utf-8")
    assert "Table 2" in tables


# ---- commands ----
def commands(page: Path) -> list[list[str]]:
    """The words of every command in a page's shell blocks, and of those within its sentences."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    lines += re.findall(r"`((?:make|papermill|python) [^`\n]+)`", re.sub(r"```sh\n.*?```", "", text, flags=re.DOTALL))
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def beginning(page: Path, *start: str) -> list[list[str]]:
    return [words[len(start) :] for words in commands(page) if tuple(words[: len(start)]) == start]


def parameters(chapter: Path) -> set[str]:
    """The names in a chapter's cell of parameters."""
    text = chapter.with_suffix(".md").read_text(encoding="utf-8")
    (cell,) = re.findall(r"^:tags: \[parameters\]\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    return set(re.findall(r"^(\w+):", cell, re.MULTILINE))


@pytest.mark.parametrize(
    ("page", "verbs"),
    [
        (README, {"doctor", "run", "sweep", "claims"}),
        (RUNNING, {"book", "run", "claims", "sweep", "gpu", "import", "fetch", "restamp"}),
    ],
)
def test_the_command_line_takes_what_a_page_says(page, verbs):
    found = beginning(page, *BOOK)
    assert {words[0] for words in found} == verbs
    for words in found:
        args = vars(parser(words).parse_args(words))  # leaves the test by SystemExit where it is refused
        assert args.get("experiment") in (None, *register.names())
        if args.get("only"):
            for chapter in select(chapters(find_layout(README.parent)), args["only"]):
                assert {text.partition("=")[0] for text in args["parameter"]} <= parameters(chapter)


@pytest.mark.parametrize("page", [README, RUNNING])
def test_papermill_takes_what_a_page_says(page):
    from papermill.cli import papermill

    found = beginning(page, "papermill")
    assert found
    for words in found:
        given = papermill.make_context("papermill", list(words)).params  # raises click's UsageError
        chapter = README.parent / given["notebook_path"]
        assert chapter.is_file()
        assert {name for name, _ in given["parameters"]} <= parameters(chapter)


@pytest.mark.parametrize("page", [README, RUNNING])
def test_make_takes_what_a_page_says(page):
    rules = (README.parent / "Makefile").read_text(encoding="utf-8")
    targets, variables = (set(re.findall(form, rules, re.MULTILINE)) for form in (r"^(\w+):", r"^(\w+) \?="))
    found = beginning(page, "make")
    assert len(found) >= 2
    for words in found:
        assert {word for word in words if "=" not in word} <= targets
        assert {word.partition("=")[0] for word in words if "=" in word} <= variables


@pytest.mark.parametrize("page", [README, RUNNING])
def test_the_environment_is_entered_before_it_is_needed(page):
    text = page.read_text(encoding="utf-8")
    entered = text.index("\n. .venv/bin/activate ")
    assert entered < min(text.index(f"{words} ") for words in ("papermill book/02_greedy_rank.ipynb", " ".join(BOOK)))


# ---- code ----
def snippet(word: str) -> str:
    """The README's one block of Python that has this word."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if word in block)
    return code


def test_the_chain_of_the_readme_runs():
    names = {"encoder": torch.nn.Linear(20, 64), "x": torch.randn(5, 20)}
    exec(snippet("LinearChain("), names)
    torch.testing.assert_close(names["encoder_head"](names["encoder"](names["x"])), names["codes"])
    assert names["chain"].parameter_groups(1e-3)


def test_the_training_of_the_readme_runs_and_is_not_run_twice(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("my_images").mkdir()
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (12, 40, 36), np.uint8)):
        Image.fromarray(pixels).save(f"my_images/{i}.png")
    first, second = {}, {}
    exec(snippet("train("), first)
    said = capsys.readouterr().out
    assert first["history"].epochs[-1] == 10
    assert first["history"].values["error"].shape == (3, 11)
    exec(snippet("train("), second)
    assert capsys.readouterr().out == said
    assert second["history"].seconds == first["history"].seconds  # not one step was taken
    assert torch.equal(second["models"][2].effective_matrix(), first["models"][2].effective_matrix())
    third = {}
    exec(snippet("train(").replace("epochs=10", "epochs=12"), third)
    assert third["history"].epochs[-1] == 12
    assert third["history"].seconds > first["history"].seconds
    for ours, theirs in (("lr=1e-3", "lr=2e-3"), ("(0, 2, 4)", "(0, 2, 3)"), ("seed(0)", "seed(1)"), ("=32", "=16")):
        with pytest.raises(ValueError, match=r"^the checkpoint build/mine\.npz is of another training \(.*\); keep"):
            exec(snippet("train(").replace(ours, theirs), {})
