import dataclasses
import math

import numpy as np
import pytest
import torch
from conftest import live_records

from implicit_rank.data import load
from implicit_rank.data.images import Images
from implicit_rank.evaluate import principal_errors
from implicit_rank.experiments.greedy_images import alpha as greedy_images_alpha
from implicit_rank.experiments.greedy_images import bias, measures, output_bias, twins
from implicit_rank.experiments.greedy_images import experiment as family
from implicit_rank.experiments.greedy_images import full as greedy_images_full
from implicit_rank.experiments.greedy_images.chapter import GreedyImagesChapter, first_images, principal_curve
from implicit_rank.experiments.greedy_images.evaluation import exact, labels_of
from implicit_rank.figures.greedy_images import figures, more, tables
from implicit_rank.figures.greedy_images import output_bias as bias_figures
from implicit_rank.figures.kit.captions import runs_shown
from implicit_rank.parameters import ParameterError
from implicit_rank.store import live_record, spec_hash

BARE = {"probe_epochs": 0, "samples": 0}


def recorded(results):
    return live_records(results)


@pytest.fixture(scope="module")
def smoke():
    return recorded(family.run(family.presets("smoke")))


def made(**arrays):
    """A record of nothing but the arrays a rule looks at."""
    arrays = {"singular_codes": np.ones(128)} | {name: np.asarray(a, float) for name, a in arrays.items()}
    return live_record(family.small("smoke"), {"diverged": False, "status": "finished"}, arrays)


def test_presets_are_distinct_and_the_core_comes_first():
    paper = family.presets("paper")
    assert len({spec_hash(spec) for spec in paper}) == len(paper)
    core = paper[:33]
    assert {s.seed for s in core} == {0, 1, 2}
    assert all((s.data, s.study) == ("mnist-12k", "grid") for s in core)
    assert {s.depth for s in paper if s.study == "grid" and s.init == "orthogonal"} == {8, 16, 32}
    assert {s.seed for s in family.presets("quick", seeds=(4,))} == {4}
    full = greedy_images_full.presets("paper")
    assert len(full) == len(set(full))
    assert {(s.channel_factor, s.precision, s.epochs, s.lr) for s in full} == {(1.0, "float64", 200, 1e-4)}
    assert {s.seed for s in full} == set(range(10))


def test_only_the_method_divides_the_learning_rate():
    base = family.small("smoke")
    assert family.orthogonal(base, 8, 3.0).divide_lr
    for spec in (family.standard(base, 8), family.explicit(base, 8), family.vanilla(base)):
        assert not spec.divide_lr


def test_specs_refuse_what_is_not_allowed():
    for fields, message in [
        ({"study": "grids"}, "study must be one of"),
        ({"alpha": 0}, "alpha must be"),
        ({"labels": 3}, "labels must be"),
        ({"samples": -1}, "samples must be"),
        ({"init": "xavier"}, "init must be one of"),
    ]:
        with pytest.raises(ParameterError, match=message):
            family.GreedyImages(**fields)


def test_every_measure_answers_on_smoke_runs(smoke):
    for record in smoke:
        for name, measure in measures.MEASURES.items():
            assert isinstance(measure(record), float), name
        assert 0 <= measures.MEASURES["accuracy_best_codes"](record) <= 1
        assert record.scalars["distance"] > record.scalars["distance_floor"] > 0
        assert sum(a.nbytes for a in record.arrays.values()) < 60_000
    assert math.isnan(measures.MEASURES["accuracy_best_features"](smoke[0]))  # no chain: features are codes
    hand_set = next(r for r in smoke if r.spec["inner"])
    assert hand_set.scalars["rank_codes_train"] <= hand_set.spec["inner"] == hand_set.scalars["rank_effective"]


def test_the_best_epoch_on_the_test_set_is_never_worse_than_the_others(smoke):
    for record in smoke:
        for what in ("codes", "unit"):
            best, *others = (record.scalars[f"accuracy_{how}_{what}"] for how in ("best", "chosen", "final"))
            assert best >= max(others)


