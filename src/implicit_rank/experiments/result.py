"""What an experiment returns for one member."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Result:
    """One finished member: its spec, numbers, small arrays, and a note when it was stopped early."""

    spec: Any
    scalars: dict[str, float]
    arrays: dict[str, np.ndarray]
    note: str | None = None
    seconds: float = field(default=0.0, compare=False)
