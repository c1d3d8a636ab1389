"""What was measured along the way: arrays with the member axis first and the log entries second."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class History:
    """The log of an ensemble of m members.

    `steps` (T,) and `epochs` (T,) say when; `values` holds arrays `(m, T, ...)`: `loss` (mean training
    objective since the entry before), `error` (mean squared error on the evaluation images), `singular_effective`
    (of W_e), `singular_codes` (of the code matrix as it is, n x d), `spectrum_codes` (of the centred covariance of
    the codes) and the ranks `rank_effective`, `rank_codes`, `rank_covariance` by the relative threshold.
    Entries after a member has stopped, and W_e's of members without one, are NaN. `status` (m) is "running",
    "finished", "diverged: reason" or the sentence of the rule that stopped a member; `stopped_at` (m,) is the
    step, -1 before.
    """

    members: int
    steps: list[int] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    rows: dict[str, list[np.ndarray]] = field(default_factory=dict)
    status: list[str] = field(default_factory=list)
    stopped_at: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    seconds: float = 0.0
    images_seen: int = 0

    def __post_init__(self):
        if not self.status:
            self.status = ["running"] * self.members
            self.stopped_at = np.full(self.members, -1, np.int64)

    def append(self, step: int, epoch: float, entry: dict[str, np.ndarray]) -> None:
        """Add one entry: arrays `(m, ...)` by name."""
        self.steps.append(step)
        self.epochs.append(epoch)
        for name, value in entry.items():
            self.rows.setdefault(name, []).append(np.asarray(value, np.float64))

    def drop_last(self) -> None:
        """Take the last entry back, and let members run that it stopped."""
        for rows in (self.epochs, *self.rows.values()):
            rows.pop()
        stopped = self.stopped_at == self.steps.pop()
        self.status = ["running" if stopped[i] else status for i, status in enumerate(self.status)]
        self.stopped_at[stopped] = -1

    @property
    def values(self) -> dict[str, np.ndarray]:
        """Arrays `(m, T, ...)` by name."""
        return {name: np.stack(rows, axis=1) for name, rows in self.rows.items()}

    def of(self, i: int) -> dict[str, np.ndarray]:
        """One member's arrays `(T, ...)`, with `steps` and `epochs`."""
        own = {name: values[i] for name, values in self.values.items()}
        return {"steps": np.array(self.steps), "epochs": np.array(self.epochs)} | own

    def last(self, name: str, i: int) -> float:
        """The last number a member has under a name, NaN if none."""
        own = np.array([row[i] for row in self.rows.get(name, [])])
        own = own[~np.isnan(own)]
        return float(own[-1]) if len(own) else float("nan")

    def diverged(self, i: int) -> bool:
        """Whether a member was stopped because it diverged."""
        return self.status[i].startswith("diverged")

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything as plain arrays, for a checkpoint."""
        return {f"rows/{name}": np.stack(rows) for name, rows in self.rows.items()} | {
            "steps": np.array(self.steps, np.int64),
            "epochs": np.array(self.epochs, np.float64),
            "status": np.array(self.status, dtype=np.str_),
            "stopped_at": self.stopped_at,
            "clock": np.array([self.seconds, self.images_seen], np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> History:
        """The history that `to_arrays` stored."""
        status = [str(s) for s in arrays["status"]]
        rows = {name.removeprefix("rows/"): list(v) for name, v in arrays.items() if name.startswith("rows/")}
        steps, epochs = arrays["steps"].tolist(), arrays["epochs"].tolist()
        seconds, seen = arrays["clock"].tolist()
        return cls(len(status), steps, epochs, rows, status, arrays["stopped_at"].copy(), seconds, int(seen))
