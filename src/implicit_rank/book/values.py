"""The numbers in prose: `{run}` reads the store and `{claim}` the ledger whenever a page or a notebook is written.

    {run}`irmae.test_error / ae.test_error:.1f`     mean over the seeds that both have
    {run}`spread(ae.test_rank_covariance):.0f`      mean and range;  also least, most, median, interval, ends
    {run}`log_interval(ae.test_error)`              geometric mean with its 95 % interval, of what is positive
    {run}`listed(ae.test_error):.2f`                all of them in a row
    {run}`ends(each(ae.test_error)):.2f`            one number a run, where seeds have several
    {run}`reached(ae['rank_at_0.02']):.1f`          mean over those seeds that have the number
    {run}`seeds(ae)`  {run}`count(ae)`  {run}`runs(ae)`    how many seeds, how many runs, and which, in words
    {run}`ae['rank_at_0.02']`                       a measure whose name is no Python name
    {run}`equal_rank('irmae'):.0f`                  a function of the chapter's module of numbers
    {run}`04_irmae_images:ae.test_error`            a group of another chapter
    {claim}`jing2020-table2-irmae-100`              paper's value, ours and the verdict; `.paper`, `.ours`, `.verdict`
    {claim}`jing2020-table2-vae-[1-9]*.reproduced`  how many of the rows whose names fit have this verdict
    {claim}`*.not reproduced.printed`               ... and ask what a paper prints ("printed") or what we ask ("ours")
    {claim}`*.claims`, `*.post hoc`, `*.superseded` how many there are, are marked, and are counted nowhere else
    {claim}`jing2020-table2-vae-[1-9]*.inside`      how many have an estimate in their region, whatever it decides

An unknown name is a BookError that names page, line and the closest name; runs that are not stored read
"(not run yet)". Nothing is evaluated but names, numbers, text, + - * / and these functions.
"""

from __future__ import annotations

import ast
import fnmatch
import functools
import math
import operator
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from implicit_rank.book.groups import Groups, groups_of
from implicit_rank.book.layout import BookError
from implicit_rank.parameters import unknown_name
from implicit_rank.store import Record

NOT_RUN = "(not run yet)"
ROLE = re.compile(r"(?<!`)\{(run|claim)\}`([^`]+)`")
_FENCE = re.compile(r"^\s*(`{3,}|~{3,}|:{3,})(\{code-cell\}|\{code-block\}|[\w+-]*\s*$)")
_OTHER_CHAPTER = re.compile(r"(\d\d_\w+|\w+):(?=\D)")
_FORM = re.compile(r":([^:'\"()]*)$")
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


class MissingRunError(Exception):
    """A run that a number needs is not stored."""


def fill(text: str, page: str, book: Path, first_line: int = 1, links: bool = False) -> str:
    """A page's Markdown with every `{run}` and `{claim}` replaced by its value; code is left alone.

    With `links`, verdicts lead to the built scoreboard.
    """
    lines, fence = text.split("\n"), None
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence is None and mark and mark[2] != "":
            fence = mark[1]
        elif fence is not None:
            fence = None if line.strip() == fence else fence
            continue
        elif "{" in line:
            try:
                lines[number] = ROLE.sub(lambda found: value(found[1], found[2], page, book, links), line)
            except BookError as error:
                raise BookError(f"{page}.md, line {first_line + number}: {error}") from error
    return "\n".join(lines)


def value(role: str, content: str, page: str, book: Path, links: bool = False) -> str:
    """What one role stands for, as text."""
    return claim_text(content, links) if role == "claim" else run_text(content, groups_of(book, page), book)


# ---- {run} ----
def run_text(content: str, groups: Groups, book: Path | None = None) -> str:
    """The value of an expression over a chapter's groups of runs, as text."""
    other = _OTHER_CHAPTER.match(content)
    if other and book is not None and (book / "runs" / f"{other[1]}.toml").is_file():
        groups, content = groups_of(book, other[1]), content[other.end() :]
    form = _FORM.search(content)
    expression, shown = (content[: form.start()], form[1]) if form else (content, "")
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError as error:
        raise BookError(f"{{run}} takes names, numbers and + - * /, not {expression!r}") from error
    try:
        found = _Evaluation(groups, shown).of(tree)
        if isinstance(found, str):
            return found
        number = found if isinstance(found, (int, float)) else statistics.fmean(found.values())
    except (MissingRunError, ZeroDivisionError):
        return NOT_RUN
    if math.isnan(number):
        return NOT_RUN
    try:
        return format(number, shown).replace("-", "\u2212") if shown else f"{number:g}"
    except ValueError as error:
        raise BookError(f"{{run}} cannot write a number as {shown!r}") from error


