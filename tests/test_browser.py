"""The built pages in a real browser: every equation renders, nothing breaks on a phone. Skipped without Chromium."""

import html
import json
import re
import shutil
import subprocess

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1400,900",
    "--virtual-time-budget=30000",
    "--dump-dom",
]
WIDTHS = (400, 1400)  # a phone and a desk
MEASURE = """<script>
const errors = [];
addEventListener("error", e => errors.push(String(e.message)));
addEventListener("load", () => setTimeout(() => {
  const wide = [...document.querySelectorAll("article *")].filter(e => {
    const box = e.getBoundingClientRect();
    if (box.width === 0 || box.right <= innerWidth + 1) return false;
    for (let p = e; p && p.tagName !== "ARTICLE"; p = p.parentElement)
      if (getComputedStyle(p).overflowX !== "visible") return false;
    return true;
  });
  parent.postMessage(JSON.stringify({
    errors, window: innerWidth, width: document.documentElement.scrollWidth,
    wide: wide.slice(0, 3).map(e => e.tagName + "." + e.className),
    equations: document.querySelectorAll("mjx-container").length,
    broken: [...document.querySelectorAll("mjx-merror, mjx-mtext")]
      .filter(e => e.tagName === "MJX-MERROR" || e.style.color === "red").map(e => e.parentElement.textContent),
  }), "*");
}, 6000));
</script></head>"""
FRAMES = """<!doctype html><pre id="reports"></pre><script>
const reports = [];
addEventListener("message", e => {
  reports.push(JSON.parse(e.data));
  document.getElementById("reports").textContent = JSON.stringify(reports);
});
</script>"""

pytestmark = [pytest.mark.chapters, pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine")]


def look_at(page, folder):
    """What a page reports of itself at each width: {width: report}. Frames, as a window has a least width."""
    measured, frames = page.with_name(f"{page.stem}.measured.html"), page.with_name(f"{page.stem}.frames.html")
    measured.write_text(page.read_text(encoding="utf-8").replace("</head>", MEASURE, 1), encoding="utf-8")
    style = f'height="900" style="border: 0" src="{measured.name}"'
    inside = "".join(f'<iframe width="{w}" {style}></iframe>' for w in WIDTHS)
    frames.write_text(FRAMES + inside, encoding="utf-8")
    try:
        dom = subprocess.run(
            [BROWSER, *FLAGS, f"--user-data-dir={folder}", frames.as_uri()], capture_output=True, text=True, timeout=180
        ).stdout
    finally:
        measured.unlink()
        frames.unlink()
    found = re.search(r'<pre id="reports">(.+?)</pre>', dom, re.DOTALL)
    assert found, f"{page.name} did not report"
    reports = {r["window"]: r for r in json.loads(html.unescape(found[1]))}
    assert sorted(reports) == sorted(WIDTHS), page.name
    return reports


@pytest.fixture(scope="module")
def reports(built_book, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    return {p.name: (p, look_at(p, folder)) for p in sorted((built_book / "book").glob("*.html"))}


def test_every_equation_renders(reports):
    for name, (page, report) in reports.items():
        expected = len(re.findall(r'class="math[ "]', page.read_text(encoding="utf-8")))
        for width in WIDTHS:
            assert report[width]["equations"] >= expected, name
            assert report[width]["broken"] == [], name


def test_no_script_fails(reports):
    assert {name: r[1400]["errors"] for name, (_, r) in reports.items() if r[1400]["errors"]} == {}


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(reports, width):
    assert {name: r[width]["wide"] for name, (_, r) in reports.items() if r[width]["wide"]} == {}
    assert {name: r[width]["width"] for name, (_, r) in reports.items() if r[width]["width"] > width} == {}


def test_the_look_notices_broken_equations_wide_things_and_failing_scripts(fixture_book, tmp_path):
    site = shutil.copytree(fixture_book / "build" / "_build" / "html", tmp_path / "html")
    page = site / "book" / "01_tiny.html"
    good = look_at(page, tmp_path / "profile")[400]
    assert good["equations"] > 5
    assert (good["broken"], good["wide"], good["errors"]) == ([], [], [])
    assert good["width"] == 400
    text = page.read_text(encoding="utf-8")
    for old, new in ((r"\tr(A)", r"\nosuchmacro{A}"), (r"\norm{x}", r"\left( x"), ("<h1>", WIDE + "<h1>")):
        assert old in text
        text = text.replace(old, new)
    page.write_text(text, encoding="utf-8")
    bad = look_at(page, tmp_path / "profile")[400]
    assert len(bad["broken"]) == 2
    assert bad["wide"]
    assert bad["errors"]


WIDE = '<div style="width: 900px">wide</div><script>nosuchfunction()</script>'
