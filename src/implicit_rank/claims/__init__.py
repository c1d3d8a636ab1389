"""The claims ledger: TOML in, estimates with intervals, verdicts out; nobody types a verdict.

`grammar` reads `book/claims/*.toml`, `keys` checks one row, `evidence` picks the stored runs and measures them,
`verdicts` holds the statistics, `judging` decides, `tallies` counts, `report` and `page` show the result as text and
as HTML.
"""

from implicit_rank.claims.evidence import Case
from implicit_rank.claims.grammar import Claim, ClaimError, load_claims, read_claims
from implicit_rank.claims.judging import Judgement, judge
from implicit_rank.claims.page import badges, errata, meanings, rows_for, scoreboard
from implicit_rank.claims.report import (
    add_arguments,
    command,
    differing,
    ledger,
    read_verdicts,
    text_table,
    verdict_table,
    write_verdicts,
)
from implicit_rank.claims.tallies import counts, multiplicity
from implicit_rank.claims.verdicts import MEANING, VERDICTS

__all__ = [
    "MEANING",
    "VERDICTS",
    "Case",
    "Claim",
    "ClaimError",
    "Judgement",
    "add_arguments",
    "badges",
    "command",
    "counts",
    "differing",
    "errata",
    "judge",
    "ledger",
    "load_claims",
    "meanings",
    "multiplicity",
    "read_claims",
    "read_verdicts",
    "rows_for",
    "scoreboard",
    "text_table",
    "verdict_table",
    "write_verdicts",
]
