"""Whatever is given to a class of parameters is taken, or refused with one short ParameterError, and nothing else."""

import importlib
import math
import pkgutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from implicit_rank import experiments, train
from implicit_rank.parameters import ParameterError, Parameters, field_names, field_types


def classes():
    """Every class of parameters that a chapter, an experiment or a training has."""
    for module in pkgutil.walk_packages(experiments.__path__, f"{experiments.__name__}."):
        importlib.import_module(module.name)
    importlib.import_module(f"{train.__name__}.settings")
    found, todo = [], [Parameters]
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        if kind.__module__.startswith("implicit_rank.") and field_names(kind) and kind.__name__ != "Spec":
            found.append(kind)
    return sorted(set(found), key=lambda kind: (kind.__module__, kind.__name__))


WORDS = st.sampled_from(
    ["", " ", "none", "true", "nan", "inf", "1e-4", "1e400", "[1, 2]", "[1,", "(1,)", "paper", "he"]
)
WORDS |= st.sampled_from(["folder:", "folder:nowhere", "folder:\0", "mnist", "[" * 5000, "9" * 5000, "\0", "\ud800"])
NUMBERS = st.integers() | st.integers(-3, 70) | st.floats() | st.sampled_from([2**31, 2**63, 10**400, -0.0, 1e-300])
ARRAYS = st.sampled_from([np.int64(3), np.float32(0.5), np.zeros(0), np.eye(2), np.array("x"), np.bool_(True)])
ARRAYS |= st.sampled_from([torch.ones(2), torch.tensor(2), torch.tensor(True), torch.empty(1, device="meta"), np.ones])
ATOMS = st.none() | st.booleans() | NUMBERS | WORDS | st.text(max_size=20) | st.binary(max_size=3) | ARRAYS
ANYTHING = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.sets(st.integers()))


def near(field):
    """Values that the field may take, or just may not: its limits, its choices, lists of them, and as text."""
    limits = field.metadata
    known = [limits.get(name) for name in ("least", "above", "most", "below") if limits.get(name) is not None]
    edges = [edge + step for edge in known for step in (0, 1, -1)]
    values = [*edges, *(limits.get("choices") or ()), field.default, 1, 2.5]
    one = st.sampled_from([value for value in values if not isinstance(value, float) or math.isfinite(value)])
    return one | st.lists(one, min_size=1, max_size=3) | one.map(str)


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: f"{kind.__module__.split('.', 2)[-1]}.{kind.__name__}")
def test_anything_is_taken_or_refused_in_one_short_sentence(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fields = list(kind.__dataclass_fields__.values())
    fields = [field for field in fields if field.name in field_types(kind)]
    given_values = st.fixed_dictionaries({}, optional={f.name: near(f) | ANYTHING for f in fields})
    plausible = st.fixed_dictionaries({}, optional={f.name: near(f) for f in fields})

    @settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(given_values | plausible)
    def check(values):
        made, said = None, ""
        try:
            made = kind(**values)
        except ParameterError as refused:
            said = str(refused)
        assert len(said) < 1000
        assert "\n" not in said
        assert made is None or kind(**made.to_dict()) == made  # what is taken is plain, and is taken again

    check()