def test_two_stages_switch_without_a_jump(smoke):
    record = next(r for r in smoke if r.spec["two_stages"])
    assert measures.switch_jump(record) < 1e-3
    assert record.scalars["settled_epoch"] == 1
    assert record.arrays["epochs"][-1] == 2
    assert (record.arrays["singular_effective"] > 1e-6).sum() == record.scalars["settled_rank"]


def test_a_diverged_member_has_no_nan_on_its_way_and_no_downstream_numbers():
    spec = dataclasses.replace(family.small("smoke"), log_per_epoch=8, **BARE)
    lost = recorded(family.run([family.orthogonal(spec, 8, 5000.0)]))[0]
    assert measures.MEASURES["diverged"](lost) == measures.MEASURES["silent"](lost) == 1
    assert math.isnan(measures.MEASURES["error"](lost))
    assert np.isfinite(lost.arrays["error"]).all()
    assert lost.arrays["singular_effective_course"][-1, 0] > 1e4
    assert len(more.divergence([lost]).axes) == 2


def test_the_stopping_rule_fires_on_nothing_or_never():
    epochs = np.arange(12)
    vacuous = made(epochs=epochs, rank_effective=np.full(12, 128.0))
    assert measures.settled(vacuous) == (5, 128)
    restless = made(epochs=epochs, rank_effective=[128, 123, 75, 22, 17, 14, 14, 13, 14, 16, 15, 15])
    assert measures.settled(restless)[0] == math.inf
    assert measures.settled(restless, tolerance=3)[0] == 10
    half = made(epochs=np.arange(24) / 2, rank_effective=np.r_[np.tile([7, 9], 12)])  # changes between whole epochs
    assert measures.settled(half) == (5, 7)


def test_gap_plateau_and_elbow_find_what_was_put_in():
    values = np.r_[np.linspace(9, 8, 7), np.linspace(2, 0.5, 121)]
    assert measures.gap(values) == (7, pytest.approx(4))
    assert measures.plateau([1, 3, 10, 30, 90], [60, 40, 20, 20.5, 20]) == 10
    assert math.isnan(measures.plateau([1, 3, 10, 30], [60, 40, 20, 10]))
    assert measures.plateau([1, 3, 10, 30], [60, 20, 20, math.nan]) == 3
    ranks = [2, 4, 8, 16, 32, 64]
    assert measures.elbow(ranks, [0.04, 0.02, 0.01, 0.0099, 0.0098, 0.0097]) == 8
    assert math.isnan(measures.elbow([1, 2], [1, 0.5]))


def test_singular_values_that_leave_are_timed():
    course = np.array([[1, 1, 1], [3, 1, 1], [9, 2.5, 1], [9, 8, 1]])
    record = made(singular_effective_course=course, epochs=[0, 1, 2, 3])
    assert measures.leaving_times(record).tolist() == [1, 2]
    assert measures.grown(record).tolist() == [0, 1, 2, 2]


def test_twins_start_as_one_and_differ_where_the_numbers_do():
    records = recorded(twins.run(twins.presets("smoke")))
    found = {(r.spec["way"], r.spec["alpha"]): r for r in records}
    assert "1 of 1" in tables.twins(records)._repr_html_()
    assert set(found) == {(way, 10.0) for way in twins.WAYS} | {(way, 30.0) for way in twins.AT_30}
    one, other = (twins.start(twins.GreedyImagesTwins(way=way)).effective_matrix() for way in ("alpha", "rate"))
    assert torch.allclose(one, other, atol=1e-5)
    for way in ("float64", "rate-epsilon"):
        assert found[way, 10.0].scalars["error"] == pytest.approx(found["alpha", 10.0].scalars["error"], rel=1e-5)
    # the gradients of W are alpha times smaller than those of What, and feel epsilon
    assert found["rate", 10.0].scalars["error"] != pytest.approx(found["alpha", 10.0].scalars["error"], rel=1e-4)
    lost = found["rate-squared", 30.0]
    assert twins.MEASURES["diverged"](lost) == 1
    assert math.isnan(twins.MEASURES["error"](lost))


