"""The figures of chapter 1 and 2's later theory, and the numbers of their prose."""

from dataclasses import replace

import numpy as np
import pytest

from implicit_rank.experiments.effective_matrix import balance
from implicit_rank.experiments.greedy_rank import clock, numbers, visibility
from implicit_rank.figures import effective_matrix
from implicit_rank.figures.greedy_rank import laws
from implicit_rank.store import live_record


def records(module, specs):
    return [live_record(r.spec, r.scalars, r.arrays) for r in module.run(specs)]


def lines(axis):
    return [line for line in axis.get_lines() if len(line.get_xdata()) > 2]


def test_the_clocks_figures_show_every_direction_and_every_start():
    base = replace(clock.shrunken("smoke"), samples=12, features=20, latent=16, true_rank=2, noise=0.0, steps=4000)
    members = [replace(base, depth=3, scale=scale, seed=seed) for scale in (1e-2, 3e-3, 1e-3) for seed in (0, 1)]
    found = records(clock, members)
    ratios, delays = laws.clock(found).axes
    assert sum(len(line.get_xdata()) for line in ratios.get_lines()[:2]) == 2 * 2 * len(found)
    assert [text.get_text() for text in ratios.get_legend().get_texts()] == [
        "aligned from the start",
        "flow in the plane",
    ]
    assert all((np.diff(line.get_ydata()) > 0).all() for line in lines(delays))  # deeper chains are later
    rises, spacing = laws.small_starts(found).axes
    assert len(lines(rises)) == len(lines(spacing)) == 2
    for line in lines(rises):
        assert (np.diff(line.get_ydata()) > 0).all()  # smaller starts jump faster


def test_the_figure_of_the_noise_has_a_curve_per_rule():
    sizes = {"samples": 12, "features": 20, "latent": 10, "true_rank": 2, "weight_scale": 0.3, "steps": 40}
    noises = (0.1, 1.0, 3.0)
    found = records(visibility, [visibility.RankVisibility(profile="smoke", noise=noise, **sizes) for noise in noises])
    ranks, values = laws.visible(found).axes
    assert len(lines(ranks)) == 5
    edge = lines(ranks)[0].get_ydata()
    np.testing.assert_array_equal(edge, [visibility.edge_rank(record) for record in found])
    assert {text.get_text() for text in values.get_legend().get_texts()} >= {"$S_{2}$", "$S_{3}$", "detection limit"}


def test_the_figure_of_balance_has_a_curve_per_chain():
    specs = [balance.Balance(profile="smoke", depth=depth, width=6, steps=300, scale=0.05) for depth in (2, 3)]
    error, relative = effective_matrix.balance(records(balance, specs)).axes
    assert len(lines(error)) == len(lines(relative)) == 2
    assert [text.get_text() for text in relative.get_legend().get_texts()] == ["N = 2", "N = 3"]


def test_the_prose_has_the_numbers_of_the_laws():
    assert numbers.gain_at({}, 1e-3, 16, 1.0) == pytest.approx(1.28)
    assert numbers.gain_at({}, 1e-2, 16, 1.0) == pytest.approx(3.5, abs=0.1)
    assert 2.8 < numbers.quickening({}, 16, 1, 2) < 3.2
    assert numbers.delay({}, 4) == pytest.approx(1.2785, abs=1e-3)
    assert numbers.edge({}) == 24
    assert numbers.limit({}) == pytest.approx(11.31, abs=0.01)
    assert numbers.threshold({}) == pytest.approx(28.1, abs=0.1)
