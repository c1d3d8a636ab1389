"""The figures of chapters 9 to 11 draw what they are given, and the interactive ones need nothing from outside."""

import re

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from implicit_rank.experiments.conditioning import experiment as conditioning
from implicit_rank.experiments.rotation import rag_start
from implicit_rank.figures import conditioning as conditioning_figures
from implicit_rank.figures import landscape as landscape_figures
from implicit_rank.figures import rotation as rotation_figures
from implicit_rank.figures.kit import interactive
from implicit_rank.store import live_record
from implicit_rank.theory import rotation

s = torch.tensor([4.0, 2.5, 1.2, 0.5], dtype=torch.float64)
lam = torch.tensor([0.2, 0.8], dtype=torch.float64)


def test_classes_are_all_drawn_once():
    figure = landscape_figures.classes(s, lam)
    axis = figure.axes[0]
    assert sum(len(line.get_xdata()) for line in axis.lines) == 17
    assert sorted(text.get_text() for text in axis.texts)[-1] == "– –"
    assert "1 2" in {text.get_text() for text in axis.texts}


def test_records_of_every_experiment_can_be_drawn():
    specs = conditioning.presets("smoke")
    records = [live_record(r.spec, r.scalars, r.arrays) for r in conditioning.run(specs)]
    figure = conditioning_figures.condition_numbers(records, conditioning_figures.L2_CURVES)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["(a) equal", "(b) random", "(c) adversarial"]
    runs = [live_record(r.spec, r.scalars, r.arrays) for r in rag_start.run(rag_start.presets("smoke"))]
    assert len(rotation_figures.misalignment(runs).axes) == 2
    assert isinstance(rotation_figures.misalignment([]), Figure)
    assert isinstance(conditioning_figures.condition_numbers([], conditioning_figures.L2_CURVES), Figure)


def surface():
    path = np.stack([np.linspace(0.1, 1, 9), np.zeros(9)], -1)[None]
    heights = np.linspace(2, 1, 5)[:, None] + np.zeros((5, 8))
    return interactive.turning_surface(
        np.linspace(0, 1, 5), heights, path, np.linspace(2, 1, 9)[None], range(9), "A <bowl>.", 2.0
    )


def matrices():
    M0 = torch.tensor([[1.0, 0.5], [0.5, 2.0]], dtype=torch.float64)
    times = torch.linspace(0, 5, 4, dtype=torch.float64)
    return interactive.sorting_matrix(times.tolist(), rotation.toda_flow(M0, times).numpy(), "A matrix.")


@pytest.mark.parametrize("make", [surface, matrices])
def test_interactive_figures_are_self_contained_and_reproducible(make):
    text = make()._repr_html_()
    assert text == make()._repr_html_()
    assert not re.search(r"https?:|src=|href=|@import|NAME|DATA", text)
    assert "aria-label" in text
    assert "<bowl>" not in text  # the description is escaped
    assert len(text) < 100_000
