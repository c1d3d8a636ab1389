"""Every internal link, anchor and image of the built site resolves, and nothing is loaded from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {  # tag -> attributes whose address the browser fetches by itself
    "img": ("src", "srcset"),
    "script": ("src",),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
    "input": ("src",),
}
QUIET_LINKS = {"canonical", "next", "prev", "author", "index", "search", "license", "help"}  # never fetched
THEME_IDS = {"proof-content", "search-input", "exercise-content", "solution-content"}  # repeated by extensions
CSS_LOAD = re.compile(r"""(?:url\(\s*|@import\s+)["']?\s*((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
SCRIPT_LOAD = re.compile(
    r"""(?:\bimport\s*\(?|\bfrom|\bfetch\(|importScripts\(|\.(?:src|href)\s*=|\bsrc\s*:)\s*["'`]((?:https?:)?//[^"'`]+)"""
)
LEFTOVERS = {
    "Traceback (most recent call last)": "a traceback",
    "Warning: ": "a Python warning",
    "{glue:": "a glue role that was not resolved",
    "{impl}`": "an impl role that was not resolved",
    "{eq}`": "an equation reference that was not resolved",
    "{numref}`": "a figure reference that was not resolved",
    "{prf:ref}`": "a theorem reference that was not resolved",
}


class Page(HTMLParser):
    """What matters of one page: ids, links, loads, pictures, inline code and visible text."""

    def __init__(self):
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.pictures: list[tuple[str, str | None]] = []
        self.css: list[str] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self.errors: list[str] = []
        self._inside: list[str] = []
        self._quoted = 0  # depth inside shown source code, where role syntax may stand

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        if a.get("id"):
            self.ids.append(a["id"])
        if tag == "a" and a.get("name"):
            self.ids.append(a["name"])
        if tag == "a" and a.get("href"):
            self.links.append(a["href"])
        if tag == "link" and a.get("href") and not QUIET_LINKS & set((a.get("rel") or "").split()):
            self.loads.append(a["href"])
        for name in LOADING.get(tag, ()):
            value = a.get(name)
            if value:
                self.loads += [p.split()[0] for p in value.split(",")] if name == "srcset" else [value]
        if tag == "img":
            self.pictures.append((a.get("src") or "", a.get("alt")))
        if a.get("style"):
            self.css.append(a["style"])
        classes = (a.get("class") or "").split()
        if {"output", "stderr"} <= set(classes) or "traceback" in classes:
            self.errors.append("a cell's error output")
        if "problematic" in classes or "system-message" in classes:
            self.errors.append("a message of the document parser")
        if tag in ("script", "style"):
            self._inside.append(tag)
        if tag in ("pre", "code"):
            self._quoted += 1

    def handle_endtag(self, tag):
        if tag in ("script", "style") and self._inside:
            self._inside.pop()
        if tag in ("pre", "code"):
            self._quoted = max(0, self._quoted - 1)

    def handle_data(self, data):
        if self._inside:
            (self.scripts if self._inside[-1] == "script" else self.css).append(data)
        elif not self._quoted:
            self.text.append(data)


def outside(url: str) -> bool:
    """True when a browser would have to leave the site for this address."""
    parts = urlsplit(url.strip())
    return bool(parts.netloc) or parts.scheme in ("http", "https", "ftp")


def read_pages(root: Path) -> dict[Path, Page]:
    """All pages of the site, parsed; the files that themes bring in _static are not pages."""
    pages = {}
    for path in sorted(root.rglob("*.html")):
        if path.relative_to(root).parts[0] in ("_static", "_sources"):
            continue
        pages[path] = Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    return pages


def check_page(root: Path, path: Path, pages: dict[Path, Page]) -> list[str]:
    """All problems of one page, each a sentence."""
    page, name = pages[path], path.relative_to(root).as_posix()
    problems = [f"{name}: loads {url} from outside" for url in page.loads if outside(url)]
    problems += [f"{name}: its style loads {u} from outside" for css in page.css for u in CSS_LOAD.findall(css)]
    problems += [f"{name}: a script loads {u} from outside" for s in page.scripts for u in SCRIPT_LOAD.findall(s)]
    for url in page.links + page.loads:
        parts = urlsplit(url)
        if outside(url) or parts.scheme in ("data", "mailto", "javascript", "blob"):
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if target.is_dir():
            target /= "index.html"
        if not target.exists():
            problems.append(f"{name}: {url} does not exist")
        elif parts.fragment and target in pages and unquote(parts.fragment) not in {*pages[target].ids, "top"}:
            problems.append(f"{name}: {url} points at no anchor")
    for source, alt in page.pictures:
        shown = source if len(source) < 60 else source[:57] + "..."
        if not (alt or "").strip():
            problems.append(f"{name}: image {shown} has no alt text")
        elif re.fullmatch(r"\S*\.(png|svg|jpe?g|gif|webp)", alt.strip()):
            problems.append(f"{name}: image {shown} has a file name for alt text")
    repeated = sorted({i for i in page.ids if page.ids.count(i) > 1} - THEME_IDS)
    problems += [f"{name}: the id {i!r} occurs more than once" for i in repeated]
    problems += [f"{name}: shows {what}" for what in dict.fromkeys(page.errors)]
    text = " ".join(page.text)
    problems += [f"{name}: shows {what}" for mark, what in LEFTOVERS.items() if mark in text]
    return list(dict.fromkeys(problems))


def check_site(root: Path) -> list[str]:
    """All problems of a built site; empty when it is sound."""
    root = Path(root).resolve()
    pages = read_pages(root)
    if not pages:
        return [f"{root} holds no page"]
    problems = [p for path in pages for p in check_page(root, path, pages)]
    for path in sorted(root.rglob("*.css")):
        for url in CSS_LOAD.findall(path.read_text(encoding="utf-8", errors="replace")):
            problems.append(f"{path.relative_to(root).as_posix()}: loads {url} from outside")
    return problems
