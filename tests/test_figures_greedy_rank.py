"""Figures of chapters 1 and 2, drawn from live runs at smoke size: labels, legends, telling lines apart, and data."""

from dataclasses import replace
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from conftest import live_records
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from implicit_rank.experiments.effective_matrix import effective_update
from implicit_rank.experiments.effective_matrix.effective_update import EffectiveUpdate
from implicit_rank.experiments.greedy_rank import deep_linear
from implicit_rank.experiments.greedy_rank.measures import emergence_times, final_rank, rank_series, size_over_law
from implicit_rank.figures import effective_matrix
from implicit_rank.figures.greedy_rank import figures as greedy_rank
from implicit_rank.figures.kit.captions import images_of, runs_shown
from implicit_rank.figures.kit.style import COLOURS, canvas, house, letter, ramp, strokes
from implicit_rank.store import filter_records

BACKGROUND = "#888888"  # directions that never start are drawn alike on purpose


def live(results):
    return live_records(results, {"device": "cpu"})


@pytest.fixture(scope="module")
def runs():
    """The smoke preset with two seeds."""
    return live(deep_linear.run(deep_linear.presets("smoke", seeds=(0, 1))))


@pytest.fixture(scope="module")
def synthetic(runs):
    return filter_records(runs, data="synthetic")


@pytest.fixture(scope="module")
def updates():
    (record,) = live(effective_update.run([EffectiveUpdate(profile="smoke", depth=2, width=3)]))
    return [replace(record, spec={**record.spec, "depth": depth}) for depth in (1, 2, 3)]


def look(line):
    """What tells a line apart from its neighbours."""
    dash = line._unscaled_dash_pattern if line.get_linestyle() != "None" else line.get_marker()
    return to_hex(line.get_color()), str(dash)


