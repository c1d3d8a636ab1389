"""The map between labelled equations of the book and the functions that implement them, and where the two disagree."""

import re
from pathlib import Path

from implicit_rank.book.layout import Layout, markdown_pages, read_text
from implicit_rank.book.references import definitions

FENCE = re.compile(r"^\s*(`{3,}|:{3,})(?:\{([a-z:-]+)\}|[\w+-]*)")
DOLLARS = re.compile(r"\$\$ *(?:\((\S+)\))? *$")
LABEL = re.compile(r"^\s*:label: *(\S+)")
ROLE = re.compile(r"\{impl\}`([^`]+)`")
BOOK_LINE = re.compile(r"^\s*Book: *(.+?)\.?\s*$", re.MULTILINE)


def labels(text: str) -> list[str]:
    """Every label of an equation or theorem in a Markdown page, in the order in which they end."""
    return [label for label, _ in _labelled(text.splitlines())]


def _labelled(lines):
    """(label, number of its last line) of every equation and every prf: block, nested ones included."""
    found, open_fences, in_dollars = [], [], False
    for number, line in enumerate(lines):
        dollars = line.strip().startswith("$$")
        if in_dollars or dollars:
            closing = DOLLARS.search(line) if in_dollars or line.count("$$") > 1 else None
            in_dollars = closing is None
            if closing and closing[1]:
                found.append((closing[1], number))
            continue
        fence = FENCE.match(line)
        if fence and open_fences and open_fences[-1][0] == line.strip():
            _, kind, label = open_fences.pop()
            if label and (kind == "math" or kind.startswith("prf:")):
                found.append((label, number))
        elif fence:
            open_fences.append([fence[1], fence[2] or "", None])
        elif open_fences and (label := LABEL.match(line)):
            open_fences[-1][2] = label[1]
    return found


def _code_lines(lines):
    """(label or None, functions, first line) of every paragraph "Code: ...", with the label that it follows."""
    ends = {end: label for label, end in _labelled(lines)}
    found = []
    for number, line in enumerate(lines):
        if not line.strip().startswith("Code:"):
            continue
        stop = next((i for i in range(number, len(lines)) if not lines[i].strip()), len(lines))
        before = number - 1
        while before >= 0 and not lines[before].strip():
            before -= 1
        names = ROLE.findall(" ".join(lines[number:stop]))
        if names:
            found.append((ends.get(before), names, line.strip()))
    return found


def named_in_text(text: str) -> set[tuple[str, str]]:
    """Pairs (label, function) that a page claims in its `Code:` lines."""
    return {(label, n) for label, names, _ in _code_lines(text.splitlines()) if label for n in names}


def stray_code_lines(text: str) -> list[str]:
    """`Code:` paragraphs that do not follow a labelled equation or theorem, so that nothing checks them."""
    return [line for label, _, line in _code_lines(text.splitlines()) if not label]


def named_in_package(package: Path) -> set[tuple[str, str]]:
    """Pairs (label, function) that docstrings claim in their `Book:` lines."""
    pairs = set()
    for name, (_, _, docstring) in definitions(package).items():
        for line in BOOK_LINE.findall(docstring):
            pairs |= {(label.strip(), name) for label in line.split(",")}
    return pairs


def disagreements(layout: Layout) -> list[str]:
    """Every way in which the text and the package do not name each other; empty when all is well."""
    pages = {p: read_text(p) for p in markdown_pages(layout.book)}
    in_text = {pair for text in pages.values() for pair in named_in_text(text)}
    in_package = named_in_package(layout.package)
    known, problems = definitions(layout.package), []
    seen: dict[str, str] = {}
    for page, text in pages.items():
        problems += [
            f"{page.name}: {line!r} follows no labelled equation or theorem" for line in stray_code_lines(text)
        ]
        for label in labels(text):
            if label in seen:
                problems.append(f"{page.name}: the label {label!r} is already used in {seen[label]}")
            seen[label] = page.name
    for label, name in sorted(in_text - in_package):
        if name not in known:
            problems.append(f"{seen[label]}: {label} names {name}, which the package does not have")
        else:
            problems.append(f"{seen[label]}: {label} names {name}, whose docstring lacks 'Book: {label}'")
    for label, name in sorted(in_package - in_text):
        if label not in seen:
            problems.append(f"{name}: its docstring names {label}, which no chapter has")
        else:
            problems.append(f"{name}: its docstring names {label}, but no 'Code:' line in {seen[label]} names it back")
    return problems