def test_alpha_is_once_a_rate_under_adam_and_squared_under_descent():
    for record in recorded(greedy_images_alpha.run(greedy_images_alpha.presets("smoke"))):
        adam = record.spec["optimiser"] == "adam"
        assert record.scalars["off_once" if adam else "off_squared"] < 1e-9
        assert record.scalars["off_squared" if adam else "off_once"] > 0.5
        assert more.powers_of_alpha([record]).axes[0].get_title(loc="left").endswith("Adam" if adam else "descent")


def test_inexact_images_are_left_out_and_shapes_have_six_classes():
    pixels = torch.arange(4 * 16, dtype=torch.uint8).reshape(4, 1, 4, 4)
    images = Images("made", "train", pixels, torch.arange(4), exact=torch.tensor([True, False, True, True]))
    assert exact(images).labels.tolist() == [0, 2, 3]
    assert exact(load("digits")).n == load("digits").n
    shapes = load("shapes", count=300)
    labels = labels_of(shapes)
    assert set(labels.tolist()) == set(range(6))
    assert (labels // 3 == shapes.labels).all()
    assert shapes.factors["g"][labels % 3 == 1].mean() > shapes.factors["g"].mean()


def test_colour_images_take_the_same_way():
    spec = dataclasses.replace(family.small("smoke", "shapes"), epochs=1)
    record = recorded(family.run([family.orthogonal(spec, 4, 3.0)]))[0]
    assert record.arrays["pictures_sampled"].shape == (8, 3, 32, 32)
    assert 0 < record.scalars["classifier_error"] < 1
    assert len(figures.pictures([record], record.arrays["pictures_reconstructed"]).axes) == 16


def test_the_chapters_ask_for_what_there_is(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path))
    settings = GreedyImagesChapter(profile="smoke")
    assert settings.images() == "mnist-12k"
    assert settings.images(colour=True) == "shapes"
    (tmp_path / "cifar10.npz").touch()
    assert settings.images(colour=True) == "cifar10"
    assert settings.bases(colour=True)[0].architecture == "cifar10"
    changed = GreedyImagesChapter(depth=4, alphas="[2.0]", scale=0.001, epochs=1, seeds=[3], count=100).grid()
    chain = next(s for s in changed if s.init == "orthogonal")
    assert (chain.depth, chain.alpha, chain.scale, chain.epochs, chain.seed, chain.count) == (4, 2.0, 0.001, 1, 3, 100)
    assert {s.depth for s in GreedyImagesChapter().grid() if s.init == "orthogonal"} == {8, 16}
    looked_at = [live_record(s, {}, {}) for s in GreedyImagesChapter(seeds=[4, 3]).grid()]
    (fastest,) = GreedyImagesChapter(seeds=[4, 3]).fastest(looked_at)
    assert (fastest.spec["init"], fastest.spec["depth"], fastest.spec["alpha"]) == ("orthogonal", 8, 15.0)
    assert fastest.seed == 4
    with pytest.raises(ParameterError, match=r"unknown data 'mnits'.*did you mean 'mnist'"):
        GreedyImagesChapter(data="mnits")
    with pytest.raises(ParameterError, match="depth must be"):
        GreedyImagesChapter(depth=1)


def test_images_and_components_beside_runs_are_of_the_runs_own_set(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path))
    assert first_images("cifar10") is None  # it is not there
    assert (first_images("digits", 3) == load("digits", "test").images[:3].numpy()).all()
    assert first_images("digits").shape == (8, 1, 32, 32)
    digits = live_record(family.vanilla(family.small("smoke", "digits")), {}, {})
    ranks, errors = principal_curve([digits])
    images, test = (load("digits", split).images for split in ("train", "test"))
    assert ranks[0] == 1
    assert errors == pytest.approx(principal_errors(images, test, ranks))
    assert errors == sorted(errors, reverse=True)
    assert principal_curve([]) == ((), [])


