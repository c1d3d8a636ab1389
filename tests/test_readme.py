"""The README's score is computed, and its commands exist."""

from pathlib import Path

from implicit_rank.claims import ledger
from implicit_rank.claims.score import END, START, score_table, with_score

README = Path(__file__).parents[1] / "README.md"


def test_the_score_is_the_one_computed_now():
    text = README.read_text(encoding="utf-8")
    assert START in text
    assert with_score(text, ledger()) == text, "run `python -m implicit_rank claims --write`"


def test_the_score_counts_every_claim_once():
    judgements = ledger()
    rows = score_table(judgements).splitlines()[2:]
    counts = [[int(cell) for cell in row.split("|")[2:-1]] for row in rows]
    assert sum(row[0] for row in counts) == len(judgements)
    assert all(row[0] == sum(row[1:]) for row in counts)


def test_a_text_without_markers_is_left_alone():
    assert with_score("no markers here", ledger()) == "no markers here"
    assert with_score(f"a {START} old {END} b", []).startswith(f"a {START}")


def test_files_named_in_the_readme_exist():
    text = README.read_text(encoding="utf-8")
    for name in ("book/02_greedy_rank.md", "book/02_greedy_rank.ipynb", "book/_static/cover.png", "CITATION.cff"):
        assert name in text
        assert (README.parent / name).exists()