class _Evaluation:
    """One expression: numbers, text, or one number a seed."""

    def __init__(self, groups: Groups, form: str):
        self.groups, self.form = groups, form

    def of(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str)):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return self.of(ast.BinOp(ast.Constant(0), ast.Sub(), node.operand))
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return _paired(_OPERATORS[type(node.op)], self.of(node.left), self.of(node.right))
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.value, ast.Name):
            return self._measured(node, by_seed)
        if isinstance(node, ast.Name):
            return self._number(node.id, [])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node.func.id, node.args)
        raise BookError(f"{{run}} takes names, numbers and + - * /, not {ast.unparse(node)!r}")

    def _call(self, name: str, arguments: Sequence[ast.expr]) -> Any:
        if name == "each":
            if len(arguments) == 1 and isinstance(arguments[0], (ast.Attribute, ast.Subscript)):
                return self._measured(arguments[0], by_run)
            raise BookError("{run} takes each(group.measure), one number a run, and nothing else in its brackets")
        if name in OF_A_GROUP and len(arguments) == 1 and isinstance(arguments[0], ast.Name):
            return OF_A_GROUP[name](self.groups[arguments[0].id])
        if name in OF_NUMBERS and len(arguments) == 1:
            found = self.of(arguments[0])
            values = list(found.values()) if isinstance(found, Mapping) else [found]
            return OF_NUMBERS[name](values, self.form)
        return self._number(name, arguments)

    def _measured(self, node: ast.Attribute | ast.Subscript, by: Callable) -> dict:
        if not isinstance(node.value, ast.Name):
            raise BookError(f"{{run}} takes a measure of a group, not of {ast.unparse(node.value)!r}")
        name, measure = node.value.id, node.attr if isinstance(node, ast.Attribute) else self.of(node.slice)
        return by(self.groups[name], self.groups.measure(name, measure))

    def _number(self, name: str, arguments: Sequence[ast.expr]) -> Any:
        function = self.groups.number(name)
        if function is None:
            known = ["each", *OF_A_GROUP, *OF_NUMBERS, *self.groups]
            raise BookError(unknown_name("group, number or function", name, known))
        found = function(self.groups, *(self.of(argument) for argument in arguments))
        if found is None:
            raise MissingRunError(name)
        return found


def by_seed(records: Sequence[Record], measure: Callable[[Record], float]) -> dict[int, float]:
    """A measure of runs as one number a seed (the mean where a seed has several).

    MissingRunError when there is none.
    """
    found: dict[int, list[float]] = {}
    for record in records:
        number = measure(record)
        found.setdefault(record.seed, []).append(math.nan if number is None else float(number))
    if not found:
        raise MissingRunError
    return {seed: statistics.fmean(numbers) for seed, numbers in found.items()}


def by_run(records: Sequence[Record], measure: Callable[[Record], float]) -> dict[str, float]:
    """A measure of runs as one number a run; MissingRunError when there is none."""
    found = {record.hash: measure(record) for record in records}
    if not found:
        raise MissingRunError
    return {name: math.nan if number is None else float(number) for name, number in found.items()}


