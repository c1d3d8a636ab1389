"""Parameters: coercion by annotation, one-sentence refusals, notebooks' namespaces."""

import dataclasses
import math
import os
import sys
import types
from typing import Literal

import numpy as np
import pytest
import torch
from conftest import ROOT

from implicit_rank.parameters import ParameterError, Parameters, option, resolve_device


@dataclasses.dataclass(frozen=True)
class Demo(Parameters):
    profile: str = option("quick", "how much to run", choices=("smoke", "quick", "paper"))
    depth: int = option(4, "number of linear layers", least=1)
    alpha: float = option(1.0, "weight of the chain", above=0)
    threshold: float = option(0.01, "relative rank threshold", above=0, below=1)
    steps: int | None = option(None, "steps, or none for the profile's own", least=0, most=100_000)
    seeds: tuple[int, ...] = option((0, 1), "random seeds", least=0)
    scales: tuple[float, ...] = option((1e-3,), "start scales", above=0)
    names: tuple[str, ...] = option(("sgd",), "optimisers", choices=("sgd", "adam"))
    shape: tuple[int, int] = option((3, 2), "rows, columns", least=1)
    animate: bool = option(True, "draw the animation")
    lr: float | str = option("paper", "learning rate", above=0, choices=("paper", "best"))
    start: Literal["default", "orthogonal"] = "default"


def test_values_are_coerced_by_annotation():
    demo = Demo(
        depth="8",
        alpha="1e-4",
        steps="1e4",
        seeds="[0, 2]",
        scales=[1, "2e-3"],
        names="sgd, adam",
        shape=np.array([5, 4]),
        animate="False",
        lr="0.5",
    )
    assert demo.depth == 8
    assert type(demo.depth) is int
    assert demo.alpha == 1e-4
    assert demo.steps == 10_000
    assert type(demo.steps) is int
    assert demo.seeds == (0, 2)
    assert demo.scales == (1.0, 2e-3)
    assert type(demo.scales[0]) is float
    assert demo.names == ("sgd", "adam")
    assert demo.shape == (5, 4)
    assert demo.animate is False
    assert demo.lr == 0.5
    assert Demo(steps="none").steps is None
    assert Demo(lr="best").lr == "best"
    assert Demo(depth=np.int64(3)).depth == 3
    assert Demo(alpha=torch.tensor(2.5)).alpha == 2.5
    assert Demo(seeds="(3, 4)").seeds == (3, 4)
    assert Demo(seeds=range(3)).seeds == (0, 1, 2)
    assert hash(demo) == hash(dataclasses.replace(demo))
    assert demo.to_dict()["seeds"] == [0, 2]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"depth": 0}, "depth must be an integer of at least 1, not 0."),
        ({"depth": 2.5}, "depth must be an integer of at least 1, not 2.5."),
        ({"depth": True}, "depth must be an integer of at least 1, not True."),
        ({"depth": "deep"}, "depth must be an integer of at least 1, not 'deep'."),
        ({"alpha": 0}, "alpha must be a finite number above 0, not 0."),
        ({"alpha": math.nan}, "alpha must be a finite number above 0, not nan."),
        ({"alpha": "inf"}, "alpha must be a finite number above 0, not 'inf'."),
        ({"alpha": None}, "alpha must be a finite number above 0, not None."),
        ({"threshold": 1}, "threshold must be a finite number above 0 and below 1, not 1."),
        ({"steps": -1}, "steps must be an integer from 0 to 100000 or none, not -1."),
        ({"seeds": []}, "seeds must be a non-empty list of integers of at least 0, not []."),
        ({"seeds": ""}, "seeds must be a non-empty list of integers of at least 0, not ''."),
        ({"seeds": 3}, "seeds must be a non-empty list of integers of at least 0, not 3."),
        ({"seeds": [0, -1]}, "seeds must be a non-empty list of integers of at least 0, not [0, -1]."),
        ({"seeds": "[0, 1"}, "seeds must be a non-empty list of integers of at least 0, not '[0, 1'."),
        ({"scales": [1, math.inf]}, "scales must be a non-empty list of finite numbers above 0, not [1, inf]."),
        ({"names": ["sdg"]}, "names must be a non-empty list of values from 'sgd', 'adam', not ['sdg']."),
        ({"shape": [1, 2, 3]}, "shape must be a list of 2 integers of at least 1, not [1, 2, 3]."),
        ({"animate": "maybe"}, "animate must be true or false, not 'maybe'."),
        ({"animate": 1}, "animate must be true or false, not 1."),
        (
            {"lr": "bset"},
            "lr must be a finite number above 0 or one of 'paper', 'best', not 'bset' (did you mean 'best'?).",
        ),
        ({"profile": "papr"}, "profile must be one of 'smoke', 'quick', 'paper', not 'papr' (did you mean 'paper'?)."),
        ({"profile": 3}, "profile must be one of 'smoke', 'quick', 'paper', not 3."),
        ({"start": "he"}, "start must be one of 'default', 'orthogonal', not 'he'."),
    ],
)
def test_bad_values_get_one_sentence(values, sentence):
    with pytest.raises(ParameterError) as refused:
        Demo(**values)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "value",
    [
        "[" * 100_000,
        "a" * 200_000,
        [["a" * 1000] * 1000] * 50,
        10**400,
        int("9" * 4000) ** 2,
        torch.empty(3, device="meta"),
        torch.empty((), device="meta"),
        b"1",
        {1: "a" * 1000},
    ],
    ids=["brackets", "text", "lists", "huge", "unprintable", "no-values", "no-value", "bytes", "dict"],
)
@pytest.mark.parametrize("name", ["depth", "alpha", "seeds", "shape", "animate", "lr", "start", "steps"])
def test_a_refusal_of_anything_is_one_short_sentence(name, value):
    with pytest.raises(ParameterError, match=f"^{name} must be .*, not ") as refused:
        Demo(**{name: value})
    assert len(str(refused.value)) < 400


