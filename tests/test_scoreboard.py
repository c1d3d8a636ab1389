"""The ledger's HTML: whole, escaped, self-contained, sortable and filterable in a browser."""

import dataclasses
import html.parser
import re
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

import pytest

from implicit_rank import claims
from implicit_rank.claims.evidence import Case
from implicit_rank.claims.grammar import Claim
from implicit_rank.claims.judging import Judgement
from implicit_rank.claims.page import meanings
from implicit_rank.claims.verdicts import VERDICTS, estimate

BOOK = Path(__file__).resolve().parents[1] / "book"


def made(name, verdict, values=(8.0, 8.2, 7.9), paper="Sun 2021", says="The rank is 8.", **fields):
    claim = Claim(
        paper=paper,
        id=name,
        where=f"Figure {name}",
        says=says,
        chapter="02_greedy_rank",
        kind="value",
        experiment="made",
        measure="value",
        expected=8,
        tolerance=0.5,
        **fields,
    )
    if verdict == "not run":
        case = Case("", verdict, "no stored run of made at the paper profile")
    else:
        case = Case("", verdict, "", estimate(values), dict(enumerate(values)), ("abc",))
    return Judgement(claim, verdict, case.reason, (case,), "paper" if verdict != "not run" else None, case.runs, False)


@pytest.fixture
def judgements():
    return [
        made("one", "reproduced", says='Zwölf < 13 & "so" <script>alert(1)</script>'),
        made("two", "not run", paper="Bao 2020"),
        made("three", "not reproduced", (3, 3, 3), erratum=True, paper_value="8 > 7", note="It is <b>3</b>."),
        made("four", "inconclusive", (6, 8, 10), paper="Bao 2020", question="ours", post_hoc="Seeds <were> added."),
        made("five", "reproduced", (8, 8, 8), corrects="three", paper_value=8),
        made("six", "partly", (8, 8, 7), seeds="each"),
        made("seven", "one run", (9,)),
    ]


@pytest.fixture
def more(judgements):
    """The same and two rows that others supersede."""
    return [
        *judgements,
        made("old", "reproduced", (8, 8, 8), superseded_by="four"),
        made("older", "not reproduced", (3, 3, 3), superseded_by="one", question="ours", post_hoc="Set late."),
    ]


class Checker(html.parser.HTMLParser):
    """Collects elements and text, and fails on tags that do not nest."""

    VOID: ClassVar = {"input", "br", "meta", "link", "img"}

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


def parse(shown):
    checker = Checker()
    checker.feed(shown._repr_html_())
    checker.close()
    assert checker.open == []
    return checker


def everything(judgements):
    return [
        claims.multiplicity(judgements),
        claims.badges("02", judgements),
        claims.rows_for("02", judgements),
        claims.counts(judgements),
        claims.scoreboard(judgements),
        claims.errata(judgements),
        meanings(),
    ]


def test_html_is_whole_escaped_and_loads_nothing(judgements):
    for shown in everything(judgements):
        checker = parse(shown)
        assert not [attrs for _, attrs in checker.elements if "src" in attrs]
        assert not [tag for tag, _ in checker.elements if tag in ("link", "img", "iframe", "b")]
        assert "http" not in shown._repr_html_()
        assert "alert(1)" not in "".join(re.findall(r"<script>(.*?)</script>", shown._repr_html_(), re.DOTALL))
        assert repr(shown)
        assert "<div" not in repr(shown)


def test_every_row_says_everything(judgements):
    checker = parse(claims.rows_for("02", judgements))
    text = " ".join(" ".join(checker.text).split())
    for said in (
        'Zwölf < 13 & "so" <script>alert(1)</script>',
        "Figure one",
        "accepted: 8 ± 0.5",
        "8 > 7",
        "8.03 [7.65, 8.41]",
        "3 seeds, paper profile",
        "It is <b>3</b>.",
        "erratum: fails as printed",
        "corrected form",
        "our question: no paper prints it",
        "post hoc: Seeds <were> added.",
        "No stored run of made at the paper profile.",
        "7 to 8",
        "in each seed",
    ):
        assert said in text, said
    for symbol, verdict in zip("✔◐✘?①○", VERDICTS, strict=True):
        assert f"{symbol} {verdict}" in text  # never colour alone
    cells = [attrs for tag, attrs in checker.elements if tag == "td"]
    assert len(cells) == 5 * len(judgements)
    assert all(attrs["data-label"] for attrs in cells)


def test_ids_stay_unique_when_shown_twice(judgements):
    for shown in (
        claims.badges("02", judgements),
        claims.rows_for("02", judgements),
        claims.counts(judgements),
        claims.errata(judgements),
    ):
        assert not [attrs["id"] for _, attrs in parse(shown).elements if "id" in attrs]
    ids = [attrs["id"] for _, attrs in parse(claims.scoreboard(judgements)).elements if "id" in attrs]
    assert ids == [f"claim-{j.claim.id}" for j in judgements]


def test_links_lead_to_pages_of_the_book(judgements):
    links = [attrs["href"] for _, attrs in parse(claims.scoreboard(judgements)).elements if "href" in attrs]
    assert links == ["02_greedy_rank.html"] * len(judgements)
    stray = [dataclasses.replace(j, claim=dataclasses.replace(j.claim, chapter="77_unwritten")) for j in judgements]
    checker = parse(claims.scoreboard(stray))
    assert not [attrs for _, attrs in checker.elements if "href" in attrs]
    assert "chapter 77" in checker.text


