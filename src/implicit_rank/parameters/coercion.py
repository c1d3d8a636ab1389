"""Values to types: conversion by annotation, ranges and choices, and the sentences that refuse the rest."""

from __future__ import annotations

import ast
import contextlib
import difflib
import json
import math
import numbers
import reprlib
import types
import typing
from typing import Any

_KINDS = {int: "an integer", float: "a finite number", bool: "true or false", str: "text", type(None): "none"}
_PLURAL = {int: "integers", float: "finite numbers", bool: "true or false values", str: "texts"}
_LONGEST = 100  # characters of a refused value that are repeated


class ParameterError(ValueError):
    """An unknown parameter, a wrong type or a value out of range; the message says what is allowed."""


def unknown_name(what: str, name: str, allowed: typing.Iterable[str]) -> str:
    """The sentence that refuses an unknown name: the closest match and everything that is allowed."""
    allowed = list(allowed)
    close = difflib.get_close_matches(str(name), allowed, 1) if len(str(name)) <= _LONGEST else []
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown {what} {shown(name)}{hint}; allowed: {', '.join(allowed) or 'none'}."


class _MismatchError(Exception):
    """The value does not fit this type; the caller words the sentence."""


def coerce(name: str, value: Any, kind: Any, limits: typing.Mapping[str, Any]) -> Any:
    """The value as the type and within the limits that `option` has recorded; ParameterError otherwise."""
    try:
        return _convert(value, kind, limits)
    except _MismatchError:
        close = ""
        if isinstance(value, str) and len(value) <= _LONGEST and limits.get("choices"):
            matches = difflib.get_close_matches(value, [str(choice) for choice in limits["choices"]], 1)
            close = f" (did you mean {matches[0]!r}?)" if matches else ""
        raise ParameterError(f"{name} must be {_describe(kind, limits)}, not {shown(value)}{close}.") from None


def _convert(value: Any, kind: Any, limits: typing.Mapping[str, Any]) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, typing.get_args(kind), limits)
    if origin is typing.Literal:
        return _convert(value, type(typing.get_args(kind)[0]), {**limits, "choices": typing.get_args(kind)})
    if origin is tuple:
        return _convert_tuple(value, typing.get_args(kind), limits)
    if kind is type(None):
        if value is None or (isinstance(value, str) and value.strip().lower() in ("none", "null")):
            return None
        raise _MismatchError
    if kind in (int, float, bool, str):
        return _within(_SCALARS[kind](value), limits)
    if isinstance(kind, type) and isinstance(value, kind):  # any other class: taken as it is
        return value
    raise _MismatchError


def _convert_union(value: Any, kinds: tuple, limits: typing.Mapping[str, Any]) -> Any:
    # None first, text last: "none" and "1e-4" mean the value, not the word.
    for kind in sorted(kinds, key=lambda kind: (kind is not type(None), kind is str)):
        try:
            return _convert(value, kind, limits)
        except _MismatchError:
            continue
    raise _MismatchError


def _convert_tuple(value: Any, kinds: tuple, limits: typing.Mapping[str, Any]) -> tuple:
    if isinstance(value, str):
        value = _parse_list(value)
    elif hasattr(value, "tolist"):  # NumPy arrays and tensors
        try:
            value = value.tolist()
        except (ValueError, RuntimeError):  # a tensor that holds no values
            raise _MismatchError from None
    if not isinstance(value, (list, tuple, range)) or len(value) == 0:
        raise _MismatchError
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise _MismatchError
    return tuple(_convert(item, kind, limits) for item, kind in zip(value, kinds, strict=True))


def _parse_list(text: str) -> Any:
    stripped = text.strip()
    if stripped[:1] in ("[", "("):
        for parse in (json.loads, ast.literal_eval):
            try:
                return parse(stripped)
            except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two: thousands of brackets
                continue
        raise _MismatchError
    return [item.strip() for item in stripped.split(",")] if stripped else []


