"""Tables of chapters 6 and 7: what every member came to, ranks at equal error, probes read in several ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from implicit_rank.experiments.greedy_images.measures import LEVELS, MEASURES, gap
from implicit_rank.experiments.kit.run_ranks import at_error
from implicit_rank.figures.greedy_images.figures import METHODS, method_of
from implicit_rank.figures.greedy_images.more import kind_of
from implicit_rank.figures.kit.captions import IMAGES, images_of
from implicit_rank.figures.kit.slider import Html
from implicit_rank.figures.kit.tables import spread, table
from implicit_rank.spectra import effective_rank
from implicit_rank.store import filter_records

END = (("rank_codes", ".0f"), ("error", ".4f"))


def by_kind(records: Sequence) -> dict[str, list]:
    """Records by what was chosen: no chain, hand-set ranks, standard depths, then depths and alphas."""

    def place(record):
        spec = record.spec
        return METHODS.index(method_of(record)), spec["inner"], spec["depth"], spec["alpha"], spec["two_stages"]

    kinds: dict[str, list] = {}
    for record in sorted(records, key=lambda r: (place(r), r.seed)):
        name = kind_of(record) + (", two stages" if record.spec["two_stages"] else "")
        kinds.setdefault(name, []).append(record)
    return kinds


def summary(blocks: Mapping[str, Sequence]) -> Html:
    """A table of every kind of member's ranks, error, accuracy and distance, means and ranges over seeds.

    `blocks` are records by the words that head their rows.
    """
    header = ["member", "seeds", "rank of W_e", "rank of codes", "of their covariance", "error", "accuracy", "distance"]
    return table(header, {words: _summed_up(records) for words, records in blocks.items()})


def _summed_up(records: Sequence) -> list[list]:
    rows = []
    for name, group in by_kind(records).items():
        lost = sum(bool(r.scalars["diverged"]) for r in group)
        if lost == len(group):
            rows.append([name, len(group), "diverged", *["–"] * 5])
            continue
        columns = (
            ("rank_effective", ".0f"),
            ("rank_codes", ".0f"),
            ("rank_covariance", ".0f"),
            ("error", ".4f"),
            ("accuracy_best_codes", ".3f"),
            ("distance", ".0f"),
        )
        cells = [spread((MEASURES[measure](r) for r in group), form) for measure, form in columns]
        rows.append([name, f"{len(group)}, {lost} diverged" if lost else len(group), *cells])
    return rows


def equal_error(blocks: Mapping[str, Sequence], levels: Sequence[float] = LEVELS) -> Html:
    """A table of code ranks when a member's test error first came down to each of the levels, and at the end.

    `blocks` are records by the words that head their rows; kinds of which no member came down to any level are left
    out.
    """
    rows = {words: _at_errors(records, levels) for words, records in blocks.items()}
    return table(["member", *(f"at {level:g}" for level in levels), "at the end", "error then"], rows)


def _at_errors(records: Sequence, levels: Sequence[float]) -> list[list]:
    rows = []
    for name, group in by_kind([r for r in records if not r.scalars["diverged"]]).items():
        reached = [[at_error(r, level, "rank_codes") for r in group] for level in levels]
        if not np.isfinite(reached).any():
            continue
        cells = [spread(ranks, ".0f") for ranks in reached]
        rank, error = (spread((MEASURES[measure](r) for r in group), form) for measure, form in END)
        rows.append([name, *cells, rank, error])
    return rows


def probes(records: Sequence) -> Html:
    """Accuracies by how the epoch was chosen, and of features and scaled codes beside the codes."""
    rows = []
    for name, group in by_kind([r for r in records if not r.scalars["diverged"]]).items():
        keys = ("best_codes", "chosen_codes", "final_codes", "best_unit", "best_features")
        cells = [spread(MEASURES[f"accuracy_{key}"](r) for r in group) for key in keys]
        rows.append([name, *cells])
    header = [
        "member",
        "best on the test set",
        "chosen by validation",
        "last epoch",
        "codes scaled, best",
        "before the chain, best",
    ]
    return table(header, rows)


def dependence(records: Sequence, level: float = 0.02) -> Html:
    """What the estimated rank becomes when one thing is changed: four estimates at the end, one at equal error.

    `level` is the test error at which the codes' rank is read once more, a dash where it was not reached.
    """
    rows = []
    for record in sorted(records, key=changes):
        values = record.arrays["singular_effective"]
        place, factor = gap(values)
        smooth = float(effective_rank(_tensor(record.arrays["singular_codes"])))
        rows.append(
            [
                what_changed(record),
                f"{record.scalars['error']:.4f}",
                f"{record.scalars['rank_codes']:g}",
                f"{record.scalars['rank_covariance']:g}",
                f"{smooth:.1f}",
                f"{record.scalars['rank_effective']:g}",
                f"{place} (× {factor:.1f})",
                spread([at_error(record, level, "rank_codes")], ".0f"),
            ]
        )
    header = [
        "changed",
        "test error",
        "codes, 1 %",
        "covariance, 1 %",
        "entropy of codes",
        "W_e, 1 %",
        "widest gap of W_e",
        f"codes, 1 %, at error {level:g}",
    ]
    return table(header, rows)


WAYS = {
    "alpha": "W = α Ŵ, float32",
    "float64": "the same in float64",
    "rate-epsilon": "rate times α, epsilon over α",
    "rate": "rate times α",
    "rate-squared": "rate times α²",
}


def twins(records: Sequence) -> Html:
    """A table of what one chain came to that was computed in several ways, over seeds."""
    rows = []
    for alpha in sorted({r.spec["alpha"] for r in records}):
        for way, words in WAYS.items():
            if group := filter_records(records, alpha=alpha, way=way):
                lost = sum(bool(r.scalars["diverged"]) for r in group)
                cells = [spread((float(r.scalars[name]) for r in group), form) for name, form in END]
                rows.append([f"{alpha:g}", words, f"{lost} of {len(group)}", *cells])
    return table(["α", "chain", "diverged", "rank of codes", "error"], rows)


USUAL = {
    "data": "mnist-12k",
    "lr": 1e-3,
    "channel_factor": 0.25,
    "code_width": 128,
    "batch": 32,
    "count": 10_000,
    "epochs": 5,
}


def changes(record) -> list[tuple]:
    """A key that sorts members of the study "depends": unchanged first, then by what was changed, and how far.

    What was changed is the first of `USUAL` that differs; the others, such as epochs, only keep the steps the same.
    """
    spec = record.spec
    return [(spec[key] != usual, spec[key] if spec[key] != usual else type(usual)()) for key, usual in USUAL.items()]


def what_changed(record) -> str:
    """In a few words what a member of the study "depends" has different from the others."""
    words = {
        "data": lambda v: images_of(v) if v == "mnist" else IMAGES.get(v, v),
        "lr": lambda v: f"rate {v:g}, same lr · α",
        "channel_factor": lambda v: f"{v:g} of the channels",
        "code_width": lambda v: f"codes of width {v}",
        "batch": lambda v: f"batches of {v}",
        "count": lambda v: f"{v:,} images" if v else "",
        "epochs": lambda v: f"{v} epoch{'s' * (v != 1)}",
    }
    changed = [key for key, usual in USUAL.items() if record.spec[key] != usual]
    return ", ".join(filter(None, (words[key](record.spec[key]) for key in changed))) or "nothing"


def _tensor(values: np.ndarray):
    import torch

    return torch.from_numpy(values.astype(float))
