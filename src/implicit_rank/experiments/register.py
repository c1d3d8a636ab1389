"""The register of experiments: what the command line, the ledger and a sweep know of each, by its name.

Names are listed without importing any experiment, and hence without PyTorch; `experiment` imports one.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from implicit_rank.parameters import unknown_name
from implicit_rank.store.modules import MODULES


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """One experiment. Every experiment module of the package ends with one, named EXPERIMENT.

    `presets(profile, seeds=None)` are its planned members, of class `spec`; ``run(specs, device, progress,
    on_done)`` trains members and returns a result each; `measures` are numbers by name, read off a stored run.
    What an experiment has nothing to say about stays None: `batches(specs, memory=None, device="cpu")` groups
    members that are trained together, `cost(spec)` weighs one against another, `estimate(specs, device)` is
    seconds or None, and `size(specs)` tells numbers of parameters and bytes by name.
    """

    spec: type
    presets: Callable[..., Sequence]
    run: Callable[..., Sequence]
    measures: Mapping[str, Callable[[Any], float]]
    batches: Callable[..., Sequence[Sequence]] | None = None
    cost: Callable[[Any], float] | None = None
    estimate: Callable[..., float | None] | None = None
    size: Callable[[Sequence], Mapping[str, float]] | None = None

    @property
    def name(self) -> str:
        """The experiment's name, which its Spec class carries."""
        return self.spec.experiment

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the settings of a member."""
        return tuple(field.name for field in dataclasses.fields(self.spec))


_ADDED: dict[str, Experiment] = {}


def add(experiment: Experiment) -> Experiment:
    """Register an experiment from outside the package for this process, and hand it back."""
    _ADDED[experiment.name] = experiment
    return experiment


def names() -> list[str]:
    """The names of all experiments, in alphabetical order."""
    return sorted({*MODULES, *_ADDED})


def experiment(name: str) -> Experiment:
    """The experiment of this name; ValueError names the closest and all there are."""
    if name in _ADDED:
        return _ADDED[name]
    if name not in MODULES:
        raise ValueError(unknown_name("experiment", name, names()))
    return importlib.import_module(MODULES[name]).EXPERIMENT


def about(name: str) -> str:
    """The first sentence of an experiment's module, read without importing it."""
    module = MODULES[name] if name in MODULES else _ADDED[name].spec.__module__
    found = importlib.util.find_spec(module)
    text = Path(found.origin).read_text(encoding="utf-8") if found and found.origin else ""
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
