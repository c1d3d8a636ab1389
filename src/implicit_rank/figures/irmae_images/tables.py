"""Tables of chapter 4: Jing 2020's Tables 1 and 2 with the ledger's verdicts, and what is measured beside them.

A cell of Table 2 is measured by `label_error` in `experiments/irmae_images/measures.py` on codes that
`experiments/irmae_images/labels.py` has classified, and judged by its row in `book/claims/jing2020_irmae_images.toml`;
the same numbers are drawn as curves by `label_curves` in `figures.py` beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from implicit_rank.claims.comparison import Cell, comparison, in_blocks, judged, measured
from implicit_rank.claims.judging import Judgement
from implicit_rank.claims.page import Shown
from implicit_rank.experiments.irmae_images.measures import MEASURES, SIZES
from implicit_rank.experiments.irmae_images.precision import ranks_of_twins, twins_of
from implicit_rank.figures.irmae_images.figures import by_model, name_of
from implicit_rank.store import Record

Blocks = Mapping[str, Sequence[Record]]
Ledger = Mapping[str, Judgement]

LABELS = [f"{size:,} labels" for size in SIZES]
MODELS = ("AE", "VAE", "IRMAE", "supervised")
ENDS = {"test_error": "error", "test_rank_covariance": "count, covariance", "test_rank_codes": "count, codes"}
AT_ERRORS = ENDS | {
    "rank_at_0.02": "covariance at 0.02",
    "rank_codes_at_0.02": "codes at 0.02",
    "rank_at_0.008": "covariance at 0.008",
    "rank_codes_at_0.008": "codes at 0.008",
}
DISTANCES = {
    "classifier_reconstruction": "test images, reconstructed",
    "classifier_midpoints": "midpoints",
    "classifier_gaussian": "one Gaussian",
    "classifier_mixture": "mixture",
    "classifier_mixture_test": "mixture, fitted on test codes",
    "classifier_plane": "plane of Figure 8",
    "classifier_prior": "N(0, I)",
    "classifier_floor": "training images",
}
SWITCHES = ENDS | {
    "classifier_prior": "distance, N(0, I)",
    "classifier_mixture": "distance, mixture",
    "clean_100": "error in %, 100 labels",
}
LENGTHS = ENDS | {
    "rank_at_0.008": "count at error 0.008",
    "classifier_mixture": "distance, mixture",
    "classifier_reconstruction": "distance, reconstructed",
    "released_100": "error in %, 100 labels, script",
    "clean_100": "the same, clean",
}
PROTOCOLS = {
    "first images, before maps, least on test (script)": "released_{}",
    "first images, before maps, at the end": "released_final_{}",
    "drawn images, before maps, at the end": "clean_before_{}",
    "drawn images, after maps, at the end": "clean_{}",
    "the same, codes divided by one number": "clean_unit_{}",
}
FEW, MANY, ALL = SIZES[:3], SIZES[3:4], SIZES[4:]
LEADS = (("IRMAE", "AE", FEW), ("IRMAE", "VAE", FEW), ("IRMAE", "supervised", FEW), ("VAE", "IRMAE", MANY))
LEADS += (("supervised", "IRMAE", MANY), ("VAE", "AE", ALL), ("supervised", "VAE", ALL))


# ---- Jing 2020, Tables 1 and 2
def table_1(ledger: Ledger, records: Sequence[Record]) -> Shown:
    """The table of distances from the data (Jing 2020, Table 1): FID as judged, and in the features of a classifier."""
    models = _papers_models(records)
    rows: dict[str, list[Cell]] = {
        name: [
            judged(ledger[f"jing2020-table1-mnist-{name.lower()}"]),
            judged(ledger[f"jing2020-table1-celeba-{name.lower()}"]),
            _cell("classifier_mixture", models.get(name, [])),
            _cell("classifier_gaussian", models.get(name, [])),
        ]
        for name in ("AE", "VAE", "IRMAE")
    }
    floor = _cell("classifier_floor", models.get("AE", []))
    rows |= {
        "training images": [Cell(), Cell(), floor, floor],
        "The order, as a ratio": [],
        "AE over IRMAE": [Cell(), Cell(), _lead(ledger, "table1-irmae-under-ae"), _lead(ledger, "fig6-gaussian")],
        "IRMAE over VAE": [Cell(), Cell(), _lead(ledger, "table1-vae-under-irmae"), Cell()],
        "VAE over IRMAE": [Cell(), _lead(ledger, "table1-celeba-order"), Cell(), _lead(ledger, "fig6-comparable")],
    }
    columns = ["MNIST, FID, mixture", "CelebA, FID, mixture", "classifier features, mixture", "the same, one Gaussian"]
    return comparison("model", columns, rows)


def table_2(ledger: Ledger, records: Sequence[Record]) -> Shown:
    """The table of errors in per cent by model and number of labels (Jing 2020, Table 2).

    Every cell has the ledger's verdict, on the paper's net at its full length, and `records`, of the small net, aside.
    """
    models = _papers_models(records)
    rows: dict[str, list[Cell]] = {
        name: [
            judged(ledger[_row(name, size)], measured(MEASURES[f"released_{size}"](r) for r in models.get(name, [])))
            for size in SIZES
        ]
        for name in MODELS
    }
    rows["Leads in points, clean protocol, small net"] = []
    for ahead, behind, sizes in LEADS:
        name = f"table2-{ahead}-under-{behind}".lower()
        cells = [_lead(ledger, f"{name}-{size}") if size in sizes else Cell() for size in SIZES]
        rows[f"{ahead} ahead of {behind}"] = cells
    return comparison("error in %", LABELS, rows, aside="small net")


def printed(ledger: Ledger) -> dict[str, dict[int, float]]:
    """The errors in per cent that Table 2 has in print, by model and number of labels."""
    return {name: {size: ledger[_row(name, size)].claim.expected for size in SIZES} for name in MODELS}


def protocol(records: Sequence[Record]) -> Shown:
    """The table of one model's errors in per cent, by protocol: one line of the released script replaced at a time."""
    rows = {words: [_cell(name.format(size), records) for size in SIZES] for words, name in PROTOCOLS.items()}
    return comparison(f"{name_of(records[0])}: error in %" if records else "error in %", LABELS, rows, ours="")


