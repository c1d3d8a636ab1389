"""The built pages in a real browser: every equation renders, nothing breaks on a phone. Skipped without Chromium."""

import functools
import re
import shutil
import subprocess

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--virtual-time-budget=20000",
]
MEASURE = """<script>
addEventListener("error", e => { document.documentElement.dataset.error = String(e.message); });
addEventListener("load", () => setTimeout(() => {
  const wide = [...document.querySelectorAll("article *")].filter(e => {
    const box = e.getBoundingClientRect();
    if (box.width === 0 || box.right <= innerWidth + 1) return false;
    for (let p = e; p && p.tagName !== "ARTICLE"; p = p.parentElement)
      if (getComputedStyle(p).overflowX !== "visible") return false;
    return true;
  });
  const root = document.documentElement;
  root.dataset.width = root.scrollWidth;
  root.dataset.window = innerWidth;
  root.dataset.wide = wide.slice(0, 3).map(e => e.tagName + "." + e.className).join(" ");
}, 6000));
</script></body>"""

pytestmark = [
    pytest.mark.chapters,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine"),
]


@functools.lru_cache
def opened(page, width, folder):
    """The DOM of a page as a browser of that width leaves it, with our measurements on its root element."""
    copy = page.with_name(f"{page.stem}.measured.html")
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", MEASURE), encoding="utf-8")
    try:
        return subprocess.run(
            [BROWSER, *FLAGS, f"--user-data-dir={folder}", f"--window-size={width},900", "--dump-dom", copy.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout
    finally:
        copy.unlink()


def measured(dom, name):
    found = re.search(rf'data-{name}="([^"]*)"', dom[:5000])
    assert found, f"the page did not say its {name}"
    return found[1]


def broken(dom):
    """Equations with an error, and macros that MathJax does not know, which it prints in red."""
    return re.findall(r"<mjx-merror[^>]*>|<mjx-mtext[^>]*color: red[^>]*>", dom)


def pages(built_book):
    return sorted((built_book / "book").glob("*.html"))


def test_every_equation_renders(built_book, tmp_path):
    for page in pages(built_book):
        dom = opened(page, 1400, tmp_path)
        expected = len(re.findall(r'class="math[ "]', page.read_text(encoding="utf-8")))
        # tex2jax writes \\( and \\[; each becomes one container
        assert dom.count("<mjx-container") >= expected, page.name
        assert broken(dom) == [], page.name


def test_no_script_fails(built_book, tmp_path):
    for page in pages(built_book):
        assert 'data-error="' not in opened(page, 1400, tmp_path)[:5000], page.name


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_window(built_book, tmp_path, width):
    for page in pages(built_book):
        dom = opened(page, width, tmp_path)
        assert int(measured(dom, "window")) == width
        assert int(measured(dom, "width")) <= width, f"{page.name}: {measured(dom, 'wide')}"
        assert measured(dom, "wide") == "", page.name


def test_the_check_notices_a_broken_equation_and_a_wide_page(fixture_book, tmp_path):
    site = shutil.copytree(fixture_book / "build" / "_build" / "html", tmp_path / "html")
    page = site / "book" / "01_tiny.html"
    good = opened(page, 400, tmp_path / "a")
    assert good.count("<mjx-container") > 5
    assert broken(good) == []
    assert measured(good, "wide") == ""
    text = page.read_text(encoding="utf-8").replace(r"\tr(A)", r"\nosuchmacro{A}")
    assert r"\norm{x}" in text
    text = text.replace(r"\norm{x}", r"\left( x")
    text = text.replace("<h1>", '<div style="width: 900px">wide</div><h1>')
    page.with_name("bad.html").write_text(text, encoding="utf-8")
    bad = opened(page.with_name("bad.html"), 400, tmp_path / "b")
    assert len(broken(bad)) == 2
    assert measured(bad, "wide") != ""
