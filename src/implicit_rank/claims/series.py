"""Questions that were asked twice: of a first series of runs, and of one that was registered before it was run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from implicit_rank.claims.comparison import comparison, judged
from implicit_rank.claims.judging import Judgement
from implicit_rank.claims.page import Shown


def asked_twice(ledger: Mapping[str, Judgement]) -> Shown:
    """The table of rows that name a successor, each beside it; its last row counts what the second series decides.

    `ledger` are a chapter's claims by name.
    """
    rows, pairs = {}, []
    for first in ledger.values():
        again = ledger.get(first.claim.superseded_by)
        if again is not None:
            cells = [replace(judged(one), paper="") for one in (first, again)]
            rows[_label(first, rows)] = cells
            pairs.append((first.verdict, again.verdict))
    rows[in_words(pairs)] = []
    return comparison("claim", ["first series", "registered series"], rows, ours="")


def in_words(verdicts: Sequence[tuple[str, str]]) -> str:
    """The sentence on what a second series decides, leaves open and reverses, from pairs of verdicts."""
    run = [pair for pair in verdicts if pair[1] != "not run"]
    first_open = [again for first, again in run if first == "inconclusive"]
    decided = sum(again != "inconclusive" for again in first_open)
    kept = sum(first == again != "inconclusive" for first, again in run)
    turned = sum(set(pair) == {"reproduced", "not reproduced"} for pair in run)
    lost = sum(first != "inconclusive" == again for first, again in run)
    waiting = f" {len(verdicts) - len(run)} are not run again yet." if len(run) < len(verdicts) else ""
    return (
        f"Of {len(verdicts)} questions the first series left {len(first_open)} open, of which the second decides "
        f"{decided}; it confirms {kept} verdicts, reverses {turned} and leaves {lost} open that the first had decided."
        f"{waiting}"
    )


def _label(row: Judgement, taken: Mapping) -> str:
    says = row.claim.says
    return says if says not in taken else f"{says} ({row.claim.where})"
