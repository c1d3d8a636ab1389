"""Numbers in prose: `{run}` and `{claim}`."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
from conftest import ROOT

from implicit_rank.book import values
from implicit_rank.book.groups import Groups, groups_of
from implicit_rank.book.layout import BookError
from implicit_rank.claims import ledger, wording
from implicit_rank.experiments import register
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option
from implicit_rank.store import Spec, Store


@dataclasses.dataclass(frozen=True)
class Toy(Spec):
    experiment: ClassVar[str] = "toy"
    depth: int = option(0, "depth")


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Depths 0 and 4 with seeds 0 to 2, depth 8 with seed 2 alone; the error of seed s at depth d is 10 s + d + 1."""
    store = Store(tmp_path)
    for depth, seeds in ((0, (0, 1, 2)), (4, (0, 1, 2)), (8, (2,))):
        for seed in seeds:
            spec = Toy(profile="paper", seed=seed, depth=depth)
            store.save(spec, {"error": 10.0 * seed + depth + 1, "odd": None if seed else 7.0}, {"x": np.ones(2)})

    def never(record):
        return (np.inf, 1.0, np.nan)[record.seed]

    measures = {"error": lambda r: r.scalars["error"], "at_0.02": lambda r: 1.0 * r.seed, "never": never}
    toy = Experiment(Toy, lambda profile, seeds=None: [], lambda specs, device: [], measures)
    monkeypatch.setitem(register._ADDED, "toy", toy)
    content = {
        "experiment": "toy",
        "plain": {"depth": 0},
        "chain": {"depth": 4},
        "deep": {"depth": 8},
        "none": {"depth": 99},
        "several": {"depth": [0, 4]},
        "both": {"join": ["plain", "deep"]},
        "misspelt": {"dept": 0},
    }
    return Groups("toy", content, store)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("plain.error", "11"),
        ("plain.error:.2f", "11.00"),
        ("plain.error - chain.error:.0f", "\u22124"),  # a real minus sign
        # seed by seed: mean of 5/1, 15/11, 25/21, not the ratio of the means (15/11)
        ("chain.error / plain.error:.4f", f"{np.mean([5 / 1, 15 / 11, 25 / 21]):.4f}"),
        ("deep.error / plain.error:.3f", f"{29 / 21:.3f}"),  # of the seed that both have
        ("2 * (plain.error + 1)", "24"),
        ("-plain.error:.0f", "\u221211"),
        ("plain['at_0.02']", "1"),
        ("least(plain.error)", "1"),
        ("most(plain.error)", "21"),
        ("median(chain.error)", "15"),
        ("geometric(plain.error):.3f", f"{(1 * 11 * 21) ** (1 / 3):.3f}"),
        ("ends(plain.error):.0f", "1 to 21"),
        ("listed(plain.error)", "1, 11, 21"),
        ("listed(plain.error / 10):.1f", "0.1, 1.1, 2.1"),
        ("listed(plain.never)", "never, 1, none"),
        ("listed(none.error)", values.NOT_RUN),
        ("ends(each(several.error))", "1 to 25"),  # not 3 to 23, the ends of the seeds' means
        ("listed(each(both['error']))", "1, 11, 21, 29"),
        ("most(each(none.error))", values.NOT_RUN),
        ("count(several)", "6"),
        ("seeds(several)", "3"),
        ("count(both)", "4"),
        ("several.error", "13"),  # the mean of a seed's runs first
        ("none.error:.1f", values.NOT_RUN),
        ("none.error / plain.error", values.NOT_RUN),
        ("plain.error / 0", values.NOT_RUN),
        ("reached(plain.odd)", "7"),
        ("reached(deep.odd)", values.NOT_RUN),
        ("plain.odd", values.NOT_RUN),  # a seed has no value: the mean of the others is not shown as if it were all
    ],
)
def test_an_expression_is_its_number(groups, expression, text):
    assert values.run_text(expression, groups) == text


def test_an_interval_is_the_ledgers(groups):
    from implicit_rank.claims.verdicts import estimate

    assert values.run_text("interval(plain.error)", groups) == wording.numbers(estimate([1.0, 11.0, 21.0]))


def test_an_interval_of_what_is_positive_stays_positive(groups):
    from implicit_rank.claims.verdicts import estimate

    shown = values.run_text("log_interval(plain.error)", groups)
    assert shown == wording.numbers(estimate([1.0, 11.0, 21.0], logarithmic=True))
    assert shown.startswith("6.1 [0.")
    with pytest.raises(BookError, match="numbers that are not negative"):
        values.run_text("log_interval(plain.error - 5)", groups)


def test_runs_in_words(groups):
    assert values.run_text("runs(plain)", groups).startswith("Profile paper, 3 runs, seeds 0 to 2")


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("plane.error", r"unknown group of runs .*'plane' \(did you mean 'plain'\?\)"),
        ("plain.eror", r"unknown measure 'eror' \(did you mean 'error'\?\)"),
        ("misspelt.error", r"group 'misspelt': unknown spec field 'dept'"),
        ("nothing(plain)", "unknown group, number or function 'nothing'"),
        ("plain.error:.zz", "cannot write a number as"),
        ("plain.error +", "takes names, numbers"),
        ("plain.error ** 2", "takes names, numbers"),
        ("each(each(plain).error)", "takes a measure of a group"),
        ("each(plain)", r"takes each\(group\.measure\)"),
        ("eahc(plain.error)", "did you mean 'each'"),
        ("__import__('os').getcwd()", "takes names, numbers"),
        ("[1 for x in plain]", "takes names, numbers"),
    ],
)
def test_what_cannot_be_meant_is_refused(groups, expression, sentence):
    with pytest.raises(BookError, match=sentence):
        values.run_text(expression, groups)