def test_a_chapter_without_claims_can_be_built():
    for shown in (claims.badges("99_unwritten"), claims.rows_for("99_unwritten")):
        assert repr(shown) == "No claim of the ledger is tested here."
        parse(shown)


def test_counts_and_errata(judgements):
    lines = repr(claims.counts(judgements)).splitlines()
    assert lines[2] == "all, printed: 6 claims: 2 reproduced, 1 partly, 1 not reproduced, 1 one run, 1 not run"
    assert lines[-1] == "all, our question: 1 claim: 1 inconclusive"
    text = " ".join(parse(claims.errata(judgements)).text)
    assert text.index("Figure three") < text.index("Figure five")
    assert "Figure one" not in text
    assert "No errata" in repr(claims.errata(judgements[:1]))


def test_superseded_rows_stand_apart_and_count_nowhere(judgements, more):
    for shown in everything(more):
        parse(shown)
    assert repr(claims.counts(more)).splitlines() == [
        *repr(claims.counts(judgements)).splitlines(),
        "2 superseded rows not counted.",
    ]
    assert repr(claims.badges("02", more)) == repr(claims.badges("02", judgements))
    assert repr(claims.multiplicity(more)) == repr(claims.multiplicity(judgements))
    assert repr(claims.scoreboard(more)).endswith("; 2 superseded, not counted")
    assert "old " in repr(claims.scoreboard(more)).replace("[superseded by four]", "old ")
    html = claims.scoreboard(more)._repr_html_()
    assert html.index('id="claim-seven"') < html.index("2 superseded rows, not counted") < html.index('id="claim-old"')
    assert '<a href="#claim-four">four</a>' in html
    assert '<a href="scoreboard.html#claim-four">four</a>' in claims.rows_for("02", more)._repr_html_()
    assert html.partition("<details>")[0].count("<tr ") == len(judgements)


def test_marks_stand_beside_the_verdict_at_the_head_of_a_chapter(judgements):
    text = " ".join(" ".join(parse(claims.badges("02", judgements)).text).split())
    assert "7 claims tested here: 6 printed: ✔ 2 reproduced" in text
    assert "; 1 of ours: ? 1 inconclusive" in text
    assert "? inconclusive our question post hoc The rank is 8." in text


def test_chance_is_counted_in_intervals(judgements):
    # of seven rows two are intervals: one and four; the others are points, seeds by themselves, or not there
    text = repr(claims.multiplicity(judgements))
    assert text.startswith("2 of the 7 rows are judged by 95 % intervals, 2 of them in all.")
    assert "2.5 % of the intervals, about 0, would" in text
    text = repr(claims.multiplicity(judgements * 20))
    assert "40 of them in all" in text
    assert "about 1, would" in text


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
SCRIPT = """
<pre></pre><script>
const out = (name, value) => document.querySelector("pre").append(`${name}: ${value}\\n`);
const rows = () => [...document.querySelectorAll("tbody tr")].filter((row) => !row.hidden)
  .map((row) => row.id.replace("claim-", "")).join(" ");
const set = (selector, value) => {
  const field = document.querySelector(selector);
  field.value = value;
  field.dispatchEvent(new Event("input"));
};
const heads = [...document.querySelectorAll("thead button")];
out("first", rows());
heads[4].click(); out("verdict", rows() + " " + heads[4].parentNode.getAttribute("aria-sort"));
heads[4].click(); out("back", rows() + " " + heads[4].parentNode.getAttribute("aria-sort"));
set("select.by-order", "0"); out("listed", rows() + " " + document.querySelectorAll("[aria-sort]").length);
set("input", "zwolf"); out("text", rows() + " " + document.querySelector("[role=status]").textContent);
set("input", "chapter 2"); out("phrase", rows());
set("input", "chapter 0"); out("no phrase", rows());
set("input", "MA-DE"); out("more", rows());
set("input", ""); heads[3].click(); out("found", rows()); heads[3].click(); out("least first", rows());
set("select.by-order", "0");
set("input", ""); set("select.by-verdict", "reproduced"); out("chosen", rows());
set("select.by-paper", "Bao 2020"); out("none", rows());
set("select.by-verdict", ""); out("paper", rows());
set("select.by-paper", ""); set("select.by-question", "ours"); out("ours", rows());
set("select.by-question", "printed"); set("select.by-mark", "post hoc"); out("printed and marked", rows());
set("select.by-question", ""); out("marked", rows());
heads[0].focus(); out("focus", document.activeElement === heads[0]);
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_sorting_and_filtering_in_a_browser(judgements, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        f"<!doctype html><meta charset='utf-8'><body>{claims.scoreboard(judgements)._repr_html_()}{SCRIPT}",
        encoding="utf-8",
    )
    words = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run([BROWSER, *words], capture_output=True, text=True, timeout=180, check=True)
    lines = dict(line.split(": ", 1) for line in re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)[1].splitlines())
    assert lines == {
        "first": "one two three four five six seven",
        "verdict": "one five six three four seven two ascending",
        "back": "two seven four three six one five descending",
        "listed": "one two three four five six seven 1",
        "text": "one 1 of 7 claims shown",
        "phrase": "one two three four five six seven",  # all are of chapter 2
        "no phrase": "one two three four five six seven",  # nowhere together, but each word in every row
        "more": "one two three four five six seven",  # the experiment, which stands in no cell; hyphens do not matter
        "found": "three six four five one seven two",  # by its number; what has none is last ...
        "least first": "seven one four five six three two",  # ... both ways
        "chosen": "one five",
        "none": "",
        "paper": "two four",
        "ours": "four",
        "printed and marked": "",
        "marked": "four",
        "focus": "true",
    }
