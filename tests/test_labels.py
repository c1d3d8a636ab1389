"""Equations name their functions and functions their equations; a test walks both ways."""

import equations
from conftest import ROOT

from implicit_rank.book import references
from implicit_rank.book.layout import Layout

PAGE = r"""
# T

$$
a = b
$$ (eq-a)

Code: {impl}`one.f`, {impl}`one.C.method`.

```{math}
:label: eq-b
c = d
```

Code: {impl}`one.g`.

$$ x = y $$ (eq-short)

````{prf:theorem} T
:label: thm-t

$$
e = f
$$ (eq-inside)

````

Code: {impl}`one.g`.
"""
MODULE = '''
def f():
    """Does f.

    Book: eq-a
    """

def g():
    """Does g.

    Book: eq-b, thm-t
    """

class C:
    def method(self):
        """Does it.

        Book: eq-a
        """
'''


def package(tmp_path, monkeypatch, page=PAGE, module=MODULE):
    (tmp_path / "book").mkdir(exist_ok=True)
    (tmp_path / "package").mkdir(exist_ok=True)
    (tmp_path / "book" / "01_x.md").write_text(page, encoding="utf-8")
    (tmp_path / "package" / "one.py").write_text(module, encoding="utf-8")
    monkeypatch.setattr(Layout, "package", tmp_path / "package")
    references._definitions_in.cache_clear()
    return Layout(tmp_path)


def test_the_book_and_the_package_name_each_other():
    assert equations.disagreements(Layout(ROOT)) == []


def test_labels_and_code_lines_are_read(tmp_path, monkeypatch):
    assert equations.named_in_text(PAGE) == {
        ("eq-a", "one.f"),
        ("eq-a", "one.C.method"),
        ("eq-b", "one.g"),
        ("thm-t", "one.g"),
    }
    assert {"eq-a", "eq-b", "eq-short", "thm-t", "eq-inside"} == set(equations.labels(PAGE))
    assert equations.disagreements(package(tmp_path, monkeypatch)) == []


def test_an_equation_naming_an_unknown_function_is_found(tmp_path, monkeypatch):
    layout = package(tmp_path, monkeypatch, PAGE.replace("one.f", "one.missing"))
    found = equations.disagreements(layout)
    assert any("names one.missing, which the package does not have" in p for p in found)
    assert any("one.f: its docstring names eq-a, but no 'Code:' line" in p for p in found)


def test_a_function_that_does_not_name_its_equation_is_found(tmp_path, monkeypatch):
    layout = package(tmp_path, monkeypatch, module=MODULE.replace("Book: eq-b, thm-t", "Nothing"))
    assert sum("docstring lacks 'Book:" in p for p in equations.disagreements(layout)) == 2


def test_a_label_no_chapter_has_is_found(tmp_path, monkeypatch):
    layout = package(tmp_path, monkeypatch, module=MODULE.replace("eq-b,", "eq-b, eq-none,"))
    assert "one.g: its docstring names eq-none, which no chapter has" in equations.disagreements(layout)


def test_a_code_line_away_from_its_equation_is_found(tmp_path, monkeypatch):
    layout = package(tmp_path, monkeypatch, PAGE + "\nSome text.\n\nCode: {impl}`one.f`.\n")
    assert any("follows no labelled equation" in p for p in equations.disagreements(layout))


def test_a_repeated_label_is_found(tmp_path, monkeypatch):
    layout = package(tmp_path, monkeypatch, PAGE + "\n$$\nq\n$$ (eq-short)\n")
    assert any("'eq-short' is already used" in p for p in equations.disagreements(layout))
