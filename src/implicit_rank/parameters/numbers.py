"""Numbers as callers have them, Python's, NumPy's or zero-dimensional arrays and tensors, as Python's own."""

from __future__ import annotations

import numbers
import operator
from typing import Any


def whole(value: Any) -> int | None:
    """The integer that `value` is; None for anything else, text and truth values among it."""
    if _is_truth(value) or getattr(value, "ndim", 0):  # a vector of one number is no number
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def real(value: Any) -> float | None:
    """The number, finite or not, that `value` is; None for anything else, text and truth values among it."""
    if _is_truth(value) or getattr(value, "ndim", 0):
        return None
    value = value.item() if hasattr(value, "item") else value
    return float(value) if isinstance(value, numbers.Real) else None


def truth(value: Any) -> bool | None:
    """True or False where `value` is one of them; None for anything else, such as the word "no"."""
    return bool(value) if _is_truth(value) and not getattr(value, "ndim", 0) else None


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).removeprefix("torch.") == "bool"