def test_means_are_over_the_members_that_have_the_measure_and_alphas_over_all_seeds():
    base = family.small("smoke")

    def member(alpha, seed, rank, diverged=False):
        spec = family.orthogonal(dataclasses.replace(base, seed=seed), 8, alpha)
        return live_record(spec, {"rank_codes": rank, "diverged": diverged, "status": ""}, {})

    records = [member(10.0, 0, 20), member(1.0, 0, 60), member(1.0, 1, 70), member(10.0, 1, 0, True), member(3.0, 0, 9)]
    assert measures.mean(records[:2], "rank_codes") == 40
    assert measures.mean([records[0], records[3]], "rank_codes") == 20
    assert math.isnan(measures.mean(records[3:4], "rank_codes"))
    assert math.isnan(measures.mean([], "rank_codes"))
    assert [(alpha, len(group)) for alpha, group in measures.by_alpha(records).items()] == [(1.0, 2), (10.0, 2)]


def test_samples_follow_reconstructions_as_their_logarithms_correlate():
    def member(kept, drawn):
        scalars = {"distance_reconstructed": kept, "distance": drawn, "diverged": False}
        return live_record(family.small("smoke"), scalars, {})

    records = [member(1, 3), member(10, 300), member(100, 30_000), member(1000, 3e6)]  # a power law: exactly 1
    assert measures.samples_follow(records) == pytest.approx(1)
    records.append(member(None, 4.0))
    assert measures.samples_follow(records) == pytest.approx(1)
    assert math.isnan(measures.samples_follow(records[:3]))


def test_figures_and_tables_draw_live_members(smoke):
    grid = figures.grid(smoke)
    assert len(grid) == 5
    assert len(figures.against_rank(grid).axes) == len(figures.comparison(smoke).axes) == 2
    assert len(figures.against_alpha(grid).axes) == 4
    chains = [r for r in grid if r.spec["init"] == "orthogonal"]
    for drawn in (
        figures.course(chains),
        more.spectra(chains),
        more.at_equal_error(grid),
        more.stopping(chains),
        more.stages([smoke[-1], chains[-1]]),
        more.elbow(smoke, ([1, 2], [0.1, 0.05])),
        more.thresholds(grid),
        more.why(smoke),
        more.starts(chains),
    ):
        assert drawn.axes
    summary = tables.summary({"Stored & old": smoke, "This build": grid[:1]})._repr_html_()
    assert "hand-set r\u00a0=\u00a08" in summary
    assert "two stages" in summary
    assert summary.count("scope='rowgroup'") == 2
    assert summary.index("Stored &amp; old") < summary.index("two stages") < summary.index("This build")
    # between the last two of a falling error: reached after the start
    levels = [float(e[-2:].mean()) for r in grid if (e := r.arrays["error"])[-1] < e[:-1].min()]
    for table in (tables.equal_error({"": grid}, levels), tables.probes(grid), tables.dependence(chains)):
        assert "<td>" in table._repr_html_()
    last = [row.rsplit("<td>", 1)[-1] for row in tables.dependence(chains, level=0.0)._repr_html_().split("<tr>")[2:]]
    assert len(last) == len(chains)
    assert all(cell.startswith("–") for cell in last)  # no chain ever has an error of zero
    assert (
        "No stored run" in tables.equal_error({"This build": grid}, levels=(0.0,))._repr_html_()
    )  # kinds that never get there
    assert figures.set_up(grid).startswith("2 epochs of 256 images of MNIST, 0.125 times the paper's channels")
    powers = recorded(greedy_images_alpha.run(greedy_images_alpha.presets("smoke")[:1]))
    assert figures.set_up(powers) == runs_shown(powers)  # they are no autoencoders that were trained for epochs


