"""The figures of chapters 9 to 11 draw what they are given, and the interactive ones need nothing from outside."""

import json
import re

import numpy as np
import pytest
import torch
from conftest import live_records
from matplotlib.figure import Figure

from implicit_rank.experiments.conditioning import experiment as conditioning
from implicit_rank.experiments.landscape.chapter import LandscapeChapter
from implicit_rank.experiments.rotation import rag_start
from implicit_rank.experiments.rotation.chapter import RotationChapter
from implicit_rank.figures import conditioning as conditioning_figures
from implicit_rank.figures import landscape as landscape_figures
from implicit_rank.figures import rotation as rotation_figures
from implicit_rank.figures.kit import interactive
from implicit_rank.store import live_record
from implicit_rank.theory import landscape, rotation

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
    records = live_records(conditioning.run(specs))
    figure = conditioning_figures.l2_condition_numbers(records)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["(a) equal", "(b) random", "(c) adversarial", "(d) near_tie"]
    best = next(line for line in figure.axes[0].lines if line.get_label() == "best penalties")
    equal = [r for r in records if r.spec["spectrum"] == "equal"]
    assert best.get_ydata() == pytest.approx([r.scalars["l2_best"] for r in equal])
    nested = conditioning_figures.nested_condition_numbers(records)
    rag = next(line for line in nested.axes[0].lines if line.get_label() == "RAG")
    assert rag.get_ydata() == pytest.approx([r.scalars["rag"] for r in equal])
    runs = live_records(rag_start.run(rag_start.presets("smoke")))
    assert len(rotation_figures.misalignment(runs).axes) == 2
    assert isinstance(rotation_figures.misalignment([]), Figure)
    assert isinstance(conditioning_figures.l2_condition_numbers([]), Figure)


def test_the_table_on_mnist_has_a_column_a_width_and_a_decimal_where_numbers_are_small():
    make = conditioning.Conditioning
    names = [name for name, _ in conditioning_figures.ON_MNIST]
    runs = [live_record(make(spectrum="mnist", k=k), dict.fromkeys(names, 7.25 * k**3), {}) for k in (2, 20)]
    text = conditioning_figures.on_mnist(runs)._repr_html_()
    assert re.findall(r"<th scope='col'>([^<]*)</th>", text) == ["", "k\u00a0=\u00a02", "k\u00a0=\u00a020"]
    assert text.count("<td>58.0</td>") == text.count("<td>58,000</td>") == len(names)
    assert "No stored run" in conditioning_figures.on_mnist([])._repr_html_()


def test_descents_are_drawn_above_the_minimum_beside_the_losses_of_saddles():
    settings = LandscapeChapter(profile="smoke", starts=3)
    trained = settings.descents()
    axis = landscape_figures.descents(trained.descent, s, lam, settings.minimum()).axes[0]
    lines = [line for line in axis.lines if len(line.get_xdata()) == len(trained.descent.steps)]
    least = float(landscape.class_loss(s, lam, (0, 1)))
    for line, losses in zip(lines, trained.descent.series["loss"].numpy(), strict=True):
        assert line.get_ydata() == pytest.approx(losses - least, abs=1e-12)


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


def plane():
    """The surface of chapter 9."""
    settings = LandscapeChapter(profile="smoke")
    return landscape_figures.turning_plane(s, *settings.plane())


def flow():
    """The matrices of chapter 11."""
    settings = RotationChapter(profile="smoke")
    return rotation_figures.sorting_matrix(settings.start(), settings.moments_in_time())


def test_the_flow_that_is_played_ends_sorted():
    frames = json.loads(re.search(r"data = (\{.*?\});", flow()._repr_html_())[1])
    last = np.array(frames["M"][-1])
    assert np.diag(last) == pytest.approx([5, 4, 3.2, 2, 1], abs=0.01)
    assert frames["t"][-1] == 24


@pytest.mark.parametrize("make", [surface, matrices, plane, flow])
def test_interactive_figures_are_self_contained_and_reproducible(make):
    text = make()._repr_html_()
    assert text == make()._repr_html_()
    assert not re.search(r"https?:|src=|href=|@import|NAME|DATA", text)
    assert "aria-label" in text
    assert "<bowl>" not in text  # the description is escaped
    assert len(text) < 100_000
