"""The ledger as text: the table of the command line and the verdicts file that the test suite compares."""

import argparse
import json
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from implicit_rank.claims import wording
from implicit_rank.claims.grammar import ClaimError, load_claims
from implicit_rank.claims.judging import Judgement, judge
from implicit_rank.claims.score import write_score
from implicit_rank.claims.verdicts import VERDICTS
from implicit_rank.experiments import register
from implicit_rank.parameters import unknown_name
from implicit_rank.store import Store, checkout, write_text

FILE = "verdicts.json"


def ledger(
    paper: str | None = None,
    chapter: str | None = None,
    verdict: str | None = None,
    store: Store | None = None,
    folder: str | Path | None = None,
) -> list[Judgement]:
    """Every claim with its verdict, computed now from the stored runs, in the order of the claims files.

    `paper` is a paper's name or a part of it, `chapter` a file stem or its beginning ("02"), `verdict` one of the
    ledger's words. Raises ClaimError for a filter that can match nothing.
    """
    claims = load_claims(folder)
    if verdict is not None and verdict not in VERDICTS:
        raise ClaimError(unknown_name("verdict", verdict, VERDICTS))
    if paper is not None and not any(paper.casefold() in claim.paper.casefold() for claim in claims):
        raise ClaimError(unknown_name("paper", paper, sorted({claim.paper for claim in claims})))
    if chapter is not None and not any(claim.chapter.startswith(chapter) for claim in claims):
        raise ClaimError(unknown_name("chapter", chapter, sorted({claim.chapter for claim in claims})))
    chosen = [
        claim
        for claim in claims
        if (paper is None or paper.casefold() in claim.paper.casefold())
        and (chapter is None or claim.chapter.startswith(chapter))
    ]
    store, known = store or Store(), {claim.experiment for claim in chosen} & set(register.names())
    experiments = {name: register.experiment(name) for name in known}
    judged = [judge(claim, store, experiments) for claim in chosen]
    return [judgement for judgement in judged if verdict is None or judgement.verdict == verdict]


def text_table(judgements: Sequence[Judgement], width: int = 110) -> str:
    """The ledger as an aligned text table, one block per claim, and the counts."""
    rows = [
        (f"{wording.SYMBOLS[j.verdict]} {j.verdict}", j.claim.id, f"{j.claim.paper}, {j.claim.where}{_marked(j)}")
        for j in judgements
    ]
    first = max((len(row[0]) for row in rows), default=0)
    second = max((len(row[1]) for row in rows), default=0)
    indent, lines = " " * (first + 2), []
    for row, judgement in zip(rows, judgements, strict=True):
        lines.append(f"{row[0]:{first}}  {row[1]:{second}}  {row[2]}")
        found = "; ".join(wording.ours(judgement))
        measured = f"ours {found} ({wording.basis(judgement)}), accepted {wording.accepted(judgement)}"
        details = [judgement.claim.says, measured if found else "", wording.why(judgement)]
        lines += [
            line
            for text in details
            if text
            for line in textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent + "  ")
        ]
    counted = wording.summary(wording.standing(judgements))
    apart = len(judgements) - len(wording.standing(judgements))
    counted += f"; {apart} superseded, not counted" if apart else ""
    return "\n".join([*lines, "", counted]) if lines else counted


def verdict_table(judgements: Sequence[Judgement]) -> dict[str, dict]:
    """What the verdicts file holds: per claim its verdict, reason, profile, numbers and runs."""
    return {
        j.claim.id: {
            "verdict": j.verdict,
            "reason": j.reason,
            "profile": j.profile,
            "runs": list(j.runs),
            "cases": [{"case": case.label, "verdict": case.verdict, **_numbers(case)} for case in j.cases],
        }
        for j in judgements
    }


def write_verdicts(judgements: Sequence[Judgement], path: Path) -> None:
    """Write the verdicts file: sorted, rounded, the same text for the same runs."""
    text = json.dumps(verdict_table(judgements), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_verdicts(path: Path) -> dict[str, dict]:
    """The stored verdicts; ClaimError when the file is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ClaimError(
            f"the verdicts file {path} cannot be read; write it with `python -m implicit_rank claims --write`."
        ) from error


def differing(stored: dict[str, dict], current: dict[str, dict]) -> list[str]:
    """One sentence per claim whose stored verdict differs from the one computed now."""
    sentences = []
    for name in sorted(stored.keys() | current.keys()):
        old, new = stored.get(name), current.get(name)
        if old is None or new is None:
            sentences.append(f"{name}: " + ("has no stored verdict" if old is None else "is no longer a claim"))
        elif old["verdict"] != new["verdict"]:
            sentences.append(f"{name}: stored as {old['verdict']}, now {new['verdict']} ({new['reason']})")
        elif old != new:
            keys = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
            sentences.append(f"{name}: still {new['verdict']}, but {' and '.join(keys)} changed")
    return sentences


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m implicit_rank claims`."""
    parser.add_argument("--paper", help='only claims of this paper, such as "Sun"')
    parser.add_argument("--chapter", help='only claims of this chapter, such as "02"')
    parser.add_argument("--verdict", choices=VERDICTS, help="only claims with this verdict")
    parser.add_argument("--write", action="store_true", help="write the verdicts file (of all claims)")


def command(args: argparse.Namespace) -> str:
    """The text that `python -m implicit_rank claims` prints (ClaimError, StoreError)."""
    if args.write and (args.paper or args.chapter or args.verdict):
        raise ClaimError("--write stores the verdicts of all claims, so it takes no filter.")
    if args.write and checkout() is None:
        raise ClaimError("--write brings the verdicts file of a checkout up to date, and there is none here.")
    judgements = ledger(args.paper, args.chapter, args.verdict)
    text = text_table(judgements)
    path = Store().root / FILE
    if args.write:
        write_verdicts(judgements, path)
        top = checkout()
        if top is not None and path.parent == top / "book" / "results":  # not for results kept elsewhere
            write_score(judgements, top / "README.md")
        return f"{text}\nwrote {path}"
    if path.exists() and not (args.paper or args.chapter or args.verdict):
        changes = differing(read_verdicts(path), verdict_table(judgements))
        if changes:
            text += "\n\nDiffers from the verdicts file (`--write` brings it up to date):\n  " + "\n  ".join(changes)
    return text


def _marked(judgement: Judgement) -> str:
    marks = wording.short_marks(judgement.claim)
    if judgement.claim.superseded_by:
        marks.append(f"superseded by {judgement.claim.superseded_by}")
    return f" [{', '.join(marks)}]" if marks else ""


def _numbers(case) -> dict:
    if case.numbers is None:
        return {}
    found = case.numbers
    return {
        "estimate": _rounded(found.estimate),
        "spread": _rounded(found.spread),
        "n": found.n,
        "interval": [_rounded(end) for end in found.interval],
    }


def _rounded(value: float | None) -> float | str | None:
    return value if value is None else float(f"{value:.6g}") if math.isfinite(value) else str(value)
