"""Tables of chapter 3: ranks beside errors and factors, at equal error, and what a factor is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from implicit_rank.experiments.kit.run_ranks import at_error
from implicit_rank.experiments.known_dimension.measures import MEASURES
from implicit_rank.figures.kit.slider import Html
from implicit_rank.figures.kit.tables import spread, table
from implicit_rank.figures.known_dimension.figures import by_model

FACTORS = {"position": "r2_position", "size": "r2_size", "hue": "r2_hue", "brightness": "r2_brightness"}
STARTS = {"he": "He", "default": "PyTorch"}
MATCHED = (0.006, 0.005, 0.004, 0.003, 0.002)
RULES = {"shapes-ours": "clean", "shapes-paper": "text", "shapes-official": "released"}


def price_table(prices: Mapping[str, Mapping[str, float]]) -> Html:
    """The table of what not knowing a factor costs: one row a factor, one column a rule set."""
    rows = [
        [factor, *(f"{columns[factor]:.4f}" for columns in prices.values())]
        for factor in ("position", "size", "colour", "hue", "shape", "hue and shape", "everything")
    ]
    return table(["not known", *prices], rows)


def factor_table(blocks: Mapping[str, Sequence]) -> Html:
    """The table of counts and error, and R^2 of every factor: in each block of runs a row a model and start."""

    def rows(records: Sequence) -> list[list[str]]:
        found = []
        for start, words in STARTS.items():
            for label, group in by_model([r for r in records if r.spec["conv_start"] == start]).items():
                cells = [_over(group, name, ".0f") for name in ("rank_covariance", "rank_codes")]
                cells += [_over(group, "error", ".4f")]
                cells += [_over(group, name, ".2f") for name in (*FACTORS.values(), "r2_shape")]
                found.append([label, words, str(max(r.spec["epochs"] for r in group)), *cells])
        return found

    header = ["model", "start", "epochs", "count", "(codes)", "error", *FACTORS, "shape"]
    return table(header, {words: rows(records) for words, records in blocks.items()})


def matched_table(blocks: Mapping[str, Sequence], levels: Sequence[float] = MATCHED) -> Html:
    """The table of counts at equal errors: in each block of runs a row a model, a column an error."""

    def rows(records: Sequence) -> list[list[str]]:
        return [
            [label, *(spread([at_error(r, level) for r in group], ".1f") for level in levels), _ended(group)]
            for label, group in by_model(records).items()
        ]

    return table(
        ["model", *(f"at {level:g}" for level in levels), "at the end"],
        {words: rows(records) for words, records in blocks.items()},
    )


def rules_table(blocks: Mapping[str, Sequence]) -> Html:
    """The table of counts, error and R^2: in each block of runs a row a rule set and model."""

    def rows(records: Sequence) -> list[list[str]]:
        found = []
        for data, words in RULES.items():
            for label, group in by_model([r for r in records if r.spec["data"] == data]).items():
                factors = [_over(group, name, ".2f") for name in ("r2_hue", "r2_shape")]
                found.append([words, label, _ended(group), _over(group, "error", ".4f"), *factors])
        return found

    return table(
        ["rules", "model", "count", "error", "hue", "shape"],
        {words: rows(records) for words, records in blocks.items()},
    )


def _ended(group: Sequence) -> str:
    return _over(group, "rank_covariance", ".0f")


def _over(group: Sequence, measure: str, form: str) -> str:
    return spread((MEASURES[measure](r) for r in group), form)
