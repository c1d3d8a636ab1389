"""Chapters as plain Markdown, for notebooks."""

import re

import pytest
from conftest import ROOT

from implicit_rank.book.labels import Labels, labels_of
from implicit_rank.book.reading import Reader

CONFIG = {
    "sphinx": {
        "config": {"mathjax3_config": {"tex": {"macros": {"R": "\\mathbb{R}", "norm": ["\\lVert #1 \\rVert", 1]}}}}
    }
}
OTHER = "(sec-first)=\n# The first chapter\n\n$$\na\n$$ (eq-a)\n\n```{prf:theorem} Big\n:label: thm-big\nx\n```\n"
BIB = (
    "@article{sun2021,\n author={Sun, Shih-Yu and Lee, Ann and Third, C.},\n title={T}, journal={J},\n year={2021}\n}\n"
)


@pytest.fixture
def read(tmp_path):
    """Reads a chapter "02_second" that stands beside "01_first"."""
    (tmp_path / "references.bib").write_text(BIB, encoding="utf-8")

    def reader(text):
        labels = Labels()
        labels.add("01_first", OTHER)
        labels.add("02_second", text)
        return Reader(tmp_path, "02_second", labels, CONFIG).cell(text)

    return reader


@pytest.mark.parametrize(
    ("myst", "plain"),
    [
        ("By {cite:t}`sun2021`.", "By Sun et al. (2021)."),
        ("In {doc}`01_first`.", "In [The first chapter](01_first.ipynb)."),
        ("In {doc}`that <01_first>`.", "In [that](01_first.ipynb)."),
        ("See {ref}`sec-first`.", "See [The first chapter](01_first.ipynb)."),
        ("By {prf:ref}`thm-big` and {eq}`eq-a`", "By [Theorem 1.1](01_first.ipynb) and (1.1)"),
        ("{impl}`spectra.ranks`", "`implicit_rank.spectra.ranks`"),
        ("{run}`2 * 3`", "6"),
        (r"$\norm{a_{b}} \in \R^n \Re$", r"$\lVert a_{b} \rVert \in \mathbb{R}^n \Re$"),
        ("(sec-x)=\n## Title", "## Title"),
        ("$$\nx\n$$ (eq-x)", "$$\nx\n\\tag{2.1}\n$$"),
        ("```{math}\n:label: eq-y\ny\n```", "$$\ny\n\\tag{2.1}\n$$"),
        ("```{pair} cats\n:alt: Cats\n:tabs: stored\n\nSome cats.\n```", "**Fig. 2.1.** Some cats."),
        (
            "````{exercise} Why\n:label: ex-why\n\nWhy?\n````\n````{solution} ex-why\n:class: dropdown\n\nSo.\n````",
            "**Exercise 2.1** (Why). Why?\n<details><summary>Solution of Exercise 2.1</summary>\n\nSo.\n\n</details>",
        ),
        ("````{dropdown} More\n- a\n````", "<details><summary>More</summary>\n\n- a\n\n</details>"),
        ("```{prf:proof}\nClear.\n```", "<details><summary>Proof</summary>\n\nClear.\n\n</details>"),
        ("```python\n{run}`x`\n```", "```python\n{run}`x`\n```"),
    ],
)
def test_a_construct_reads_as_plain_markdown(read, myst, plain):
    assert read(myst) == plain


def test_numbers_are_counted_by_kind_through_the_page(read):
    text = "".join(
        f"```{{prf:{kind}}} {name}\n:label: l-{name}\n\nBody.\n```\n\n"
        for kind, name in (("theorem", "a"), ("lemma", "b"), ("theorem", "c"))
    )
    shown = read(text + "{prf:ref}`l-c`")
    assert [word in shown for word in ("**Theorem 2.1** (a)", "**Lemma 2.1** (b)", "**Theorem 2.2** (c)")] == [True] * 3
    assert shown.endswith("Theorem 2.2")


def test_the_numbers_are_those_of_the_page(fixture_book):
    """Sphinx counts by itself; both must agree, or a notebook would send its reader to another theorem."""
    page = (fixture_book / "build" / "_build" / "html" / "book" / "01_tiny.html").read_text(encoding="utf-8")
    labels = labels_of(fixture_book / "book")
    equation = re.search(r'id="equation-eq-second".*?class="eqno">\((\d+\.\d+)\)', page, re.S)
    assert labels.words["eq-second"][1] == f"({equation[1]})"
    theorem = re.search(r"Theorem (\d+\.\d+)", page)
    assert labels.words["thm-one"][1] == f"Theorem {theorem[1]}"
    figure = re.search(r"Fig\. (\d+\.\d+)", page)
    assert f"Fig. {figure[1]}" in labels.numbers.values()


def test_every_label_that_chapters_refer_to_is_known():
    labels = labels_of(ROOT / "book")
    for page in (ROOT / "book").glob("[0-9]*.md"):
        for kind, name in re.findall(r"\{(eq|ref|prf:ref|numref)\}`(?:[^`<]*<)?([\w-]+)>?`", page.read_text("utf-8")):
            assert name in labels.words, f"{page.name}: {kind} {name}"
