"""The checks of a built site find what they are for, and pass what is sound."""

import re
import shutil

import pytest
from conftest import ROOT

from implicit_rank.book import checks, site
from implicit_rank.book.layout import BookError, Layout

SOUND = """<!doctype html><html><head><link rel="stylesheet" href="_static/a.css">
<link rel="canonical" href="https://example.org/index.html"><script src="_static/a.js"></script>
<script>document.documentElement.dataset.mode = "light"; const link = "https://example.org";</script></head>
<body><h1 id="top-title">T</h1><a href="https://example.org">a link may lead anywhere</a>
<a href="other.html#there">other</a> <a href="#top-title">here</a> <a href="#">top</a>
<img src="_static/a.png" alt="A falling line"><img src="data:image/png;base64,AAAA" alt="A rising line">
<p>Text with the code <code>Warning: {glue:text}</code></p></body></html>"""


@pytest.fixture
def pages(tmp_path):
    (tmp_path / "_static").mkdir()
    for name in ("a.css", "a.js", "a.png"):
        (tmp_path / "_static" / name).write_text("", encoding="utf-8")
    (tmp_path / "other.html").write_text('<p id="there">x</p>', encoding="utf-8")
    (tmp_path / "index.html").write_text(SOUND, encoding="utf-8")
    return tmp_path


def test_a_sound_site_passes(pages):
    assert checks.check_site(pages) == []


@pytest.mark.parametrize(
    ("piece", "problem"),
    [
        ('<a href="gone.html">x</a>', "gone.html does not exist"),
        ('<a href="other.html#nowhere">x</a>', "other.html#nowhere points at no anchor"),
        ('<a href="#nowhere">x</a>', "#nowhere points at no anchor"),
        ('<img src="_static/gone.png" alt="words">', "_static/gone.png does not exist"),
        ('<img src="_static/a.png">', "image _static/a.png has no alt text"),
        ('<img src="_static/a.png" alt=" ">', "image _static/a.png has no alt text"),
        ('<img src="_static/a.png" alt="figure_1.png">', "has a file name for alt text"),
        ('<img src="_static/a.png" alt="../_images/abc.svg">', "has a file name for alt text"),
        ('<script src="https://cdn.org/x.js"></script>', "loads https://cdn.org/x.js from outside"),
        ('<script src="//cdn.org/x.js"></script>', "loads //cdn.org/x.js from outside"),
        ('<link rel="stylesheet" href="https://cdn.org/x.css">', "loads https://cdn.org/x.css from outside"),
        ('<link rel="preconnect" href="https://cdn.org">', "loads https://cdn.org from outside"),
        ('<img srcset="https://cdn.org/x.png 2x" src="_static/a.png" alt="words">', "loads https://cdn.org/x.png"),
        ('<iframe src="http://example.org"></iframe>', "loads http://example.org from outside"),
        ('<style>@import "https://cdn.org/x.css";</style>', "its style loads https://cdn.org/x.css"),
        ("<style>p { background: url(https://cdn.org/x.png) }</style>", "its style loads https://cdn.org/x.png"),
        ("<p style=\"background: url('//cdn.org/x.png')\">x</p>", "its style loads //cdn.org/x.png"),
        ('<script type="module">import x from "https://cdn.org/x.js"</script>', "a script loads https://cdn.org/x.js"),
        ('<script>fetch("https://cdn.org/x.json")</script>', "a script loads https://cdn.org/x.json"),
        ('<script>s.src = "https://cdn.org/x.js"</script>', "a script loads https://cdn.org/x.js"),
        ('<p id="top-title">x</p>', "the id 'top-title' occurs more than once"),
        ("<p>Traceback (most recent call last)</p>", "shows a traceback"),
        ("<p>RuntimeWarning: overflow</p>", "shows a Python warning"),
        ('<div class="output stderr">x</div>', "shows a cell's error output"),
        ('<div class="output traceback">x</div>', "shows a cell's error output"),
        ('<span class="problematic">x</span>', "shows a message of the document parser"),
        ("<p>{glue:text}`x`</p>", "shows a glue role"),
    ],
)
def test_each_problem_is_found(pages, piece, problem):
    (pages / "index.html").write_text(SOUND.replace("</body>", f"{piece}</body>"), encoding="utf-8")
    problems = checks.check_site(pages)
    assert len(problems) in (1, 2)
    assert any(p.startswith("index.html: ") and problem in p for p in problems), problems


def test_a_stylesheet_that_loads_from_outside_is_found(pages):
    (pages / "_static" / "a.css").write_text("@font-face { src: url('https://fonts.org/x.woff') }", encoding="utf-8")
    assert checks.check_site(pages) == ["_static/a.css: loads https://fonts.org/x.woff from outside"]


def test_an_empty_folder_is_no_site(tmp_path):
    assert "holds no page" in checks.check_site(tmp_path)[0]


def test_the_fixture_book_is_sound_and_offline(fixture_book):
    root = fixture_book / "build" / "_build" / "html"
    assert checks.check_site(root) == []
    assert (root / "_static" / "mathjax" / "tex-chtml-full.js").exists()
    page = (root / "book" / "01_tiny.html").read_text(encoding="utf-8")
    assert not re.search(r"<(?:script|link)[^>]*thebe[^>]*\.(?:js|css)", page)
    assert page.count('class="bd-search ') + page.count('class="search-button__wrapper') <= 2
    assert page.count("_static/book.css") == 1


def test_two_builds_give_the_same_pages(fixture_book, tmp_path):
    again = shutil.copytree(fixture_book, tmp_path / "again")
    shutil.rmtree(again / "build" / "_build")
    (again / "build" / "site.stamp").unlink()
    layout = Layout(again)
    site.build(layout, again / "build" / "executed" / "smoke", "smoke")
    first, second = (f / "build" / "_build" / "html" for f in (fixture_book, again))
    names = sorted(p.relative_to(first).as_posix() for p in first.rglob("*.html"))
    assert names == sorted(p.relative_to(second).as_posix() for p in second.rglob("*.html"))
    assert [n for n in names if (first / n).read_bytes() != (second / n).read_bytes()] == []


def test_every_page_of_the_table_of_contents_is_walked():
    toc = {"root": "a", "parts": [{"caption": "P", "chapters": [{"file": "b", "sections": [{"file": "c"}]}]}]}
    assert site.toc_files(toc) == ["a", "b", "c"]
    assert site.without(toc, {"b"}) == {"root": "a", "parts": []}
    assert site.toc_files(site.without(toc, {"c"})) == ["a", "b"]


def test_a_chapter_without_outputs_is_not_published(tmp_path):
    shutil.copytree(ROOT / "tests" / "fixture_book", tmp_path, dirs_exist_ok=True)
    shutil.copy(ROOT / "_config.yml", tmp_path)
    with pytest.raises(BookError, match="no executed copy of book/01_tiny: execute these first"):
        site.stage(Layout(tmp_path), tmp_path / "nothing", tmp_path / "stage", False, "smoke")