def check(figure, legends=True):
    """The rules for every figure: a Figure that draws, axes with labels, lines that differ, a legend."""
    assert isinstance(figure, Figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # warnings are errors: layout, glyphs, empty legends
    assert len(np.unique(np.asarray(canvas.buffer_rgba())[..., :3].reshape(-1, 3), axis=0)) > 2, "it is not empty"
    drawn = [axis for axis in figure.axes if axis.axison]
    assert drawn
    for axis in drawn:
        beside_x, beside_y = (
            group.get_siblings(axis) for group in (axis.get_shared_x_axes(), axis.get_shared_y_axes())
        )
        assert axis.get_label() == "<colorbar>" or any(other.get_xlabel() for other in beside_x)
        assert any(other.get_ylabel() for other in beside_y) or axis.get_title(loc="left") or axis.get_yticklabels()
        looks = [look(line) for line in axis.get_lines() if to_hex(line.get_color()) != BACKGROUND]
        assert len(set(looks)) == len(looks), f"lines that look alike: {looks}"
    if legends:
        assert figure.legends or any(axis.get_legend() for axis in drawn)
    return figure


def labels(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


# ---- chapter 2 ----
def test_figure_1(synthetic):
    figure = check(greedy_rank.figure_1(synthetic))
    grid = np.array(figure.axes).reshape(4, 3)
    for row, name in enumerate(("(a) vanilla", "(b) standard start", "(c) orthogonal", "(d) orthogonal, N = 4")):
        assert grid[row, 0].get_title(loc="left").startswith(name)
        assert grid[row, 0].get_yscale() == "log"
    assert [labels(grid[row, 2]) for row in (1, 2, 3)] == [["2", "4"], ["2", "4"], ["1", "1.5", "2", "3"]]
    assert not grid[0, 1].axison  # a vanilla autoencoder has no W_e
    group = filter_records(synthetic, start="orthogonal", depth=2, alpha=1.0)
    assert len(group) == 2
    shown = grid[2, 0].get_lines()[0]
    np.testing.assert_allclose(shown.get_ydata(), np.median([r.arrays["loss"] for r in group], axis=0))
    np.testing.assert_array_equal(shown.get_xdata(), group[0].arrays["steps"])
    ranks = np.median([rank_series(r, "codes") for r in group], axis=0)
    np.testing.assert_array_equal(grid[2, 2].get_lines()[0].get_ydata(), ranks)
    other = greedy_rank.figure_1(synthetic, rank_threshold=0.1).axes[8].get_lines()[0].get_ydata()
    assert (other <= ranks).all()
    assert (other < ranks).any()


def test_figure_1_draws_the_rows_there_are(synthetic):
    figure = check(greedy_rank.figure_1(filter_records(synthetic, start="orthogonal")))
    assert len(figure.axes) == 6


def test_figure_1_shows_a_stopped_member_up_to_its_end():
    spec = replace(deep_linear.small("smoke"), depth=2, steps=30, records=12)
    wild = live(deep_linear.run([spec, replace(spec, lr=60.0, divide_lr=False, alpha=2.0)]))
    check(greedy_rank.figure_1(wild))


def test_figure_5a(synthetic):
    (record,) = filter_records(synthetic, start="orthogonal", depth=4, alpha=2.0, seed=0)
    figure = check(greedy_rank.figure_5a([record]), legends=False)
    assert [axis.get_ylabel() for axis in figure.axes] == ["singular value"] * 2
    for axis, name in zip(figure.axes, ("effective", "codes"), strict=True):
        lines = axis.get_lines()
        assert len(lines) == record.arrays[name].shape[1]
        np.testing.assert_array_equal(lines[0].get_ydata(), record.arrays[name][:, 0])
        # numbered at their ends, in place of a legend
        assert [text.get_text() for text in axis.texts] == ["1", "2", "3"]


def test_emergence(synthetic):
    figure = check(
        greedy_rank.emergence(filter_records(synthetic, start="none") + filter_records(synthetic, alpha=2.0))
    )
    (axis,) = figure.axes
    assert labels(axis) == ["no chain", "N = 2", "N = 4"]
    (record, other) = filter_records(synthetic, start="orthogonal", depth=4, alpha=2.0)
    expected = np.concatenate([emergence_times(record), emergence_times(other)])
    np.testing.assert_array_equal(axis.get_lines()[2].get_ydata(), expected)
    assert axis.get_lines()[2].get_linestyle() == "None"


def test_laws(synthetic):
    figure = check(greedy_rank.laws(filter_records(synthetic, alpha=1.0) + filter_records(synthetic, alpha=2.0)))
    first, second = figure.axes
    assert labels(first) == [r"$\alpha=1$", r"$\alpha=2$"]
    group = filter_records(synthetic, start="orthogonal", depth=4, alpha=2.0)
    line = second.get_lines()[1]
    shown = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
    assert shown[4] == pytest.approx(np.mean([size_over_law(r) for r in group]))
    assert first.get_ylim()[0] == second.get_ylim()[0] == 0


def groups_of(synthetic):
    return {
        "no chain": filter_records(synthetic, start="none"),
        "orthogonal, N = 2": filter_records(synthetic, start="orthogonal", depth=2, alpha=2.0),
        "orthogonal, N = 4": filter_records(synthetic, start="orthogonal", depth=4, alpha=2.0),
    }


def test_noise(synthetic):
    groups = groups_of(synthetic)
    figure = greedy_rank.noise([r for records in groups.values() for r in records])
    (axis,) = figure.axes
    assert isinstance(figure, Figure)
    assert axis.get_xlabel()
    assert [text.get_text() for text in axis.get_yticklabels()] == list(groups)
    assert labels(axis) == ["training data", "fresh samples"]
    assert {look(line) for line in axis.get_lines()} == {(to_hex(COLOURS[0]), "o"), (to_hex(COLOURS[1]), "s")}
    fresh = axis.get_lines()[1].get_xdata()
    assert list(fresh) == [r.scalars["fresh_error"] for r in groups["no chain"]]


def test_threshold_sensitivity(synthetic):
    groups = groups_of(synthetic)
    (axis,) = check(greedy_rank.threshold_sensitivity([r for records in groups.values() for r in records])).axes
    assert labels(axis) == list(groups)
    for line, records in zip(axis.get_lines(), groups.values(), strict=False):
        thresholds, ranks = line.get_data()
        assert (np.diff(ranks) <= 0).all()
        assert ranks[30] == np.median([final_rank(r, "codes", thresholds[30]) for r in records])
    assert set(axis.get_lines()[-1].get_xdata()) == {0.01}


def test_final_spectra(synthetic):
    records = groups_of(synthetic)["orthogonal, N = 2"][:1]
    (axis,) = check(greedy_rank.final_spectra(records)).axes
    assert labels(axis) == [f"start at {records[0].spec['scale']:g}"]
    values = records[0].arrays["effective_final"]
    np.testing.assert_allclose(axis.get_lines()[0].get_ydata(), np.maximum(values / values[0], 1e-6))


def test_queue(runs):
    digits = filter_records(runs, data="digits", seed=0)
    chain, plain = filter_records(digits, start="orthogonal")[0], filter_records(digits, start="none")[0]
    left, right = check(greedy_rank.queue([chain, plain])).axes
    assert left.get_title(loc="left") == "(a) no chain"
    assert right.get_title(loc="left") == "(b) 4 linear layers"
    assert labels(right) == [str(k) for k in range(1, 9)]
    np.testing.assert_array_equal(right.get_lines()[2].get_ydata(), chain.arrays["modes"][:, 2])
    np.testing.assert_array_equal(left.get_lines()[0].get_ydata(), plain.arrays["modes"][:, 0])


# ---- chapter 1 ----
def test_spotlight():
    figure = check(effective_matrix.spotlight([1.0, 0.5, 0.1], [1, 2, 8]), legends=False)
    panels = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title(loc="left") for axis in panels] == ["N = 1", "N = 2", "N = 8", "N → ∞"]
    shares = [np.asarray(axis.images[0].get_array()) for axis in panels]
    np.testing.assert_allclose(shares[0], 1)  # one layer treats all directions alike
    np.testing.assert_allclose(shares[1], (np.array([[1, 0.5, 0.1]]) + np.array([[1], [0.5], [0.1]])) / 2)
    assert shares[1][2, 2] > shares[2][2, 2] > shares[3][2, 2]  # depth narrows the spotlight
    assert [text.get_text() for text in panels[1].texts][:2] == ["1", ".75"]
    assert figure.axes[-1].get_ylabel()  # the colour bar says what it measures


def test_first_order():
    errors = {1: [1e-16, 1e-16], 2: [1e-3, 1e-4], 3: [2e-3, 2e-4]}
    (axis,) = check(effective_matrix.first_order([1e-2, 1e-3], errors)).axes
    assert labels(axis) == ["N = 1", "N = 2", "N = 3"]
    assert axis.get_xscale() == axis.get_yscale() == "log"
    assert list(axis.get_lines()[1].get_ydata()) == errors[2]
    assert list(effective_matrix.first_order([1e-2], {1: [0.0]}).axes[0].get_lines()[0].get_ydata()) == [1e-17]


def test_starts(updates):
    figure = check(effective_matrix.starts(updates))
    (axis,) = figure.axes
    assert figure.legends[0].get_texts()[0].get_text().startswith("small Gaussian start")
    first = axis.get_lines()[0]
    assert list(first.get_xdata()) == [2, 3]  # one layer is always balanced
    assert list(first.get_ydata()) == [r.scalars["small_update_error"] for r in updates[1:]]


def test_relative_speed():
    left, right = check(effective_matrix.relative_speed([1, 2, 8])).axes
    assert labels(left) == ["1", "2", "8"]
    np.testing.assert_allclose(left.get_lines()[0].get_ydata(), 1)
    np.testing.assert_allclose(left.get_lines()[1].get_ydata(), left.get_lines()[1].get_xdata())
    assert [line.get_ydata()[0] for line in right.get_lines()] == [1] * 4  # mu_11 of one layer is 1 at any size
    assert (np.diff(right.get_lines()[1].get_ydata()) > 0).all()


# ---- the style ----
def test_strokes_and_ramps_can_be_told_apart():
    for styles in (strokes(7), strokes(7, markers=True), ramp(range(9)), ramp([5])):
        assert len({(to_hex(style["color"]), str(style["linestyle"])) for style in styles}) == len(styles)
    assert all("marker" in style for style in strokes(3, markers=True))
    for one, other in zip(ramp(range(9)), ramp(range(9))[1:], strict=False):
        assert one["linestyle"] != other["linestyle"]  # neighbours differ without colour


def test_the_house_style_does_not_leak_and_ignores_the_readers():
    before = dict(mpl.rcParams)
    with mpl.rc_context({"axes.grid": False, "font.size": 40}):
        with house():
            assert mpl.rcParams["axes.grid"]
            figure, axes = canvas(1, 2, height=2)
            assert mpl.rcParams["font.size"] < 12
        assert mpl.rcParams["font.size"] == 40
    assert dict(mpl.rcParams) == before
    for axis, title in zip(axes, ("one", "two"), strict=True):
        axis.set_title(title, loc="left")
    letter(axes)
    assert [axis.get_title(loc="left") for axis in axes] == ["(a) one", "(b) two"]
    assert figure.get_size_inches().tolist() == [7.5, 2]


def test_drawing_leaves_no_figure_open(synthetic):
    from matplotlib import pyplot

    greedy_rank.figure_5a(filter_records(synthetic, start="orthogonal"))
    effective_matrix.relative_speed([2])
    assert pyplot.get_fignums() == []


# ---- captions ----
def stored(seed=0, profile="quick", steps=10_000, stale=False, **provenance):
    provenance = {"device": "cpu", "date": "2025-03-04T05:06:07", "commit": "0123456789abcdef", **provenance}
    return SimpleNamespace(
        spec={"steps": steps}, seed=seed, profile=profile, stale=stale, provenance=provenance, scalars={}, arrays={}
    )


def test_a_caption_says_which_runs_are_shown():
    sentence = runs_shown([stored(seed) for seed in (2, 0, 1)])
    for part in ("rofile quick", "3 runs", "seeds 0 to 2", "10,000 steps", "cpu", "2025-03-04", "0123456"):
        assert part in sentence
    assert "05:06" not in sentence
    assert "01234567" not in sentence
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert "older code" not in sentence


def test_a_caption_joins_what_differs():
    sentence = runs_shown([stored(0, steps=600, device="cpu"), stored(5, "paper", device="cuda")])
    for part in ("quick and paper", "0 and 5", "600 and 10,000 steps", "cpu and cuda"):
        assert part in sentence


def test_a_caption_counts_the_stale():
    sentence = runs_shown([stored(0), stored(1, stale=True), stored(2, stale=True)])
    assert "2 of them were stored by older code." in sentence


def test_a_caption_without_runs_or_provenance():
    assert runs_shown([]) == "No stored run is there."
    bare = SimpleNamespace(spec={"depth": 3}, seed=1, profile="smoke", stale=False, provenance={})
    sentence = runs_shown([bare, bare])
    assert "smoke" in sentence
    assert "steps" not in sentence


def test_live_runs_have_captions(synthetic):
    sentence = runs_shown(synthetic)
    assert f"{len(synthetic)} runs" in sentence
    assert "600 steps" in sentence


def test_image_sets_have_their_names_in_captions():
    assert images_of("mnist") == "all of MNIST"
    assert images_of("mnist-12k") == images_of("mnist-12k", 10_000) == "the first 10,000 images of MNIST"
    assert images_of("folder:pictures", 12) == "the first 12 images of folder:pictures"
