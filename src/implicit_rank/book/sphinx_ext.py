"""What the book adds to Sphinx: equations offline, links to the code, timings, and some mending."""

import importlib.util
import re
import shutil
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles

from implicit_rank.book import values
from implicit_rank.book.api import Api
from implicit_rank.book.layers import Layers
from implicit_rank.book.layout import Layout
from implicit_rank.book.pairs import Pair
from implicit_rank.book.references import definitions

MATHJAX = ("tex-chtml-full.js", "output/chtml/fonts/woff-v2")
log = logging.getLogger(__name__)


class Implementation(SphinxRole):
    """A function's name, linked to its source in the repository; an unknown name is a warning."""

    def run(self):
        package = Layout(Path(self.env.srcdir)).package
        literal = nodes.literal(self.text, self.text, classes=["implementation"])
        found = definitions(package, self.text).get(self.text)
        if found is None:
            log.warning("the package has no %r", self.text, location=self.get_location())
            return [literal], []
        path, line, _ = found
        self.env.note_dependency(str(path))
        repository = self.config.html_theme_options.get("repository_url", "")
        place = f"{repository}/blob/main/src/implicit_rank/{path.relative_to(package).as_posix()}#L{line}"
        return [nodes.reference("", "", literal, refuri=place)], []


class Timings(SphinxDirective):
    """A table of the seconds each chapter took when its outputs were made."""

    def run(self):
        rows = []
        for path in sorted(Path(self.env.srcdir, "book").glob("*.ipynb")):
            self.env.note_dependency(str(path))
            note = nbformat.read(path, 4).metadata.get("implicit_rank")
            if note:
                rows.append((path.stem, note["profile"], f"{note['seconds']:.0f}"))
        if not rows:
            return [nodes.paragraph("", "This copy was built without the book's own runner, which keeps the times.")]
        return [_table(("chapter", "profile", "seconds"), rows)]


def _table(head, rows):
    def row(cells):
        return nodes.row("", *(nodes.entry("", nodes.paragraph("", text)) for text in cells))

    group = nodes.tgroup("", cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", row(head))
    group += nodes.tbody("", *(row(cells) for cells in rows))
    return nodes.table("", group)


def exclude_notebooks(app, config):
    """Of a pair, the text is the page: Sphinx must not see two documents of one name."""
    for source in Path(app.srcdir, "book").glob("*.md"):
        config.exclude_patterns.append(f"book/{source.stem}.ipynb")


def fill_in(app, name, source):
    """Numbers in prose, for who builds from the checkout; `make book` has put them in before."""
    folder, _, page = name.rpartition("/")
    if folder == "book" and values.ROLE.search(source[0]):
        source[0] = values.fill(source[0], page, Path(app.srcdir, folder), links=True)


def tell_proofs_apart(app, doctree):
    """sphinx-proof gives every proof of a page the id "proof"."""
    proofs = [node for node in doctree.findall(nodes.admonition) if node["ids"] == ["proof"]]
    for number, node in enumerate(proofs, start=1):
        node["ids"] = [f"proof-{number}"]


def number_by_name(app):
    """Give chapter 09_x the number 9: file names, claims and page numbers agree also while chapters are missing."""
    assign = TocTreeCollectorWithStyles.assign_section_numbers
    if getattr(assign, "by_name", False):
        return

    def assign_by_name(self, env):
        before = env.toc_secnumbers
        assign(self, env)
        for name, numbers in env.toc_secnumbers.items():
            chapter = re.match(r"(\d+)_", name.rpartition("/")[2])
            if chapter:
                first = int(chapter[1])
                env.toc_secnumbers[name] = {k: v and (first, *v[1:]) for k, v in numbers.items()}
                for node in (env.titles[name], *env.tocs[name].findall(nodes.reference)):
                    if node.get("secnumber"):
                        node["secnumber"] = [first, *node["secnumber"][1:]]
        return [name for name, numbers in env.toc_secnumbers.items() if numbers != before.get(name)]

    assign_by_name.by_name = True
    TocTreeCollectorWithStyles.assign_section_numbers = assign_by_name


def drop_thebe(app, pagename, templatename, context, doctree):
    """jupyter-book always loads sphinx-thebe, which declares its constants twice: an error on every page."""

    def is_thebe(script):
        text = getattr(script, "filename", None) or ""
        return "thebe" in str(text) or "THEBE" in getattr(script, "attributes", {}).get("body", "")

    for files in ("script_files", "css_files"):
        context[files][:] = [s for s in context[files] if not is_thebe(s)]


def copy_mathjax(app, exception):
    if exception or app.builder.format != "html":
        return
    source = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    for name in MATHJAX:
        target = Path(app.outdir, "_static", "mathjax", name)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (source / name).is_dir() else shutil.copy2
        copy(source / name, target)


def setup(app):
    app.add_role("impl", Implementation())
    app.add_directive("layers", Layers)
    app.add_directive("pair", Pair)
    app.add_directive("timings", Timings)
    app.add_directive("api", Api)
    app.connect("config-inited", exclude_notebooks, priority=100)  # before the table of contents is read
    app.connect("builder-inited", number_by_name, priority=900)  # after the extension that numbers across parts
    app.connect("source-read", fill_in)
    app.connect("doctree-read", tell_proofs_apart)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("build-finished", copy_mathjax)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
