"""When a member stops before its time: divergence that shows no NaN, a target error, a rank that has settled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from implicit_rank.train.history import History
from implicit_rank.train.settings import Settings

Rule = Callable[[History, int], str | None]
"""Called with the history and a member's number after every log entry; a sentence stops that member."""


@dataclass(frozen=True)
class Diverged:
    """Divergence as it shows behind a Tanh, which saturates instead of overflowing.

    A member diverged when a number is not finite, when the largest singular value of W_e passes
    `singular_limit`, or when its error is more than `error_limit` times the one at the start.
    """

    error_limit: float = 1.5
    singular_limit: float = 1e4

    def __call__(self, history: History, i: int) -> str | None:
        loss, error = history.rows["loss"][-1][i], history.rows["error"][-1][i]
        # no step has been taken before the first entry: it has no loss
        if not math.isfinite(error) or (len(history.steps) > 1 and not math.isfinite(loss)):
            return "diverged: a number is not finite"
        largest = history.rows["singular_effective"][-1][i][0]
        if largest > self.singular_limit:
            return f"diverged: the largest singular value of W_e is {largest:.3g}"
        start = history.rows["error"][0][i]
        if error > self.error_limit * start:
            return f"diverged: the error is {error:.3g}, at the start it was {start:.3g}"
        return None


@dataclass(frozen=True)
class TargetError:
    """Stop when the error on the evaluation images is at most `error`, so that ranks compare at equal error."""

    error: float

    def __call__(self, history: History, i: int) -> str | None:
        reached = history.rows["error"][-1][i] <= self.error
        return f"reached the error {self.error:g}" if reached else None


@dataclass(frozen=True)
class StableRank:
    """Stop when a rank has not changed for `epochs` epochs (Sun 2021, 3.2), give or take `tolerance`.

    `of` is "effective" (W_e, as the paper has it), "codes" or "covariance". With the paper's tolerance of 0 it may
    never fire, so `cap` ends the wait at that epoch; a first rank equal to the full width does not count
    when `vacuous` is False, since nothing has been learned then.
    """

    of: str = "effective"
    epochs: int = 5
    tolerance: int = 0
    cap: int | None = None
    vacuous: bool = True

    def __post_init__(self):
        if self.of not in ("effective", "codes", "covariance"):
            raise ValueError(f"of must be 'effective', 'codes' or 'covariance', not {self.of!r}.")
        if self.epochs < 1 or self.tolerance < 0 or (self.cap is not None and self.cap < 1):
            raise ValueError("epochs and cap must be at least 1 and tolerance at least 0.")

    def __call__(self, history: History, i: int) -> str | None:
        now = history.epochs[-1]
        if self.holds(
            np.array(history.epochs),
            np.array([row[i] for row in history.rows[f"rank_{self.of}"]]),
            history.rows["spectrum_codes"][-1].shape[-1],
        ):
            return f"rank unchanged for {self.epochs} epochs"
        return f"cap of {self.cap} epochs" if self.cap is not None and now >= self.cap else None

    def holds(self, epochs: np.ndarray, ranks: np.ndarray, width: int) -> bool:
        """Whether `ranks` (T,) logged at `epochs` (T,) have settled at the last entry."""
        window = ranks[epochs >= epochs[-1] - self.epochs]
        if epochs[-1] < self.epochs or np.isnan(window).any():
            return False
        settled = window.max() - window.min() <= self.tolerance
        return bool(settled and (self.vacuous or window[-1] < width))


def divergence(settings: Settings) -> Diverged:
    """The rule with which every training starts."""
    return Diverged(settings.error_limit, settings.singular_limit)
