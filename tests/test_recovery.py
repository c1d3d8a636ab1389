import dataclasses
import math

import numpy as np
import pytest
import torch
from conftest import live_records

from implicit_rank import data
from implicit_rank.experiments.recovery import experiment as recovery
from implicit_rank.experiments.recovery import settings
from implicit_rank.experiments.recovery.chapter import (
    RecoveryChapter,
    small_mnist,
    small_scaling,
    without_missing_samples,
)
from implicit_rank.experiments.recovery.experiment import MEASURES, Recovery, presets, run
from implicit_rank.experiments.recovery.run import record_steps
from implicit_rank.experiments.recovery.speed import compare
from implicit_rank.figures.recovery import figures, pictures, tables
from implicit_rank.parameters import ParameterError
from implicit_rank.store import spec_hash


@pytest.fixture(scope="module")
def smoke():
    results = run(presets("smoke"))
    return live_records(results)


def test_official_numbers():
    s = data.second_moments("mnist").eigenvalues
    lambdas = settings.penalties("paper", "nonuniform_l2", "mnist", s, 20)
    assert lambdas[0].item() == pytest.approx(0.01)
    assert lambdas[-1].item() == pytest.approx(0.81)
    assert (lambdas >= s[:20]).nonzero().flatten().tolist() == [18, 19]  # the two units that must die
    assert settings.penalties("paper", "uniform_l2", "mnist", s, 20)[3].item() == pytest.approx(0.25)
    for kind in ("admissible", "linear"):
        assert (settings.penalties(kind, "nonuniform_l2", "mnist", s, 20) < s[:20]).all()
    tails = settings.prior("paper", 20).flip(0).cumsum(0).flip(0)
    torch.testing.assert_close(tails, 0.9 ** torch.arange(20, dtype=torch.float64))
    assert settings.paper_rate("mnist", "rag", "nesterov", 20) == 0.003
    assert settings.paper_rate("synthetic-official", "deterministic_nested_dropout", "adam", 100) == 0.01
    spectrum = torch.linspace(100, 1, 1000)
    assert settings.penalties("paper", "nonuniform_l2", "synthetic-official", spectrum, 500)[-1].item() == 100


def test_presets_are_distinct_and_paper_holds_the_figures():
    paper = presets("paper")
    assert len({spec_hash(spec) for spec in paper}) == len(paper)
    figure_2 = [s for s in paper if s.data == "mnist" and s.steps == 30_000 and s.penalties == "paper"]
    assert len(figure_2) == 6 * 2 * 3 + 3 * 2  # five seeds for the three models that race
    widths = {s.k for s in paper if s.data == "synthetic-official" and s.model == "rag" and s.lr == "paper"}
    assert widths == {2, 5, 10, 20, 50, 100, 200, 300, 400, 500}
    assert {s.seed for s in presets("quick", seeds=(7,))} == {7}


def test_specs_refuse_what_is_not_allowed():
    for fields, message in [
        ({"data": "mnst"}, "unknown data 'mnst' .did you mean 'mnist'"),
        ({"model": "pca"}, "model must be one of"),
        ({"lr": "fast"}, "lr must be"),
        ({"lr": -1.0}, "lr must be"),
        ({"penalties": (0.1, -0.2)}, "penalties must be"),
        ({"k": 0}, "k must be"),
    ]:
        with pytest.raises(ParameterError, match=message):
            Recovery(**fields)
    assert Recovery(data="folder:somewhere").data == "folder:somewhere"
    assert Recovery(lr="0.01").lr == 0.01


def test_recorded_steps_are_dense_early_and_end_at_the_end():
    steps = record_steps(30_000)
    assert steps[:4] == [0, 10, 20, 30]
    assert steps[-1] == 30_000
    assert len(steps) < 300
    gaps = np.diff(steps)
    assert (gaps[:-1] <= np.maximum(10, 0.025 * np.array(steps[:-2]) + 10)).all()


def test_batching_changes_nothing_and_results_come_in_order():
    smoke = presets("smoke", seeds=(0, 1))
    specs = [s for s in smoke if s.model in ("rag", "nested_dropout") and s.optimiser == "nesterov"]
    seen = []
    together = run(specs[::-1], on_done=lambda result: seen.append(result.spec))
    alone = [run([spec])[0] for spec in specs[::-1]]
    assert [r.spec for r in together] == specs[::-1]
    assert set(seen) == set(specs)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.arrays["d_align"], other.arrays["d_align"], rtol=1e-4, atol=1e-6)


def test_a_diverged_member_keeps_its_reason_and_every_measure_answers():
    fields = {"data": "digits", "k": 3, "steps": 60, "model": "uniform_l2", "optimiser": "gd"}
    fine, burst = run([Recovery(**fields, lr=0.01), Recovery(**fields, lr=9.0)])
    assert fine.note is None
    assert "diverged" in burst.note
    records = live_records((fine, burst))
    assert MEASURES["stopped"](records[1]) == 1
    assert math.isnan(MEASURES["d_align"](records[1]))
    assert MEASURES["d_align"](records[0]) > 0


