"""What the labels of all pages stand for in plain words: "(2.3)", "Theorem 1.2", "Fig. 4.1", a section's title."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from implicit_rank.book.layout import markdown_pages
from implicit_rank.store.files import read_text

_FENCE = re.compile(r"^\s*(`{3,}|:{3,})\{([a-z:-]+)\} *(.*)$")
_CODE = re.compile(r"^\s*(`{3,})(?:\{code-(?:cell|block)\}.*|\w+)$")
_OPTION = re.compile(r"^\s*:(label|name): *(\S+)")
_TARGET = re.compile(r"^\(([^)]+)\)=\s*$")
_EQUATION = re.compile(r"\$\$ *\((\S+)\) *$")
_COUNTED = {"pair": "Fig.", "glue:figure": "Fig.", "exercise": "Exercise", "exercise-start": "Exercise"}


@dataclass
class Labels:
    """Label -> (page, words), and page -> title."""

    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    numbers: dict[tuple[str, int], str] = field(default_factory=dict)  # (page, line of a directive) -> "Fig. 4.1"

    def add(self, page: str, text: str) -> None:
        """Take in the labels of one page."""
        chapter = page.partition("_")[0].lstrip("0")
        counts: dict[str, int] = {}
        waiting: list[str] = []  # targets whose heading or directive comes next
        inside: tuple[str, str] | None = None  # kind and number of the directive whose options are being read
        shown: str | None = None  # the fence of code that is shown, in which nothing counts

        def numbered(kind: str) -> str:
            counts[kind] = counts.get(kind, 0) + 1
            return f"{kind} {chapter}.{counts[kind]}" if chapter.isdigit() else f"{kind} {counts[kind]}"

        for number, line in enumerate(text.split("\n")):
            if shown or (code := _CODE.match(line)):
                shown = None if shown == line.strip() else shown or code[1]
            elif target := _TARGET.match(line):
                waiting.append(target[1])
            elif heading := re.match(r"^(#+) (.+)$", line):
                title = heading[2].strip()
                self.titles.setdefault(page, title)
                self.words |= dict.fromkeys(waiting, (page, title))
                waiting = []
            elif fence := _FENCE.match(line):
                kind = _COUNTED.get(fence[2]) or (fence[2][4:].capitalize() if fence[2].startswith("prf:") else "")
                has_number = kind and fence[2] != "prf:proof" and not line.rstrip().endswith("-end")
                inside = (fence[2], numbered(kind)) if has_number else ("math", "") if fence[2] == "math" else None
                if has_number:
                    self.numbers[page, number] = inside[1]
                    if fence[2] == "pair":
                        self.words[f"fig-{fence[3].strip()}"] = (page, inside[1])
            elif inside and (option := _OPTION.match(line)):
                words = f"({numbered('')[1:]})" if inside[0] == "math" else inside[1]
                self.words[option[2]] = (page, words)
            elif equation := _EQUATION.search(line):
                self.words[equation[1]] = (page, f"({numbered('')[1:]})")


def labels_of(book: Path) -> Labels:
    """The labels of all pages in a folder."""
    found = Labels()
    for path in markdown_pages(book):
        found.add(path.stem, read_text(path))
    return found
