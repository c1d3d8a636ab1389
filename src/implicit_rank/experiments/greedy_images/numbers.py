"""Numbers that the prose of chapters 6 and 7 needs and no single measure gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from implicit_rank.experiments.greedy_images.measures import MEASURES, by_alpha, elbow, leaving_times, mean, plateau
from implicit_rank.experiments.greedy_images.measures import samples_follow as follow
from implicit_rank.store import Record, filter_records

Groups = Mapping[str, Sequence[Record]]


def orthogonal_at(groups: Groups, measure: str, depth: int, alpha: float) -> float:
    """The mean of a measure over the seeds of the orthogonal start at one depth and alpha; NaN where none was run."""
    return mean(filter_records(groups["orthogonal"], depth=depth, alpha=alpha), measure)


def standard_at(groups: Groups, measure: str, depth: int) -> float:
    """The mean of a measure over the seeds of the standard start at one depth; NaN where none was run."""
    return mean(filter_records(groups["standard"], depth=depth), measure)


def by_hand_at(groups: Groups, measure: str, rank: int) -> float:
    """The mean of a measure over the seeds of a rank set by hand; NaN where none was run."""
    return mean(filter_records(groups["by_hand"], inner=rank), measure)


def samples_follow(groups: Groups) -> float:
    """How closely the distance of samples follows that of reconstructions, over all members."""
    return follow(groups["all"])


def leaving(groups: Groups, which: str) -> float | None:
    """How many singular values of W_e leave their start along the stored course, or when the "first" and "last" do."""
    if not groups["course"]:
        return None
    times = leaving_times(groups["course"][0])
    return {"number": len(times), "first": float(times[0]), "last": float(times[-1])}[which]


def diverged_at(groups: Groups, depth: int, alpha: float) -> str | None:
    """How many chains of the first series at one depth and alpha diverged, "2 of 3"; None where none was run."""
    found = filter_records(groups["first_orthogonal"], depth=depth, alpha=alpha)
    return f"{sum(bool(r.scalars['diverged']) for r in found)} of {len(found)}" if found else None


def optimism(groups: Groups) -> float:
    """By how many points an accuracy is better, on average, if the test set instead of a validation split chose."""
    chosen = [r.scalars["accuracy_chosen_codes"] for r in groups["all"] if "accuracy_best_codes" in r.scalars]
    best = [r.scalars["accuracy_best_codes"] for r in groups["all"] if "accuracy_best_codes" in r.scalars]
    return 100 * float(np.mean(np.subtract(best, chosen))) if best else math.nan


def plateau_at(groups: Groups, depth: int, seed: int | None = None) -> str:
    """Where the first series' plateau of mean code ranks begins, up to alpha 100 and within a fifth (eq-plateau).

    Over the alphas that every seed has, or over all alphas of one `seed`.
    """
    chains = [r for r in filter_records(groups["first_orthogonal"], depth=depth) if r.spec["alpha"] <= 100]
    alphas = by_alpha(chains if seed is None else filter_records(chains, seed=seed))
    # one member that diverged ends the range: no mean over the others
    ranks = [float(np.mean([MEASURES["rank_codes"](r) for r in group])) for group in alphas.values()]
    begins = plateau(list(alphas), ranks, 0.2)
    return f"from {begins:g} on" if math.isfinite(begins) else "none"


def elbow_by_hand(groups: Groups) -> float:
    """The elbow of the mean test errors of ranks set by hand (eq-elbow)."""
    ranks = sorted({r.spec["inner"] for r in groups["by_hand"]})
    return elbow(ranks, [by_hand_at(groups, "error", rank) for rank in ranks])


def two_precisions(groups: Groups) -> str | None:
    """Code ranks and errors in float32 and float64, seed by seed; None where there is no pair."""
    pairs = [
        (twin, record) for record in groups["float64"] for twin in filter_records(groups["float32"], seed=record.seed)
    ]
    return "; ".join(_pair_in_words(*pair) for pair in pairs) or None


def _pair_in_words(single: Record, double: Record) -> str:
    ranks, errors = ([r.scalars[name] for r in (single, double)] for name in ("rank_codes", "error"))
    return f"seed {double.seed}: {ranks[0]:.0f} and {ranks[1]:.0f}, errors {errors[0]:.4f} and {errors[1]:.4f}"