# ---- ours
def at_equal_error(blocks: Blocks) -> Shown:
    """The table of error and counts at the end, and of counts where the error first passed two targets."""
    return _measures("model", AT_ERRORS, blocks)


def distances(blocks: Blocks) -> Shown:
    """The table of Fréchet distances from the test images, in classifier features, by kind of picture."""
    return _measures("Fréchet distance in classifier features", DISTANCES, blocks)


def switches(records: Sequence[Record]) -> Shown:
    """The table of what another start, another order of images and a missing divergence change."""
    return comparison("model", list(SWITCHES.values()), _by_model(SWITCHES, records), ours="")


def lengths(blocks: Blocks) -> Shown:
    """The table of what every model came to, by length of training; the supervised net too."""
    return _measures("model", LENGTHS, blocks, supervised=True)


def twins(rounded: Sequence[Record], exact: Sequence[Record]) -> Shown:
    """The table of runs in float32 and in bfloat16 below them, with ranks where both first have the same error."""
    rows: dict[str, list[Cell]] = {}
    for pair in twins_of(rounded, exact):
        for record, rank, words in zip(pair, ranks_of_twins(pair), ("float32", "bfloat16"), strict=True):
            cells = [_cell(measure, [record]) for measure in ENDS]
            rows[f"{name_of(record)}, seed {record.seed}, {words}"] = [*cells, Cell(ours=measured([rank], log=True))]
    columns = [*ENDS.values(), "count, covariance, at the pair's common error"]
    return comparison("model", columns, rows or {"No twin is stored.": []}, ours="")


def _measures(corner: str, columns: Mapping[str, str], blocks: Blocks, supervised: bool = False) -> Shown:
    rows = in_blocks(blocks, lambda records: _by_model(columns, records, supervised))
    return comparison(corner, list(columns.values()), rows, ours="")


def _by_model(columns: Mapping[str, str], records: Sequence[Record], supervised: bool = False) -> dict[str, list[Cell]]:
    models = by_model(records, supervised)
    return {name: [_cell(measure, runs) for measure in columns] for name, runs in models.items()}


def _papers_models(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Runs by the paper's four names, of which one has no number of maps."""
    return {name.partition(",")[0]: runs for name, runs in by_model(records, supervised=True).items()}


def _cell(measure: str, records: Sequence[Record]) -> Cell:
    in_points = measure.startswith(("clean_", "released_"))  # errors in per cent are compared by differences
    return Cell(ours=measured((MEASURES[measure](record) for record in records), log=not in_points))


def _row(model: str, size: int) -> str:
    return f"jing2020-table2-{model.lower()}-{size}"


def _lead(ledger: Ledger, claim: str) -> Cell:
    """The cell of an ordering, by the row that judges its question now.

    Of the paper's text "30.2 - 10.2 = 20.0" it has the difference alone, of other texts nothing.
    """
    first = ledger[f"jing2020-{claim}"]
    judgement = ledger.get(first.claim.superseded_by, first)
    return judged(judgement, shown=str(judgement.claim.paper_value).rpartition("= ")[2])