def test_functions_of_the_chapter(groups, monkeypatch):
    functions = {"twice": lambda found, number=1: 2 * number * len(found["plain"]), "absent": lambda found: None}
    monkeypatch.setattr(Groups, "number", lambda self, name: functions.get(name))
    assert values.run_text("twice", groups) == "6"
    assert values.run_text("twice(5) / 3:.1f", groups) == "10.0"
    assert values.run_text("absent", groups) == values.NOT_RUN


def test_a_claim_is_what_the_ledger_says():
    judgement = ledger()[0]
    name = judgement.claim.id
    assert values.claim_text(f"{name}.ours") == "; ".join(wording.ours(judgement))
    assert values.claim_text(f"{name}.paper") == wording.paper_value(judgement)
    whole = values.claim_text(name)
    assert not judgement.claim.post_hoc
    assert whole.endswith(f"{wording.SYMBOLS[judgement.verdict]}\u00a0{judgement.verdict}")
    assert values.claim_text(f"{name}.ours") in whole
    assert f'href="scoreboard.html#claim-{name}"' in values.claim_text(f"{name}.verdict", links=True)
    with pytest.raises(BookError, match="unknown claim"):
        values.claim_text(name + "x")
    with pytest.raises(BookError, match=r"unknown part of a claim 'our' \(did you mean 'ours'"):
        values.claim_text(f"{name}.our")


def test_rows_of_one_kind_are_counted_by_verdict():
    rows = [j for j in ledger() if j.claim.id.startswith("jing2020-table2-vae-") and j.claim.expected is not None]
    assert len(rows) == 5
    for verdict in ("one run",):
        count = sum(judgement.verdict == verdict for judgement in rows)
        assert values.claim_text(f"jing2020-table2-vae-[1-9]*.{verdict}") == str(count) != "0"
    inside = [values.claim_text(f"jing2020-table2-{model}-[1-9]*.inside") for model in ("ae", "vae", "irmae")]
    assert inside == ["4", "3", "1"]  # of single runs too, which decide nothing
    with pytest.raises(BookError, match="no claim has a name like 'jing2020-tabel2-\\*'"):
        values.claim_text("jing2020-tabel2-*.reproduced")
    with pytest.raises(BookError, match="unknown verdict 'reproduce'"):
        values.claim_text("jing2020-table2-vae-*.reproduce")


def test_rows_are_counted_by_question_and_mark():
    every = ledger()
    standing = [j for j in every if not j.claim.superseded_by]
    number = {name: int(values.claim_text(f"*.{name}")) for name in ("claims", "post hoc", "superseded", "one run")}
    assert number == {
        "claims": len(standing),
        "post hoc": sum(bool(j.claim.post_hoc) for j in standing),
        "superseded": len(every) - len(standing),
        "one run": sum(j.verdict == "one run" for j in standing),
    }
    for what in ("claims", "not reproduced", "post hoc"):
        both = [int(values.claim_text(f"*.{what}.{question}")) for question in ("printed", "ours")]
        assert sum(both) == int(values.claim_text(f"*.{what}"))
    with pytest.raises(BookError, match=r"unknown sort of question 'our' \(did you mean 'ours'"):
        values.claim_text("*.claims.our")


def test_a_mark_follows_the_verdict_in_prose():
    marked = next(j for j in ledger() if j.claim.post_hoc)
    assert values.claim_text(f"{marked.claim.id}.verdict").endswith(f"{marked.verdict}, post\u00a0hoc")


def test_code_is_left_alone_and_a_mistake_names_page_and_line(tmp_path):
    text = "one `{run}` and `{claim}`\n\n```python\n{run}`x.y`\n```\n\n{run}`6 / 4`\n\n"
    text += "````{prf:proof}\n{run}`1 + 1`\n````\n"
    filled = values.fill(text, "02_x", tmp_path)
    assert filled == text.replace("{run}`6 / 4`", "1.5").replace("{run}`1 + 1`", "2")
    with pytest.raises(BookError, match=r"02_x\.md, line 5: unknown group"):
        values.fill("a\n{run}`1`\n\n\n{run}`x.y`", "02_x", tmp_path)


def test_a_file_of_groups_that_is_not_toml_is_named(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "02_x.toml").write_text("[a\n", encoding="utf-8")
    with pytest.raises(BookError, match=r"book/runs/02_x\.toml cannot be read"):
        groups_of(tmp_path, "02_x")


@pytest.mark.parametrize("path", sorted((ROOT / "book" / "runs").glob("*.toml")), ids=lambda path: path.stem)
def test_every_group_of_the_book_names_runs_that_are_stored(path):
    found = groups_of(ROOT / "book", path.stem)
    assert (ROOT / "book" / f"{path.stem}.md").is_file()
    for name in found:
        assert found[name], f"{path.name}: no stored run is in group {name!r}"
        assert all(record.profile == found[name][0].profile for record in found[name])
