import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import live_records
from matplotlib.figure import Figure
from PIL import Image

from implicit_rank import claims
from implicit_rank.experiments.ablations import chapter as ablations_chapter
from implicit_rank.experiments.ablations import experiment as ablations
from implicit_rank.experiments.ablations import full as ablations_full
from implicit_rank.experiments.ablations import numbers
from implicit_rank.experiments.ablations.chapter import AblationsChapter
from implicit_rank.experiments.ablations.experiment import (
    CORE,
    FIGURED,
    VARIANTS,
    Ablations,
    family,
    presets,
    set_up,
    variant,
)
from implicit_rank.experiments.ablations.measures import MEASURES
from implicit_rank.experiments.ablations.predictions import predicted_spectra, starting_values
from implicit_rank.experiments.kit.run_ranks import count_above
from implicit_rank.figures.ablations import figures, tables
from implicit_rank.parameters import ParameterError
from implicit_rank.store import spec_hash
from implicit_rank.theory import ablations as theory
from implicit_rank.theory import effective

SIGMA = torch.tensor([1.3, 0.8, 0.5, 0.3, 0.1]).double()


@pytest.fixture(scope="module")
def runs():
    """Every variant once, at the smoke profile's size; of depth 3 so that pairs and one weight differ."""
    base = replace(set_up("smoke"), depth=3, count=64, evaluate=100, samples=40)
    names = [name for name in VARIANTS if name != "pairs"]
    return live_records(ablations.run(family(base, names, (0,))))


def by_name(runs, name):
    return next(r for r in runs if variant(r.spec) == name)


def rotation(generator):
    return torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64)).Q


def change(product, weights, G, eta=1e-7):
    """How far a product moves in one step of gradient descent on its weights, over the step."""
    leaves = [w.clone().requires_grad_() for w in weights]
    (product(leaves) * G).sum().backward()
    return (product([w.detach() - eta * w.grad for w in leaves]) - product([w.detach() for w in leaves])) / eta


