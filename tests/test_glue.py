"""What chapters hand to their text: pictures are shown once and the same each time, numbers are plain."""

import base64
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch

from implicit_rank.glue import glue

mpl.use("Agg")


@pytest.fixture
def shown(monkeypatch):
    """Everything that is displayed, as (data, metadata)."""
    seen = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata, raw: seen.append((data, metadata)))
    return seen


@pytest.mark.parametrize("value", [0.25, np.float64(0.25), np.array(0.25), torch.tensor(0.25), np.float32(0.25)])
def test_numbers_are_recorded_without_being_shown(shown, value):
    glue("x", value)
    ((data, metadata),) = shown
    assert data == {"application/papermill.record/text/plain": "0.25"}
    assert metadata["scrapbook"] == {"name": "x", "mime_prefix": "application/papermill.record/"}


def test_texts_are_recorded_as_myst_nb_does(shown):
    glue("x", "quick")
    assert shown[0][0] == {"application/papermill.record/text/plain": "'quick'"}


def test_a_figure_is_shown_closed_and_the_same_each_time(shown):
    import matplotlib.pyplot as plt

    for _ in range(2):
        figure, axes = plt.subplots(figsize=(4, 3))
        axes.plot([0, 1])
        glue("fig", figure)
        assert not plt.fignum_exists(figure.number)
    (first, metadata), (second, _) = shown
    assert first == second
    assert base64.b64decode(first["image/png"]).startswith(b"\x89PNG")
    assert metadata["scrapbook"] == {"name": "fig", "mime_prefix": ""}
    assert 300 < metadata["image/png"]["width"] < 450  # 100 pixels an inch, less the trimmed border


def test_a_figure_without_pyplot_works_too(shown, monkeypatch):
    from matplotlib.figure import Figure

    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    figure = Figure()
    figure.subplots().plot([0, 1])
    glue("fig", figure)
    assert "image/png" in shown[0][0]


def test_html_is_shown(shown):
    glue("table", type("T", (), {"_repr_html_": lambda self: "<b>x</b>"})())
    assert shown[0][0]["text/html"] == "<b>x</b>"
    assert shown[0][1]["scrapbook"]["mime_prefix"] == ""


@pytest.mark.parametrize("value", [None, [1], np.zeros(2), object()])
def test_anything_else_is_refused(shown, value):
    with pytest.raises(TypeError, match="glue takes a figure, HTML, number or text, not"):
        glue("x", value)