def _paired(operation: Callable, left: Any, right: Any) -> Any:
    """An operation on numbers, or seed by seed on what both sides have."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        shared = [seed for seed in left if seed in right]
        if not shared:
            raise MissingRunError
        return {seed: operation(left[seed], right[seed]) for seed in shared}
    if isinstance(left, Mapping):
        return {seed: operation(number, right) for seed, number in left.items()}
    if isinstance(right, Mapping):
        return {seed: operation(left, number) for seed, number in right.items()}
    return operation(left, right)


def _log_interval(numbers: Sequence[float], form: str) -> str:
    if any(number < 0 for number in numbers):
        raise BookError("{run} takes log_interval of numbers that are not negative")
    return _interval(numbers, form, logarithmic=True)


def _interval(numbers: Sequence[float], form: str, logarithmic: bool = False) -> str:
    from implicit_rank.claims import wording
    from implicit_rank.claims.verdicts import estimate

    finite = [number for number in numbers if math.isfinite(number)]
    return wording.numbers(estimate(finite, logarithmic)) if finite else NOT_RUN


def _ends(numbers: Sequence[float], form: str) -> str:
    from implicit_rank.figures.kit import tables

    return tables.ends(numbers, f"{{:{form or '.0f'}}}")


def _listed(numbers: Sequence[float], form: str) -> str:
    words = {math.inf: "never"}
    return ", ".join(
        format(number, form or ".0f") if math.isfinite(number) else words.get(number, "none") for number in numbers
    )


def _spread(numbers: Sequence[float], form: str) -> str:
    from implicit_rank.figures.kit import tables

    return tables.spread(numbers, form or ".3f")


def _words(records: Sequence[Record]) -> str:
    from implicit_rank.figures.kit import captions

    return captions.runs_shown(records)


def _reached(numbers: Sequence[float], form: str) -> float:
    finite = [number for number in numbers if math.isfinite(number)]
    if not finite:
        raise MissingRunError
    return statistics.fmean(finite)


OF_NUMBERS = {
    "mean": lambda numbers, form: statistics.fmean(numbers),
    "median": lambda numbers, form: statistics.median(numbers),
    "least": lambda numbers, form: min(numbers),
    "most": lambda numbers, form: max(numbers),
    "reached": _reached,
    "geometric": lambda numbers, form: statistics.geometric_mean(numbers),
    "interval": _interval,
    "log_interval": _log_interval,
    "ends": _ends,
    "listed": _listed,  # infinity is "never", NaN "none"
    "spread": _spread,
}
OF_A_GROUP = {
    "seeds": lambda records: len({record.seed for record in records}),
    "count": lambda records: len(records),
    "runs": _words,
}


# ---- {claim} ----
def claim_text(content: str, links: bool = False) -> str:
    """One row of the ledger in words, or the part of it that is named after a dot; of a pattern, how many rows."""
    from implicit_rank.claims import wording

    name, _, part = content.partition(".")
    if set(name) & set("*?["):
        return str(_counted(name, part))
    judgement = _judgements().get(name)
    if judgement is None:
        raise BookError(unknown_name("claim", name, sorted(_judgements())))
    verdict = f"{wording.SYMBOLS[judgement.verdict]}\u00a0{judgement.verdict}"
    verdict += ", post\u00a0hoc" if judgement.claim.post_hoc else ""
    if links:
        kind = judgement.verdict.replace(" ", "-")
        verdict = f'<a class="verdict verdict-{kind}" href="scoreboard.html#claim-{name}">{verdict}</a>'
    parts = {
        "paper": wording.paper_value(judgement),
        "ours": "; ".join(wording.ours(judgement)) or NOT_RUN,
        "verdict": verdict,
        "accepted": wording.accepted(judgement),
    }
    if part and part not in parts:
        raise BookError(unknown_name("part of a claim", part, list(parts)))
    if part:
        return parts[part]
    printed = f"paper {parts['paper']}, " if judgement.claim.paper_value != "" else ""
    return f"{printed}ours {parts['ours']}, {verdict}"


def _counted(pattern: str, part: str) -> int:
    """How many of the rows whose names fit a pattern have a verdict, a mark or a sort of question."""
    from implicit_rank.claims.keys import QUESTIONS
    from implicit_rank.claims.verdicts import VERDICTS

    fitting = [_judgements()[name] for name in fnmatch.filter(_judgements(), pattern)]
    if not fitting:
        raise BookError(f"no claim has a name like {pattern!r}")
    of_rows = {verdict: lambda j, verdict=verdict: j.verdict == verdict for verdict in VERDICTS}
    of_rows |= {"claims": lambda j: True, "post hoc": lambda j: bool(j.claim.post_hoc), "superseded": lambda j: True}
    of_rows |= {"inside": lambda j: j.estimate is not None and _lies(j.estimate, j.claim.region)}
    what, _, question = part.partition(".")
    if what not in of_rows:
        raise BookError(unknown_name("verdict", what, list(of_rows)))
    if question and question not in QUESTIONS:
        raise BookError(unknown_name("sort of question", question, list(QUESTIONS)))
    return sum(
        of_rows[what](j)
        for j in fitting
        if bool(j.claim.superseded_by) == (what == "superseded") and question in ("", j.claim.question)
    )


def _lies(number: float, region: tuple[float, float]) -> bool:
    return region[0] <= number <= region[1]


@functools.cache
def _judgements() -> dict[str, Any]:
    from implicit_rank.claims import ledger

    return {judgement.claim.id: judgement for judgement in ledger()}