def test_measures_read_smoke_runs(smoke):
    for record in smoke:
        for name, measure in MEASURES.items():
            value = measure(record)
            assert isinstance(value, float), name
    rag = next(r for r in smoke if r.spec["model"] == "rag" and r.spec["optimiser"] == "nesterov")
    times = [MEASURES[f"reached_{level:g}"](rag) for level in (0.3, 0.2, 0.1)]
    assert times == sorted(times)
    assert times[2] <= 200
    assert math.isnan(MEASURES["d_align_at_5000"](rag))


def test_mnist_needs_its_images_only_for_mask_noise(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path))
    base = Recovery(data="mnist", k=2, steps=2)
    assert run([base])[0].note is None
    with pytest.raises(FileNotFoundError, match="second moments"):
        run([dataclasses.replace(base, model="nested_dropout")])


def test_mini_batches_reach_the_subspace_roughly():
    spec = Recovery(data="digits", k=3, steps=300, model="deterministic_nested_dropout", batch=200)
    result = run([spec])[0]
    assert 1e-6 < result.scalars["d_sub"] < 0.1


def test_synthetic_runs_stop_when_they_get_there():
    spec = recovery.synthetic(model="rag", k=2, seed=0)
    spec = dataclasses.replace(spec, width=60, lr=5e-4, steps=20_000)
    result = run([spec])[0]
    assert result.scalars["d_align"] <= 0.3
    assert result.scalars["last_step"] == result.scalars["reached_0.3"] < 20_000


def test_moments_and_samples_take_the_same_step():
    result = compare(n=3000, width=50, k=4, repeats=1)
    assert result.difference < 1e-10
    assert result.eigenbasis_difference < 1e-10


def test_figures_are_drawn(smoke):
    main = [r for r in smoke if r.spec["penalties"] == "paper"]
    nesterov = [r for r in main if r.spec["optimiser"] == "nesterov"]
    assert len(figures.dynamics(main).axes) == 4
    assert len(pictures.axes_images(nesterov).axes) == 6 * 4
    assert pictures.components(nesterov).axes[0].get_title(loc="left") == "principal axes"
    assert figures.two_alignments(main).axes[0].get_xlabel().startswith("$d_{align}$")
    assert len(figures.scaling(main, paper=False).axes) == 2
    figures.rates([r for r in main if r.spec["model"] == "rag"])
    with pytest.raises(ValueError, match="kept images"):
        pictures.axes_images([dataclasses.replace(r, arrays={}) for r in smoke])
    assert figures.rates([]).axes[0].texts[0].get_text() == "No stored run is there."


def test_the_chapter_asks_for_the_profile_s_own_runs():
    quick = RecoveryChapter()
    assert set(quick.specs()) <= set(presets("quick"))
    chosen = RecoveryChapter(data="mnist", k=3, models=("rag",), optimisers=("gd",), lr="best", seeds="[4]").specs()
    assert [(s.data, s.k, s.seed, s.lr) for s in chosen] == [("mnist", 3, 4, 0.003)]
    best = RecoveryChapter(models=("deterministic_nested_dropout",), optimisers=("nesterov",), lr="best").specs()
    assert best[0].lr == settings.BEST_RATES["nesterov"]["deterministic_nested_dropout"]
    with pytest.raises(ParameterError, match="unknown data 'digit'"):
        RecoveryChapter(data="digit")
    with pytest.raises(ParameterError, match="models must be"):
        RecoveryChapter(models=("rags",))


def test_stochastic_mnist_is_left_out_in_words_where_there_are_no_images(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path))
    kept, sentence = without_missing_samples(RecoveryChapter(data="mnist").specs())
    assert "nested_dropout" not in {s.model for s in kept}
    assert "left out" in sentence
    everything, nothing = without_missing_samples(RecoveryChapter().specs())
    assert nothing == ""
    assert len(everything) == 6 * 2 * 2
    assert {s.data for s in small_mnist("smoke")} == {"mnist"}
    assert {s.width for s in small_scaling("smoke")} == {100}


def test_tables_say_who_is_first_and_what_was_not_reached(smoke):
    text = tables.race(smoke)._repr_html_()
    assert "(fastest)" in text
    assert "not reached" in text
    assert "k\u00a0=\u00a04" in tables.duels(smoke)._repr_html_()
    assert "seconds per 1,000 steps" in tables.step_costs(smoke)._repr_html_()
    for draw in (tables.race, tables.duels, tables.step_costs):
        assert "No stored run" in draw([])._repr_html_()
