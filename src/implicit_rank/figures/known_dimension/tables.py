"""Tables and numbers of chapter 3: ranks beside errors and factors, at equal error, and what a factor is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from implicit_rank.experiments.kit.run_ranks import at_error
from implicit_rank.experiments.known_dimension.measures import MEASURES
from implicit_rank.figures.kit.slider import Html
from implicit_rank.figures.kit.tables import ends, spread, table
from implicit_rank.figures.known_dimension.figures import by_model

FACTORS = {"position": "r2_position", "size": "r2_size", "hue": "r2_hue", "brightness": "r2_brightness"}
STARTS = {"he": "He", "default": "PyTorch"}
RULES = {"shapes-ours": "clean", "shapes-paper": "text", "shapes-official": "released"}


def price_table(prices: dict[str, dict[str, float]]) -> Html:
    """Return a table of what not knowing a factor costs: one row a factor, one column a rule set."""
    rows = [
        [factor, *(f"{columns[factor]:.4f}" for columns in prices.values())]
        for factor in ("position", "size", "colour", "hue", "shape", "hue and shape", "everything")
    ]
    return table(["not known", *prices], rows)


def factor_table(records: Sequence) -> Html:
    """Return a table: a row a model and start, counts and error, and R^2 of every factor."""
    rows = []
    for start, words in STARTS.items():
        for label, group in by_model([r for r in records if r.spec["conv_start"] == start]).items():
            cells = [_over(group, n, ".0f") for n in ("rank_covariance", "rank_codes")]
            cells += [_over(group, "error", ".4f")]
            cells += [_over(group, n, ".2f") for n in (*FACTORS.values(), "r2_shape")]
            rows.append([label, words, str(max(r.spec["epochs"] for r in group)), *cells])
    return table(["model", "start", "epochs", "count", "(codes)", "error", *FACTORS, "shape"], rows)


def matched_table(records: Sequence, levels: Sequence[float] = (0.005, 0.004, 0.003, 0.002)) -> Html:
    """Return a table of counts at equal errors: a row a model, a column an error."""
    rows = []
    for label, group in by_model(records).items():
        cells = [spread([at_error(r, level) for r in group], ".1f") for level in levels]
        rows.append([label, *cells, _over(group, "rank_covariance", ".0f")])
    return table(["model", *(f"at {level:g}" for level in levels), "at the end"], rows)


def rules_table(records: Sequence) -> Html:
    """Return a table: a row a rule set and model, counts, error and R^2."""
    rows = []
    for data, words in RULES.items():
        for label, group in by_model([r for r in records if r.spec["data"] == data]).items():
            cells = [_over(group, "rank_covariance", ".0f"), _over(group, "error", ".4f")]
            cells += [_over(group, n, ".2f") for n in ("r2_hue", "r2_shape")]
            rows.append([words, label, *cells])
    return table(["rules", "model", "count", "error", "hue", "shape"], rows)


def mean(records: Sequence, measure: str, form: str = "{:.2f}") -> str:
    """Return the mean of a measure over runs, in words where there are none."""
    return form.format(np.mean([MEASURES[measure](r) for r in records])) if records else "(not run)"


def span(records: Sequence, measure: str, form: str = "{:.0f}") -> str:
    """Return the range of a measure over runs in words, one number where they print alike."""
    return ends((MEASURES[measure](r) for r in records), form)


def _over(group: Sequence, measure: str, form: str) -> str:
    return spread((MEASURES[measure](r) for r in group), form)
