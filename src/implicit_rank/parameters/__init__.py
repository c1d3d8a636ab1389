"""Typed, validated parameters: one frozen dataclass per chapter or experiment.

A subclass declares its fields with `option`; building an instance coerces every value by the field's
annotation and refuses anything else with one sentence (`ParameterError`) that says what is allowed. The
same rules serve notebooks (`from_namespace(globals())`), papermill (whose `-p` sends text such as
`"1e-4"` or `"[0, 1]"`) and the command line.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import types
import typing
from typing import Any

from implicit_rank.parameters.coercion import ParameterError, coerce, plain, shown, unknown_name

__all__ = [
    "LARGEST_SEED",
    "ParameterError",
    "Parameters",
    "field_names",
    "field_types",
    "option",
    "resolve_device",
    "shown",
    "unknown_name",
]

LARGEST_SEED = 2**31 - 1  # what every generator takes: PyTorch's, NumPy's and scikit-learn's, offsets added

_NOTEBOOK_NAMES = {"In", "Out", "exit", "quit", "get_ipython", "open", "display"}
_CHECKED = "_parameters_checked"  # left in a notebook's namespace by the first from_namespace


def option(default: Any, about: str, *, least=None, above=None, most=None, below=None, choices=None) -> Any:
    """A dataclass field with a default, one line of help and the values it may take.

    `least`/`most` are inclusive bounds, `above`/`below` exclusive ones; `choices` lists all allowed values of
    the choices' own type (so text choices leave numbers of a `float | str` field free). They hold
    for every element of a tuple field.
    """
    limits = {
        "least": least,
        "above": above,
        "most": most,
        "below": below,
        "choices": None if choices is None else tuple(choices),
    }
    default = tuple(default) if isinstance(default, list) else default
    return dataclasses.field(default=default, metadata={"about": about, **limits})


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Base of all parameter sets: frozen, validated and coerced on construction (ParameterError)."""

    def __post_init__(self):
        hints = field_types(type(self))
        for field in dataclasses.fields(self):
            value = coerce(field.name, getattr(self, field.name), hints[field.name], field.metadata)
            object.__setattr__(self, field.name, value)

    @classmethod
    def from_dict(cls, values: typing.Mapping[str, Any]) -> typing.Self:
        """An instance from a mapping of names to values; an unknown name is refused (ParameterError)."""
        names = field_names(cls)
        for name in values:
            if name not in names:
                raise ParameterError(unknown_name("parameter", name, names))
        return cls(**values)

    @classmethod
    def from_namespace(cls, namespace: dict[str, Any]) -> typing.Self:
        """An instance from a notebook's `globals()`, called in the cell after the parameters cell.

        A name that the parameters cell sets, or the cell that papermill puts after it, and that is no parameter is
        taken for a misspelt one and refused (ParameterError). Where no such cell is known (a plain script), this
        holds for every name but modules, callables, and names with a leading underscore. What IPython's startup
        files have set is passed over, and so is what other cells set; when the cell is run again in the same
        session, only the latest parameters cell is looked at.
        """
        names = field_names(cls)
        given = _public_names(namespace, names)
        cells = _assigning_cells(namespace)
        set_here = _latest_with(names, cells) if namespace.get(_CHECKED) else _first_run(names, cells)
        before = _untouched_since_startup(namespace) - (set_here or set())
        given = [name for name in given if name not in before and (not set_here or name in names or name in set_here)]
        namespace[_CHECKED] = True
        return cls.from_dict({name: namespace[name] for name in given})

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values (tuples become lists)."""
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


def field_names(cls: type[Parameters]) -> list[str]:
    """The names of all parameters of a class, in the order of declaration."""
    return [field.name for field in dataclasses.fields(cls)]


@functools.cache
def field_types(cls: type[Parameters]) -> dict[str, Any]:
    """The resolved annotation of every field, also where annotations are strings (as in notebooks)."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def resolve_device(name: str = "auto") -> Any:
    """The torch.device for "cpu", "cuda", "cuda:1" or "auto" (CUDA where there is one, else the CPU).

    Raises ParameterError for another name and for CUDA on a machine without it.
    """
    import torch  # here, so that parameters can be checked without loading PyTorch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    kind, colon, index = str(name).partition(":")
    if kind not in ("cpu", "cuda") or (colon and not (kind == "cuda" and index.isdigit())):
        raise ParameterError(f"device must be 'cpu', 'cuda', 'cuda:<number>' or 'auto', not {shown(name)}.")
    if kind == "cuda" and not count:
        raise ParameterError(
            f"device {shown(name)} was asked for, but PyTorch sees no CUDA device on this machine; use 'cpu' or 'auto'."
        )
    if colon and int(index) >= count:
        raise ParameterError(
            f"device {shown(name)} was asked for, but there are only {count} CUDA device(s), counted from 0."
        )
    return torch.device(name)


# ---- notebooks ----
def _public_names(namespace: typing.Mapping[str, Any], known: list[str]) -> list[str]:
    def shown(name, value):
        return not (
            name.startswith("_")
            or name in _NOTEBOOK_NAMES
            or callable(value)
            or isinstance(value, (types.ModuleType, Parameters))
            or type(value).__module__ in ("__future__", "typing")
        )

    return [name for name, value in list(namespace.items()) if name in known or shown(name, value)]


def _assigning_cells(namespace: typing.Mapping[str, Any]) -> list[set[str]]:
    """The names set by each cell of this session that does nothing but assign, latest first."""
    found = []
    for source in reversed(list(namespace.get("In", []))):
        try:
            statements = ast.parse(source).body
        except (SyntaxError, ValueError):
            continue
        if statements and all(isinstance(node, (ast.Assign, ast.AnnAssign)) for node in statements):
            targets = [
                target
                for node in statements
                for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            ]
            found.append({target.id for target in targets if isinstance(target, ast.Name)})
    return found


def _latest_with(names: list[str], cells: list[set[str]]) -> set[str] | None:
    """What the latest cell with a parameter in it sets; None where there is none."""
    return next((cell for cell in cells if cell & set(names)), None)


def _first_run(names: list[str], cells: list[set[str]]) -> set[str] | None:
    """What the parameters cell and cells after it set (papermill's may hold nothing but a misspelt name), or None."""
    found: set[str] = set()
    for cell in cells:
        if found & set(names) and not cell & set(names):
            break  # a cell of the reader's own, above the parameters
        found |= cell
    return found if found & set(names) else None


def _untouched_since_startup(namespace: typing.Mapping[str, Any]) -> set[str]:
    """The names that IPython had before the first cell, from its startup files, and that still mean the same."""
    shell = namespace["get_ipython"]() if callable(namespace.get("get_ipython")) else None
    hidden = getattr(shell, "user_ns_hidden", None)
    return {name for name in hidden or () if name in namespace and namespace[name] is hidden[name]}