def test_a_long_name_is_not_repeated_at_length():
    with pytest.raises(ParameterError, match=r"^unknown parameter 'xxx.*; allowed: profile, depth") as refused:
        Demo.from_dict({"x" * 200_000: 1})
    assert len(str(refused.value)) < 400


def test_every_digit_of_an_integer_counts():
    assert Demo(depth="9007199254740993").depth == 9007199254740993


def test_numeric_choices_hold_for_floats_too():
    @dataclasses.dataclass(frozen=True)
    class Chosen(Parameters):
        alpha: float = option(1.0, "weight", choices=(1, 2))

    assert Chosen(alpha=2).alpha == 2.0
    with pytest.raises(ParameterError, match="alpha must be one of 1, 2, not 3"):
        Chosen(alpha=3)


def test_namespace_picks_fields_and_refuses_unknown_names():
    namespace = {
        "depth": 8,
        "seeds": [4],
        "math": math,
        "Demo": Demo,
        "_hidden": 1,
        "In": [],
        "Out": {},
        "option": option,
        "exit": object(),
    }
    assert Demo.from_namespace(dict(namespace)) == Demo(depth=8, seeds=(4,))
    with pytest.raises(ParameterError) as refused:
        Demo.from_namespace({**namespace, "dpeth": 16})
    expected = "unknown parameter 'dpeth' (did you mean 'depth'?); allowed: profile, depth,"
    assert str(refused.value).startswith(expected)
    with pytest.raises(ParameterError, match="depth must be an integer"):
        Demo.from_namespace({"depth": math.sqrt})  # a field is never passed over for being callable


def test_running_the_cell_again_ignores_names_of_later_cells():
    cell = "depth: int = 8  # layers\nseeds = [0]"
    namespace = {"depth": 8, "seeds": [0], "In": ["", cell, "p = Demo.from_namespace(globals())"]}
    Demo.from_namespace(namespace)
    namespace.update(depth=2, losses=[1.0], spectrum=np.ones(3))
    namespace["In"] += ["losses = [1.0]\nspectrum = np.ones(3)", "depth: int = 2\nseeds = [0]"]
    assert Demo.from_namespace(namespace).depth == 2
    namespace["dpeth"] = 3
    namespace["In"] += ["dpeth = 3\nseeds = [0]"]
    with pytest.raises(ParameterError, match="dpeth"):
        Demo.from_namespace(namespace)


CELL = "profile: str = 'smoke'\ndepth: int = 8  # layers"