def _to_int(value: Any) -> int:
    number = _to_float(value)
    if number != int(number):
        raise _MismatchError
    if isinstance(value, str):
        with contextlib.suppress(ValueError):  # "1e4"; where it is digits, every one of them counts
            return int(value)
    return int(value) if isinstance(value, numbers.Integral) else int(number)


def _to_float(value: Any) -> float:
    if isinstance(value, (bool, bytes, bytearray)) or type(value).__name__ == "bool_":
        raise _MismatchError
    if not isinstance(value, (numbers.Real, str)):
        value = _scalar(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last: a tensor that holds no values
        raise _MismatchError from None
    if not math.isfinite(number):
        raise _MismatchError
    return number


def _to_bool(value: Any) -> bool:
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if isinstance(value, bool) or type(value).__name__ == "bool_" or type(value).__module__ == "numpy":
        value = _scalar(value)
    if not isinstance(value, bool):
        raise _MismatchError
    return value


def _to_str(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _MismatchError
    return value


_SCALARS = {int: _to_int, float: _to_float, bool: _to_bool, str: _to_str}


def _scalar(value: Any) -> Any:
    """A zero-dimensional array's or tensor's value; everything else unchanged."""
    try:
        return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
    except (ValueError, RuntimeError):  # a tensor that holds no values
        raise _MismatchError from None


def _within(value: Any, limits: typing.Mapping[str, Any]) -> Any:
    choices = limits.get("choices")
    if choices and _is_number(value) == _is_number(choices[0]) and value not in choices:
        raise _MismatchError
    if _is_number(value):
        outside = (
            (limits.get("least") is not None and value < limits["least"])
            or (limits.get("above") is not None and value <= limits["above"])
            or (limits.get("most") is not None and value > limits["most"])
            or (limits.get("below") is not None and value >= limits["below"])
        )
        if outside:
            raise _MismatchError
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# ---- wording ----
def _describe(kind: Any, limits: typing.Mapping[str, Any], plural: bool = False) -> str:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        parts = sorted(args, key=lambda arg: arg is type(None))
        return " or ".join(_describe(part, limits, plural) for part in parts)
    if origin is typing.Literal:
        return _describe(type(args[0]), {**limits, "choices": args}, plural)
    if origin is tuple:
        if args[-1] is Ellipsis:
            return f"a non-empty list of {_describe(args[0], limits, plural=True)}"
        return f"a list of {len(args)} {_describe(args[0], limits, plural=True)}"
    choices = limits.get("choices")
    if choices and _is_number(choices[0]) == (kind in (int, float)):
        listed = ", ".join(repr(choice) for choice in choices)
        return f"values from {listed}" if plural else f"one of {listed}"
    noun = (_PLURAL if plural else _KINDS).get(kind, getattr(kind, "__name__", str(kind)))
    return noun + (_describe_range(limits) if kind in (int, float) else "")


def _describe_range(limits: typing.Mapping[str, Any]) -> str:
    least, above, most, below = (limits.get(key) for key in ("least", "above", "most", "below"))
    if least is not None and most is not None:
        return f" from {_limit(least)} to {_limit(most)}"
    words = (("of at least", least), ("above", above), ("of at most", most), ("below", below))
    said = " and ".join(f"{word} {_limit(limit)}" for word, limit in words if limit is not None)
    return f" {said}" if said else ""


def _limit(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def shown(value: Any) -> str:
    """The value as a refusal quotes it: its `repr`, with the middle left out where it is long."""
    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = brief.maxlong = _LONGEST
    brief.maxlist = brief.maxtuple = brief.maxdict = brief.maxset = 12
    try:
        value = plain(value)
        text = brief.repr(value)
    except (ValueError, RecursionError, RuntimeError):  # an integer of thousands of digits, a tensor without values
        text = f"a value of type {type(value).__name__}"
    text = " ".join(text.split())  # arrays come in lines
    return text if len(text) <= 2 * _LONGEST else f"{text[:_LONGEST]}...{text[-_LONGEST // 2 :]}"


def plain(value: Any) -> Any:
    """The value as JSON has it: tuples become lists, arrays nested lists."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value
