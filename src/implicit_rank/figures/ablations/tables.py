"""Tables of chapter 5: the runs in numbers, the paper's words beside the verdicts, and the three ingredients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from implicit_rank.claims.comparison import Cell, comparison, judged, measured
from implicit_rank.claims.judging import Judgement
from implicit_rank.claims.page import Shown
from implicit_rank.experiments.ablations.measures import MEASURES
from implicit_rank.figures.ablations.figures import LABELS, chosen
from implicit_rank.figures.kit.slider import Html
from implicit_rank.figures.kit.tables import EMPTY, head_of_block, scrolling, spread, typeset

COLUMNS: dict[str, tuple[str, str, float]] = {  # heading, format, factor
    "error_test": ("test error", ".4f", 1),
    "rank_covariance": ("rank at the end", ".1f", 1),
    "dimensions": ("effective dimensions", ".1f", 1),
    "rank_at_0.02": ("rank at error 0.02", ".1f", 1),
    "rank_codes": ("rank, 1 % of codes", ".1f", 1),
    "rank_effective": ("rank of W_e", ".1f", 1),
    "distance_mixture": ("Fréchet distance", ".0f", 1),
    "probe_100": ("error %, 100 labels", ".1f", 100),
    "probe_1000": ("error %, 1,000 labels", ".1f", 100),
}


# What the paper, or a reviewer, says of a model's rank and of its samples, and the claims on rank at the end, rank at
# equal error and samples, by the ends of their names.
_LOST, _TIED = "as without maps", "a little higher"
SAID: dict[str, dict[str, tuple]] = {
    "": {"ae": ("", "", None, None, None), "full": ("lower than AE", "", "fig9-maps", "fig9-maps-matched", None)},
    "Figure 9": {
        "frozen": ("higher than full", "much worse", "fig9-frozen", "fig9-frozen-matched", "fig9-samples"),
        "frozen trained": ("not asked; we: low", "", "fig9-trained", "fig9-trained-matched", None),
    },
    "Figure 10": {
        "relu": (_LOST, "worse", "fig10-relu-lost", "fig10-relu-lost-matched", "fig10-samples"),
        "tanh": (_LOST, "", "fig10-tanh-lost", "fig10-tanh-lost-matched", None),
    },
    "Figure 11": {
        "shared": (_TIED, "a little worse", "fig11-shared", "fig11-shared-matched", "fig11-samples"),
        "pairs": ("", "", None, None, None),
    },
    "A reviewer's": {
        "transpose": ("like full", "", "r1-transpose", "r1-transpose-matched", None),
        "large": (_LOST, "", "r1-large-lost", "r1-large-lost-matched", None),
        "large frozen": ("", "", None, None, None),
    },
}


def verdicts(records: Sequence, ledger: Mapping[str, Judgement]) -> Shown:
    """The table of the models: what the paper says of rank and samples, what we measure, and the verdicts.

    `ledger` are the chapter's claims by name.
    """
    groups, rows = chosen(records), {}
    for heading, models in SAID.items():
        if heading:
            rows[heading] = []
        for name, (rank, samples, *said) in models.items():
            cells = []
            for words, claim, measure in zip((rank, rank, samples), said, JUDGED, strict=True):
                value = measured((MEASURES[measure](run) for run in groups.get(name, [])), log=True) if measure else ""
                row = _now(ledger, f"jing2020-{claim}") if claim else None
                cells.append(judged(row, shown=words, aside=value) if row else Cell(aside=value))
            rows[LABELS[name].replace("W^T in turn", "its transpose")] = cells
    return comparison("model", list(JUDGED.values()), rows, ours="ratio", aside="ours")


def _now(ledger: Mapping[str, Judgement], name: str) -> Judgement:
    """The row that judges a question now: the one that a superseded row names."""
    return ledger.get(ledger[name].claim.superseded_by, ledger[name])


JUDGED = {
    "rank_covariance": "rank at the end",
    "": "rank at the pair's common error",
    "distance_mixture": "Fréchet distance of samples",
}


def results(blocks: Mapping[str, Sequence]) -> Html:
    """The table of means over seeds and their range: a row a model in each block of runs.

    Columns that no run has are left out.
    """
    found = {
        head: {
            name: {key: [MEASURES[key](run) * COLUMNS[key][2] for run in runs] for key in COLUMNS}
            for name, runs in chosen(records).items()
        }
        for head, records in blocks.items()
    }
    rows = [row for models in found.values() for row in models.values()]
    if not rows:
        return Html(EMPTY)
    shown = [key for key in COLUMNS if any(np.isfinite(row[key]).any() for row in rows)]
    head = "".join(f"<th scope='col'>{typeset(cell)}</th>" for cell in ("model", *(COLUMNS[key][0] for key in shown)))
    body = "".join(
        head_of_block(words, len(shown) + 1) + "".join(_row(LABELS[name], row, shown) for name, row in models.items())
        for words, models in found.items()
        if models
    )
    return scrolling(f"<tr>{head}</tr>", body)


def _row(label: str, values: Mapping[str, Sequence[float]], shown: Sequence[str]) -> str:
    cells = "".join(f"<td>{spread(values[key], COLUMNS[key][1])}</td>" for key in shown)
    return f"<tr><th scope='row' style='text-align:left'>{typeset(label)}</th>{cells}</tr>"


def ingredients(records: Sequence, key: str = "rank_covariance", form: str = ".1f") -> Html:
    """The table of the three ingredients: maps or none, learned or frozen, small or large start."""

    def cell(name: str) -> str:
        runs = chosen(records, [name]).get(name, [])
        return spread((MEASURES[key](run) for run in runs), form) if runs else "not run"

    lines = [("maps learn", "full", "large"), ("maps frozen", "frozen", "large frozen")]
    rows = "".join(
        f"<tr><th scope='row' style='text-align:left'>{label}</th><td>{cell(small)}</td><td>{cell(large)}</td></tr>"
        for label, small, large in lines
    )
    plain = f"<tr><th scope='row' style='text-align:left'>no maps</th><td colspan='2'>{cell('ae')}</td></tr>"
    head = "<tr><th></th><th scope='col'>small start</th><th scope='col'>large start</th></tr>"
    return scrolling(head, rows + plain)