def notebook(*cells, startup=None):
    """The names of an IPython session after cells were run in it, the way IPython keeps them."""
    hidden = dict(startup or {})
    namespace = {"In": [""], **hidden}
    namespace["get_ipython"] = lambda: types.SimpleNamespace(user_ns_hidden=hidden)
    for cell in cells:
        namespace["In"].append(cell)
        exec(cell, namespace)
    return namespace


@pytest.mark.parametrize(
    ("cells", "startup", "depth"),
    [
        ([CELL], {"my_tool": 3, "seeds": "mine", "depth": 2}, 8),  # a startup file's names mean nothing here
        (["profile = 'smoke'"], {"depth": 2}, 4),  # not even where they are a parameter's
        (["mine = [1]", "import math", CELL], {}, 8),  # a cell of the reader's own above
        (["import math; mine = [1]", CELL], {}, 8),
        ([CELL, "# Parameters\ndepth = 16"], {"my_tool": 3}, 16),
        (["import math; depth = 2"], {}, 2),
    ],
)
def test_only_what_the_parameters_cells_set_counts(cells, startup, depth):
    made = Demo.from_namespace(notebook(*cells, startup=startup))
    assert (made.depth, made.seeds) == (depth, (0, 1))


@pytest.mark.parametrize(
    "cells",
    [
        [CELL + "\ndpeth = 3"],
        [CELL, "# Parameters\ndpeth = 3"],  # papermill's own cell
        [CELL, "# Parameters\ndepth = 16\ndpeth = 3"],
        [CELL, "import math", "dpeth = 3"],
        ["dpeth = 3"],
    ],
)
def test_a_misspelt_parameter_is_refused_wherever_it_is_set(cells):
    with pytest.raises(ParameterError, match=r"unknown parameter 'dpeth' \(did you mean 'depth'\?\)"):
        Demo.from_namespace(notebook(*cells, startup={"my_tool": 3, "dpeth": 2}))


def test_a_real_startup_file_does_not_matter(tmp_path, monkeypatch):
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    (tmp_path / "profile_default" / "startup").mkdir(parents=True)
    startup = "my_tool, depth, seeds = 1, 'mine', [7]\n"
    (tmp_path / "profile_default" / "startup" / "00-mine.py").write_text(startup, encoding="utf-8")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]))
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in (CELL, "from test_parameters import Demo")]
    notebook.cells[0].metadata["tags"] = ["parameters"]
    notebook.cells.append(nbformat.v4.new_code_cell("p = Demo.from_namespace(globals())\n(my_tool, p.depth, p.seeds)"))
    path = tmp_path / "notebook.ipynb"
    nbformat.write(notebook, path)
    done = papermill.execute_notebook(str(path), str(path), {"depth": 16}, progress_bar=False, kernel_name="python3")
    assert done.cells[-1].outputs[0].data["text/plain"] == "(1, 16, (0, 1))"
    with pytest.raises(PapermillExecutionError) as refused:
        papermill.execute_notebook(str(path), str(path), {"dpeth": 16}, progress_bar=False, kernel_name="python3")
    assert "unknown parameter 'dpeth'" in refused.value.evalue


def test_string_annotations_of_a_notebook_are_resolved():
    source = (
        "from __future__ import annotations\nimport dataclasses\n"
        "from implicit_rank.parameters import Parameters, option\n"
        "@dataclasses.dataclass(frozen=True)\nclass Cell(Parameters):\n"
        "    seeds: tuple[int, ...] = option([1, 2], 'seeds', least=0)\n"
        "    steps: int | None = None\n"
    )
    module = type(sys)("a_notebook")
    sys.modules["a_notebook"] = module
    try:
        exec(source, module.__dict__)
        assert module.Cell(seeds="[5]", steps="7").to_dict() == {"seeds": [5], "steps": 7}
    finally:
        del sys.modules["a_notebook"]


def test_devices(monkeypatch):
    assert resolve_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(ParameterError, match="sees no CUDA device on this machine; use 'cpu' or 'auto'"):
        resolve_device("cuda")
    for name in ("gpu", "cuda:x", "cpu:0", ""):
        with pytest.raises(ParameterError, match="device must be 'cpu', 'cuda'"):
            resolve_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cuda:1").index == 1
    with pytest.raises(ParameterError, match=r"only 2 CUDA device\(s\)"):
        resolve_device("cuda:2")
