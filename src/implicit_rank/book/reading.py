"""A chapter's text as plain Markdown, for notebooks: JupyterLab, GitHub and Colab know no MyST.

Numbers stand in place of `{run}` and `{claim}`, references are words and links, theorems and figures have the
numbers of the page, dropdowns fold, and the macros of formulas are written out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from implicit_rank.book import values
from implicit_rank.book.labels import Labels
from implicit_rank.book.layout import read_yaml
from implicit_rank.store.files import read_text

_OPEN = re.compile(r"^(\s*)(`{3,}|:{3,})\{([a-z:-]+)\} *(.*)$")
_ROLE = re.compile(r"\{(cite:t|cite:p|ref|numref|eq|doc|prf:ref|impl|glue:text)\}`([^`]+)`")
_TITLED = re.compile(r"(.*?)\s*<([^<>]+)>$", re.S)


class Reader:
    """Turns the Markdown cells of one page into what a notebook shows."""

    def __init__(self, book: Path, page: str, labels: Labels, config: Mapping):
        self.book, self.page, self.labels = book, page, labels
        self.macros = config.get("sphinx", {}).get("config", {}).get("mathjax3_config", {}).get("tex", {}).get("macros")
        self._line = 0
        # where each numbered directive of the page stands, in order: cells are read in the same order
        self._numbers = [words for (name, _), words in sorted(labels.numbers.items()) if name == page]

    def cell(self, text: str) -> str:
        """One Markdown cell; cells must come in the order of the page."""
        return self._block(values.fill(text, self.page, self.book).split("\n")).strip("\n")

    def _block(self, lines: list[str]) -> str:
        written, i = [], 0
        while i < len(lines):
            line = lines[i]
            opened = _OPEN.match(line)
            if opened:
                end = next((j for j in range(i + 1, len(lines)) if lines[j].strip() == opened[2]), len(lines))
                written.append(self._directive(opened[3], opened[4].strip(), lines[i + 1 : end]))
                i = end + 1
                continue
            if re.match(r"^\([^)]+\)=\s*$", line):
                i += 1
                continue
            written.append(line)
            i += 1
        return self._formulas(_ROLE.sub(self._role, "\n".join(written)))

    def _directive(self, kind: str, argument: str, body: list[str]) -> str:
        options = {}
        while body and (option := re.match(r"^\s*:([a-z-]+): *(.*)$", body[0])):
            options[option[1]] = option[2]
            body = body[1:]
        numbered = kind in ("pair", "glue:figure", "exercise", "exercise-start") or (
            kind.startswith("prf:") and kind != "prf:proof"
        )
        number = self._numbers.pop(0) if numbered and self._numbers else ""
        inner = self._block(body).strip("\n")
        if kind in ("pair", "glue:figure"):
            return f"**{number}.** {inner}" if inner else ""
        if kind == "tab-set":
            return inner
        if kind == "math":
            words = self.labels.words.get(options.get("label"), ("", ""))[1]
            return "\n".join(["$$", *body, *([f"\\tag{{{words.strip('()')}}}"] if words else []), "$$"])
        if kind == "tab-item":
            return f"*{argument}*\n\n{inner}\n"
        if kind == "solution-start":  # cells follow, which nothing can fold
            return f"**{self._solution(argument)}.** {inner}".rstrip()
        if kind in ("dropdown", "solution", "prf:proof"):
            title = {"dropdown": argument, "prf:proof": "Proof"}.get(kind) or self._solution(argument)
            return f"<details><summary>{title}</summary>\n\n{inner}\n\n</details>"
        if numbered:
            title = f" ({argument})" if argument else ""
            return f"**{number}**{title}. {inner}"
        if kind in ("glue", "tableofcontents", "timings", "api", "bibliography", "exercise-end", "solution-end"):
            return ""
        return inner

    def _solution(self, label: str) -> str:
        return f"Solution of {self.labels.words[label][1]}" if label in self.labels.words else "Solution"

    def _role(self, found: re.Match) -> str:
        kind, content = found[1], found[2]
        titled = _TITLED.match(content)
        shown, target = (titled[1], titled[2]) if titled else ("", content)
        if kind == "impl":
            return f"`implicit_rank.{content}`"
        if kind.startswith("cite"):
            return "; ".join(_citations(self.book).get(key.strip(), key.strip()) for key in content.split(","))
        if kind == "doc":
            return f"[{shown or self.labels.titles.get(target, target)}]({target}.ipynb)"
        if kind == "glue:text":
            return "(see below)"
        page, words = self.labels.words.get(target, (self.page, target))
        if page == self.page or kind in ("eq",):
            return shown or words
        return f"[{shown or words}]({page}.ipynb)"

    def _formulas(self, text: str) -> str:
        def tagged(found: re.Match) -> str:
            words = self.labels.words.get(found[1], ("", ""))[1]
            return f"\\tag{{{words.strip('()')}}}\n$$"

        text = re.sub(r"(?<=\n)\$\$ *\((\S+)\) *$", tagged, text, flags=re.M)
        return _expanded(text, self.macros or {})


def _expanded(text: str, macros: Mapping) -> str:
    """Formulas with the book's own macros written out."""
    for name, meaning in macros.items():
        if isinstance(meaning, str):
            text = re.sub(rf"\\{name}(?![A-Za-z])", lambda _, meaning=meaning: meaning, text)
        else:
            text = re.sub(
                rf"\\{name}\{{((?:[^{{}}]|\{{[^{{}}]*\}})*)\}}",
                lambda found, meaning=meaning: meaning[0].replace("#1", found[1]),
                text,
            )
    return text


@functools.cache
def _citations(book: Path) -> dict[str, str]:
    """Key -> "Sun, Lee and others (2021)"."""
    from pybtex.database import parse_string

    found = {}
    for key, entry in parse_string(read_text(book / "references.bib"), "bibtex").entries.items():
        names = [" ".join(person.last_names) for person in entry.persons.get("author", [])]
        who = (
            names[0] + (" et al." if len(names) > 2 else f" and {names[1]}" if len(names) == 2 else "")
            if names
            else key
        )
        found[key] = f"{who} ({entry.fields.get('year', 'n.d.')})"
    return found


def reader(book: Path, page: str, labels: Labels) -> Callable[[str], str]:
    """The function that turns the Markdown cells of a page, in order, into plain ones."""
    config = read_yaml(book.parent / "_config.yml") if (book.parent / "_config.yml").is_file() else {}
    return Reader(book, page, labels, config).cell