@pytest.mark.parametrize(("depth", "uses"), [(1, 1), (4, 1), (4, 2), (4, 4), (6, 3)])
def test_tied_coefficients_are_those_of_actual_steps(depth, uses):
    generator = torch.Generator().manual_seed(depth)
    Q, G = rotation(generator), torch.randn(5, 5, generator=generator, dtype=torch.float64)
    weights = [Q @ torch.diag(SIGMA ** (1 / depth)) @ Q.T] * (depth // uses)

    def product(w):
        out = torch.eye(5, dtype=torch.float64)
        for i in range(depth):
            out = w[i // uses] @ out
        return out

    predicted = -Q @ (theory.tied_coefficients(SIGMA, depth, uses) * (Q.T @ G @ Q)) @ Q.T
    torch.testing.assert_close(change(product, weights, G), predicted, rtol=1e-4, atol=1e-4)
    diagonal = theory.tied_coefficients(SIGMA, depth, uses).diagonal()
    torch.testing.assert_close(diagonal, uses * depth * SIGMA ** (2 * (depth - 1) / depth))


def test_one_use_is_equation_five():
    torch.testing.assert_close(theory.tied_coefficients(SIGMA, 4), effective.coefficients(SIGMA, 4))


@pytest.mark.parametrize("depth", [2, 4, 6])
def test_transpose_coefficients_are_those_of_actual_steps(depth):
    generator = torch.Generator().manual_seed(depth)
    U, V, G = rotation(generator), rotation(generator), torch.randn(5, 5, generator=generator, dtype=torch.float64)
    weights = [U @ torch.diag(SIGMA ** (1 / depth)) @ V.T]
    moved = change(lambda w: torch.linalg.matrix_power(w[0].T @ w[0], depth // 2), weights, G)
    predicted = -V @ (theory.transpose_coefficients(SIGMA, depth) * (V.T @ (G + G.T) @ V)) @ V.T
    torch.testing.assert_close(moved, predicted, rtol=1e-4, atol=1e-4)


def test_frozen_maps_move_what_the_decoder_sees_by_their_squares():
    generator = torch.Generator().manual_seed(3)
    U, V = rotation(generator), rotation(generator)
    W_e, A = U @ torch.diag(SIGMA) @ V.T, torch.randn(5, 7, generator=generator, dtype=torch.float64)
    G = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    moved = change(lambda w: W_e @ w[0], [A], G, eta=1e-4)
    torch.testing.assert_close(U.T @ moved, -theory.frozen_coefficients(SIGMA)[:, None] * (U.T @ G))


def test_spectrum_behind_frozen_maps():
    generator = torch.Generator().manual_seed(0)
    flat = theory.spectrum_behind(torch.ones(5), SIGMA, generator)
    torch.testing.assert_close(flat, SIGMA)  # a rotation leaves the features' spectrum
    white = theory.spectrum_behind(SIGMA, torch.ones(5), generator)
    torch.testing.assert_close(white, SIGMA**2)  # white features take on the maps'
    shut = theory.spectrum_behind(torch.tensor([1.0, 0.5, 0.0, 0.0, 0.0]), SIGMA, generator)
    assert count_above(shut.numpy()) <= 2


def test_the_expected_spectrum_is_the_mean_over_draws_of_normalised_ones():
    few = torch.tensor([4.0, 1.0, -1e-9])  # three images leave two directions, and rounding one below zero
    full = torch.tensor([4.0, 1.0, 0.0, 0.0, 0.0])
    drawn = [theory.spectrum_behind(SIGMA, full, torch.Generator().manual_seed(seed)) for seed in (3, 4)]
    expected = (drawn[0] / drawn[0][0] + drawn[1] / drawn[1][0]) / 2
    torch.testing.assert_close(theory.expected_spectrum_behind([SIGMA] * 2, [few] * 2, (3, 4)), expected)
    with pytest.raises(ValueError, match="needs one draw"):
        theory.expected_spectrum_behind([], [], [])
    with pytest.raises(ValueError, match="shorter"):
        theory.expected_spectrum_behind([SIGMA] * 2, [few], (3, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.tied_coefficients(SIGMA, 4, 3), "divides the depth 4"),
        (lambda: theory.tied_coefficients(SIGMA, 0), "at least 1"),
        (lambda: theory.transpose_coefficients(SIGMA, 3), "even integer"),
        (lambda: theory.frozen_coefficients(-SIGMA), "not negative"),
        (lambda: theory.spectrum_behind(SIGMA, SIGMA[:3], torch.Generator()), "one width"),
    ],
)
def test_theory_refuses_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_presets_are_distinct_and_begin_with_the_papers_figures():
    paper = presets("paper")
    assert len({spec_hash(spec) for spec in paper}) == len(paper)
    assert [variant(spec.to_dict()) for spec in paper[:5]] == list(FIGURED)
    assert {variant(spec.to_dict()) for spec in paper[:24]} == set(CORE)
    assert {variant(spec.to_dict()) for spec in paper} == set(VARIANTS)
    full = ablations_full.presets("paper")
    assert {(s.data, s.epochs, s.lr, s.channel_factor) for s in full} == {("mnist", 100, 1e-4, 1.0)}
    assert {s.depth for s in full} == {0, 8}
    assert {s.seed for s in presets("quick", seeds=(7,))} == {7}


def test_every_claim_names_runs_of_the_plan():
    """A select that no planned run matches would read "not run" for ever."""
    plans = {"ablations": presets("paper"), "ablations_full": ablations_full.presets("paper")}
    own = [claim for claim in claims.load_claims() if claim.experiment in plans]
    assert len(own) >= 10
    for claim in own:
        sides = [claim.lower, claim.upper] if claim.kind == "ordering" else [{}]
        for side in sides:
            fields = {**claim.select, **side}
            matching = [s for s in plans[claim.experiment] if all(getattr(s, k) == v for k, v in fields.items())]
            assert sorted(s.seed for s in matching) == [0, 1, 2], (claim.id, fields)
            assert claim.measure in MEASURES


def test_batches_keep_one_function_between_the_maps_and_one_number_of_trainings():
    specs = presets("paper")
    groups = ablations.batches(specs, memory=10**12, device="cuda")
    assert sorted(map(spec_hash, specs)) == sorted(spec_hash(s) for group in groups for s in group)
    kinds = [{(s.activation, s.frozen == "trained", s.epochs) for s in group} for group in groups]
    assert all(len(kind) == 1 for kind in kinds)
    assert len(groups) == len(set.union(*kinds)) < len(specs)  # and not one by one, as on a CPU
    assert ablations.batches(specs, device="cpu")[0] == specs[:1]


def test_measures_read_every_variant(runs):
    for record in runs:
        values = {name: measure(record) for name, measure in MEASURES.items()}
        assert all(isinstance(value, float) for value in values.values())
        assert np.isfinite([values[name] for name in ("error_test", "rank_covariance", "dimensions")]).all()
        assert values["distance_mixture"] > 0
        assert record.arrays["samples"].dtype == np.uint8
        size = sum(array.nbytes for array in record.arrays.values())
        assert size < 60_000
    assert np.isnan(MEASURES["rank_effective"](by_name(runs, "relu")))
    assert np.isfinite(MEASURES["compensation"](by_name(runs, "frozen")))
    for name in ("full", "frozen trained", "large frozen"):
        assert np.isnan(MEASURES["compensation"](by_name(runs, name)))


def test_frozen_maps_stay_and_learned_ones_are_kept_after_training(runs):
    frozen, full, later = (by_name(runs, name) for name in ("frozen", "full", "frozen trained"))
    start = frozen.arrays["singular_effective_start"]
    np.testing.assert_allclose(frozen.arrays["singular_effective"], start, rtol=1e-5)
    assert not np.allclose(full.arrays["singular_effective"], full.arrays["singular_effective_start"], rtol=1e-3)
    # the first of its two trainings is the full model's
    np.testing.assert_allclose(later.arrays["singular_effective"], full.arrays["singular_effective"], rtol=1e-4)


def test_predictions(runs):
    predicted = predicted_spectra(runs)
    assert set(predicted) == {"frozen", "frozen trained", "large frozen"}
    plain = by_name(runs, "ae").arrays["spectrum_features"]
    np.testing.assert_allclose(predicted["large frozen"][:5], plain[:5] / plain[0], rtol=1e-3)
    assert predicted_spectra(runs[1:]) == {}  # without a plain autoencoder there is nothing to predict from
    few = [replace(r, arrays=r.arrays | {"spectrum_features": r.arrays["spectrum_features"][:5]}) for r in runs]
    shut = predicted_spectra(few)["frozen"]  # five test images have five directions
    assert len(shut) == len(plain)
    assert count_above(shut) <= 5
    starts = starting_values(4, 64)
    assert starts["transpose"][0] > 2 * starts["full"][0]
    np.testing.assert_allclose(starts["large"], 1, rtol=1e-5)


def test_figures_draw_and_say_when_there_is_nothing(runs):
    drawn = [
        figures.spectra(runs),
        figures.samples(runs),
        figures.adaptation(runs),
        figures.start_spectra(starting_values(2, 16)),
        *(draw([]) for draw in (figures.spectra, figures.samples, figures.adaptation)),
    ]
    for figure in drawn:
        assert isinstance(figure, Figure)
        file = io.BytesIO()
        figure.savefig(file, format="png")
        assert file.getbuffer().nbytes > 2000
    assert figures.LOOKS.keys() == figures.LABELS.keys() == VARIANTS.keys()


def test_tables_hold_the_numbers(runs):
    text = tables.results({"Stored: twice": runs, "Lost": [], "This build": runs[:1]})._repr_html_()
    plain = text.split("no maps (AE)</th><td>")[1:]
    assert [cells.partition("<")[0] for cells in plain] == [f"{by_name(runs, 'ae').scalars['error_test']:.4f}"] * 2
    assert text.index("Stored: twice") < text.index("large start, frozen") < text.index("This build")
    assert "Lost" not in text
    assert "No stored run" in tables.results({})._repr_html_()
    table = tables.ingredients([by_name(runs, "ae"), by_name(runs, "full")])._repr_html_()
    assert table.count("not run") == 3


def test_the_prediction_is_drawn_where_frozen_maps_are(runs):
    foretold = predicted_spectra(runs)["frozen"]
    (dotted,) = (line for line in figures.spectra(runs).axes[0].lines if line.get_label().startswith("predicted"))
    np.testing.assert_allclose(dotted.get_ydata(), np.maximum(foretold, figures.FLOOR))
    few = AblationsChapter().models(runs, "ae", "relu")
    assert [variant(r.spec) for r in few] == ["ae", "relu"]
    assert not any(line.get_label().startswith("predicted") for line in figures.spectra(few).axes[0].lines)


def test_the_number_of_maps_is_that_of_the_runs(runs):
    assert AblationsChapter(depth=7).maps(runs) == 3
    assert AblationsChapter(depth=7).maps(runs[:1]) == AblationsChapter(depth=7).maps([]) == 7
    assert AblationsChapter().maps([]) == 4


def test_numbers_of_the_prose(runs):
    tanh = by_name(runs, "tanh")
    groups = {"everything": runs, "tanh": [tanh]}
    assert numbers.predicted(groups, "frozen") == count_above(predicted_spectra(runs)["frozen"])
    assert numbers.predicted(groups | {"everything": runs[1:]}, "frozen") is None
    reached = replace(tanh, arrays=tanh.arrays | {"error": np.geomspace(0.1, 0.01, len(tanh.arrays["error"]))})
    stays = replace(tanh, arrays=tanh.arrays | {"error": np.full(len(tanh.arrays["error"]), 0.05)})
    assert numbers.late({"tanh": [reached, stays]}, "error_test") == {tanh.seed: tanh.scalars["error_test"]}
    assert numbers.late_seeds({"tanh": [reached, stays]}) == 1
    assert numbers.late({"tanh": [reached]}, "error_test") is None
    assert numbers.late_seeds({"tanh": [reached]}) == 0
    assert numbers.late_seeds({"tanh": []}) is None
    assert numbers.epochs_to({"tanh": [reached]}, "tanh", 0.1) == {tanh.seed: 0}
    assert numbers.epochs_to({"tanh": []}, "tanh", 0.1) is None
    assert 0 < abs(numbers.output_biases({"tanh": [tanh]}, "tanh")[tanh.seed]) < 1
    assert numbers.output_biases({"tanh": []}, "tanh") is None


def test_the_table_of_verdicts_shows_the_papers_word_the_verdict_and_our_number(runs):
    ledger = {row.claim.id: row for row in claims.ledger(chapter="05")}
    text = repr(tables.verdicts(runs, ledger))
    (line,) = (line for line in text.splitlines() if line.startswith("frozen at the start, rank at the end"))
    assert "paper higher than full" in line
    assert ledger["jing2020-fig9-frozen-again"].verdict in line
    assert line.endswith(f"ours {by_name(runs, 'frozen').scalars['rank_covariance']:.0f}")
    assert {
        "jing2020-" + name for models in tables.SAID.values() for row in models.values() for name in row[2:] if name
    } <= set(ledger)


def test_parameters_of_the_chapter():
    planned = [replace(spec, conv_start="zero-output-bias") for spec in presets("quick")]
    assert AblationsChapter(profile="quick").specs() == planned
    assert AblationsChapter(profile="quick", conv_start="default").specs() == presets("quick")
    changed = AblationsChapter(profile="smoke", data="digits", depth=3, variants=("full",), seeds=(4,), code_width=16)
    (spec,) = changed.specs()
    assert (spec.data, spec.depth, spec.code_width, spec.seed, spec.count) == ("digits", 3, 16, 4, 0)
    assert AblationsChapter(data="shapes-ours").base().count == 10_000  # of what there is more than a laptop bears
    for fields, message in [
        ({"data": "mnits"}, "did you mean 'mnist'"),
        ({"variants": ("fulll",)}, "did you mean 'full'|must be"),
        ({"depth": 0}, "depth must be"),
        ({"conv_start": "random"}, "conv_start must be"),
    ]:
        with pytest.raises(ParameterError, match=message):
            AblationsChapter(**fields)
    with pytest.raises(ParameterError, match="draws must be"):
        Ablations(draws=0)


def labelled_folder(folder, sizes):
    """A folder of grey pictures, so many of each class."""
    generator = np.random.default_rng(0)
    for label, count in enumerate(sizes):
        (folder / f"class{label}").mkdir(parents=True)
        for i in range(count):
            pixels = generator.integers(0, 256, (20, 20), np.uint8)
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{i}.png")
    return f"folder:{folder}"


@pytest.mark.parametrize(
    ("sizes", "asked", "kept"),
    [((60, 60, 60), (100, 1000), (100,)), ((60, 50, 40), (90, 100), (90,)), ((30, 30, 15), (100, 1000), (36,))],
)
def test_labels_that_the_smallest_class_cannot_serve_are_dropped(tmp_path, monkeypatch, sizes, asked, kept):
    data = labelled_folder(tmp_path, sizes)  # of every class four fifths are for training
    monkeypatch.setattr(ablations_chapter, "set_up", lambda profile: replace(set_up(profile), labels=asked))
    settings = AblationsChapter(profile="smoke", data=data, variants=("ae",))
    (spec,) = settings.specs()
    assert spec.labels == kept
    (result,) = ablations.run(settings.specs())
    assert {name for name in result.scalars if name.startswith("probe_")} == {f"probe_{size}" for size in kept}


def test_a_class_without_a_training_image_is_refused_before_the_run(tmp_path):
    data = labelled_folder(tmp_path, (4, 1, 5))  # the fifth file is a test image
    with pytest.raises(ParameterError, match="a class without any training image"):
        AblationsChapter(profile="smoke", data=data).specs()


def test_images_without_labels_and_images_that_are_not_there(tmp_path, monkeypatch):
    for i in range(10):
        Image.new("L", (20, 20), 20 * i).save(tmp_path / f"{i}.png")
    (spec,) = AblationsChapter(profile="smoke", data=f"folder:{tmp_path}", variants=("ae",)).specs()
    assert spec.labels == set_up("smoke").labels
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="Fashion-MNIST is not there: put"):
        AblationsChapter(data="fashion").specs()


def test_no_two_lines_of_a_figure_look_alike():
    names = ("full", "shared", "pairs", "transpose", "large")
    figure = figures.start_spectra({name: np.array([1.0, 0.5, 0.1]) for name in names})
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == len(names)