def test_what_the_rank_depends_on_is_listed_by_what_was_changed():
    specs = [s for s in family.presets("paper") if s.study == "depends"]
    records = [live_record(s, {}, {}) for s in specs[::-1]]
    words = [tables.what_changed(r) for r in sorted(records, key=tables.changes)]
    assert words[0] == "nothing"
    assert words.index("1,000 images, 50 epochs") < words.index("3,000 images, 17 epochs")
    assert words.index("codes of width 32") < words.index("codes of width 256")
    others = ["all of MNIST", "Fashion-MNIST", "scikit-learn's digits"]
    assert all(any(name in line for name in others) for line in words[-3:])
    assert len(set(words)) == len(words)


def test_without_records_figures_say_so():
    empty = (
        figures.against_rank,
        figures.against_alpha,
        figures.comparison,
        figures.course,
        figures.pictures,
        more.spectra,
        more.stages,
        more.at_equal_error,
        more.stopping,
        more.divergence,
        more.elbow,
        more.thresholds,
        more.powers_of_alpha,
        more.why,
        more.starts,
        bias_figures.set_by_hand,
    )
    for draw in empty:
        assert draw([]).axes[0].texts[0].get_text() == figures.EMPTY
    for table in (tables.probes, tables.dependence, tables.twins, bias_figures.as_drawn):
        assert "No stored run" in table([])._repr_html_()
    for table in (tables.summary, tables.equal_error):
        assert "No stored run" in table({})._repr_html_()


def test_an_output_bias_stays_where_it_was_put_and_everything_else_moves():
    records = recorded(bias.run(bias.presets("smoke")))
    assert len(bias_figures.set_by_hand(records).axes) == 2
    for record in records:
        start = record.spec["bias"]
        assert record.arrays["bias"][0] == pytest.approx(start)
        assert abs(record.arrays["bias"][-1] - start) < 0.1
        assert record.arrays["error"][-1] < record.arrays["error"][0]
        assert record.arrays["steps"].tolist() == [0, 26, 52, 78, 104]
        assert bias.MEASURES["lit"](record) == record.arrays["lit"][-1]
        assert math.isnan(bias.MEASURES["kept"](record)) == (start == 0)


def test_the_first_step_of_adam_repairs_an_offset_by_the_norm_of_a_gradient():
    images = load("mnist-12k", count=16).images.float() / 255
    for seed, width in ((0, 0.125), (1, 0.25)):
        model = bias.start(bias.GreedyImagesBias(seed=seed, bias=-0.5, channel_factor=width))
        before_tanh = torch.nn.Sequential(*model.encoder, *model.decoder[:-1])
        share, adam = output_bias.share(model, images), torch.optim.Adam(model.parameters(), lr=1e-6)
        mean = before_tanh(images).mean()
        mean.square().backward()  # a loss of the mean alone
        adam.step()
        moved = float((before_tanh(images).mean() - mean).detach())
        assert moved == pytest.approx(1e-6 / share, rel=0.03)  # up: the mean was below 0


def test_a_drawn_bias_is_read_off_the_seed_and_stands_beside_its_twin():
    base = dataclasses.replace(family.vanilla(family.small("smoke")), seed=4)
    errors = {"epochs": np.array([0, 1, 2.0]), "error": np.array([0.3, 0.04, 0.03])}
    slow = errors | {"error": np.array([0.3, 0.06, 0.04])}
    records = [
        live_record(dataclasses.replace(base, conv_start=start), {}, arrays)
        for start, arrays in (("default", slow), ("zero-output-bias", errors))
    ]
    ((drawn, late, early),) = output_bias.beside(records).values()
    assert -1 <= drawn <= 1
    assert drawn != 0
    assert (late, early) == (2, 1)
    assert output_bias.drawn(records[1]) == 0
    assert "<td>2.00</td><td>1.00</td>" in bias_figures.as_drawn(records)._repr_html_()
