import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import live_records
from matplotlib.figure import Figure
from PIL import Image

from implicit_rank.claims import ledger
from implicit_rank.claims.comparison import Cell, comparison, in_blocks, judged, measured
from implicit_rank.data.images import Images
from implicit_rank.data.load import load
from implicit_rank.evaluate import FeatureNetwork
from implicit_rank.evaluate.subsets import subset_rule
from implicit_rank.experiments import register
from implicit_rank.experiments.irmae_images import celeba as irmae_images_celeba
from implicit_rank.experiments.irmae_images import distances as irmae_images_distances
from implicit_rank.experiments.irmae_images import experiment as irmae_images
from implicit_rank.experiments.irmae_images import first_epoch
from implicit_rank.experiments.irmae_images import full as irmae_images_full
from implicit_rank.experiments.irmae_images import precision as irmae_images_precision
from implicit_rank.experiments.irmae_images import protocol as irmae_images_protocol
from implicit_rank.experiments.irmae_images.chapter import IrmaeImagesChapter
from implicit_rank.experiments.irmae_images.evaluation import active_units, in_few_levels
from implicit_rank.experiments.irmae_images.experiment import MEASURES, IrmaeImages, presets, run
from implicit_rank.experiments.irmae_images.labels import draws_of, label_sizes, least_errors, shortened
from implicit_rank.experiments.irmae_images.measures import label_error
from implicit_rank.figures.irmae_images import figures
from implicit_rank.parameters import ParameterError
from implicit_rank.store import Record, Store, spec_hash


def records_of(results):
    return live_records(results)


@pytest.fixture(scope="module")
def smoke():
    done = []
    records = records_of(run(presets("smoke"), on_done=lambda result: done.append(result.spec)))
    assert done == presets("smoke")
    return records


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A folder of generated colour pictures that stands in for CelebA."""
    folder = tmp_path_factory.mktemp("faces")
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:80, :72]
    for i in range(40):
        centre, radius, colour = generator.integers(20, 50, 2), generator.integers(8, 20), generator.integers(0, 255, 3)
        picture = np.full((80, 72, 3), 30, np.uint8)
        picture[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2] = colour
        Image.fromarray(picture).save(folder / f"{i:03d}.png")
    return f"folder:{folder}"


def test_defaults_are_the_released_set_up_and_plans_are_distinct():
    spec = IrmaeImages()
    assert (spec.lr, spec.batch, spec.epochs, spec.code_width, spec.components) == (1e-4, 32, 100, 128, 4)
    paper = presets("paper")
    assert len({spec_hash(spec) for spec in paper}) == len(paper)
    core = [(s.kind, s.depth, s.supervised) for s in paper[:4]]
    assert core == [("ae", 0, False), ("ae", 4, False), ("vae", 0, False), ("ae", 0, True)]
    assert {s.seed for s in paper[:12]} == {0, 1, 2}
    assert {s.depth for s in paper if s.shuffle and s.conv_start == "default"} == {0, 2, 4, 8}
    assert {s.seed for s in presets("quick", seeds=(7,))} == {7}
    full = irmae_images_full.presets("paper")
    assert {(s.kind, s.depth, s.channel_factor, s.epochs, s.lr) for s in full if not s.supervised} == {
        ("ae", 0, 1.0, 100, 1e-4),
        ("ae", 8, 1.0, 100, 1e-4),
        ("vae", 0, 1.0, 100, 1e-4),
    }
    for twin in irmae_images_precision.presets("paper"):  # the same training, in all but the products
        alike = {"kind": twin.kind, "depth": twin.depth, "seed": twin.seed, "shuffle": True, "conv_start": "default"}
        (original,) = (s for s in paper if not s.supervised and all(getattr(s, k) == v for k, v in alike.items()))
        different = {name for name in vars(original) if getattr(original, name) != getattr(twin, name)}
        assert different == {"precision", "samples", "labels", "draws", "probe_steps"}
    celeba = irmae_images_celeba.presets("paper")[1]
    assert (celeba.data, celeba.size, celeba.code_width, celeba.depth, celeba.components) == ("celeba", 64, 512, 4, 10)


def test_what_is_stored_of_a_run(smoke):
    ae, irmae, vae, supervised = smoke
    for record in smoke:
        for name, measure in MEASURES.items():
            assert isinstance(measure(record), float), name
    for record in (ae, irmae, vae):
        assert record.arrays["picture_plane"].shape == (10, 10, 1, 32, 32)
        assert record.arrays["picture_interpolation"].shape == (3, 10, 1, 32, 32)
        assert record.arrays["picture_gaussian"].dtype == np.uint8
        assert len(np.unique(record.arrays["picture_mixture"])) <= 16
        assert record.arrays["spectrum_test"].shape == (128,)
        assert MEASURES["classifier_mixture"](record) > MEASURES["classifier_floor"](record) > 0
        assert math.isnan(MEASURES["fid_mixture"](record))
    np.testing.assert_array_equal(ae.arrays["picture_originals"], vae.arrays["picture_originals"])
    assert MEASURES["sampled_rank_covariance"](vae) == 128 > MEASURES["test_rank_covariance"](vae)
    assert MEASURES["effective_beta"](vae) == pytest.approx(1.6)
    assert math.isnan(MEASURES["sampled_rank_covariance"](ae))
    assert math.isnan(MEASURES["test_error"](supervised))
    # only a chain sets codes apart from features
    assert MEASURES["maps_100"](ae) == MEASURES["maps_100"](vae) == 0
    assert not np.array_equal(irmae.arrays["spectrum_test"], irmae.arrays["spectrum_before"])
    assert not np.array_equal(irmae.arrays["error_clean"][0], irmae.arrays["error_clean"][1])


def test_a_member_alone_equals_itself_in_company(smoke):
    (alone,) = run(presets("smoke")[1:2])
    for name in ("spectrum_test", "error_clean", "picture_plane"):
        np.testing.assert_array_equal(alone.arrays[name], smoke[1].arrays[name])


def test_ensembles_hold_every_member_once():
    specs = presets("smoke", seeds=(0, 1))
    for device in ("cpu", "cuda"):
        parts = irmae_images.batches(specs, memory=10**12, device=device)
        assert sorted(spec_hash(spec) for part in parts for spec in part) == sorted(map(spec_hash, specs))
        assert all(len(part) == 1 or not any(spec.supervised for spec in part) for part in parts)
        assert all(len({spec.kind for spec in part}) == 1 for part in parts)
        assert sorted(map(len, parts)) == ([1] * 8 if device == "cpu" else [1, 1, 2, 4])


def test_label_errors_are_read_in_percent_by_place():
    errors = np.full((2, 2, 3), np.nan)
    errors[:, 1, :2] = [[0.1, 0.3], [0.2, 0.2]]
    arrays = {"label_sizes": np.array([10, 100]), "error_clean": errors, "least_errors": np.array([0.25, 0.0])}
    run_ = Record("irmae_images", {}, {}, arrays, {})
    assert label_error("clean", 100, "before")(run_) == pytest.approx(20)
    assert math.isnan(label_error("clean", 10)(run_))
    assert math.isnan(label_error("clean", 1000)(run_))
    assert MEASURES["least_error_10"](run_) == 25


def test_nothing_trained_on_the_first_ten_digits_knows_6_7_and_8():
    labels = load("mnist-12k").labels
    assert sorted(set(labels[:10].tolist())) == [0, 1, 2, 3, 4, 5, 9]
    test_labels = torch.tensor([6, 7, 8, 0, 1, 1, 2, 6])
    np.testing.assert_array_equal(least_errors(labels, test_labels, [10, 1000]), [0.5, 0])


def test_the_protocol_needs_no_training():
    (record,) = records_of(irmae_images_protocol.run(irmae_images_protocol.presets("smoke")))
    measures = irmae_images_protocol.MEASURES
    assert measures["least_error_10"](record) == pytest.approx(28.75)  # of the 2,000 test images in the package
    assert measures["least_error_100"](record) == 0
    assert math.isnan(measures["least_error_60000"](record))
    assert measures["effective_beta"](record) == pytest.approx(1.6)


def test_probe_plans():
    spec = IrmaeImages(labels=(10, 1000, 0), draws=10)
    assert label_sizes(spec, 500) == [10, 500]
    assert [draws_of(spec, size) for size in (10, 100, 1000, 10_000)] == [10, 10, 5, 1]
    from implicit_rank.evaluate import JING

    assert shortened(JING, 20_000, 100) == replace(JING, every=10)
    assert shortened(JING, 2500, 60_000).epochs == 4
    assert shortened(JING, 1, 60_000).epochs == 1
    assert subset_rule(torch.tensor([0, 0, 0, 1]), 2) == "balanced"
    assert subset_rule(torch.tensor([0, 0, 0, 1]), 4) == "first"


def test_active_units_are_those_that_vary_with_the_image():
    means = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.2, 0.05, 0.0])
    assert active_units(means + 3) == 2


def test_few_levels_keep_black_and_white():
    shown = in_few_levels(torch.tensor([-0.2, 0.0, 0.5, 1.0, 1.4]))
    assert shown.tolist()[:2] == [0, 0]
    assert shown.tolist()[3:] == [255, 255]
    assert abs(int(shown[2]) - 127) <= 10


def test_distances_name_their_network_and_are_absent_for_a_reason(monkeypatch):
    images = load("digits", count=60)
    unlabelled = Images("folder:x", "train", images.images)
    assert "no labels" in irmae_images_distances.classifier_for(unlabelled, unlabelled, "cpu")
    tiny = load("digits", size=8, count=20)
    assert "at least 16" in irmae_images_distances.classifier_for(tiny, tiny, "cpu")
    assert irmae_images_distances.fid_network(False, "cpu") == "not asked for"

    def features(pixels):
        return torch.stack([pixels.mean(dim=(1, 2, 3)), pixels.std(dim=(1, 2, 3))], dim=1)

    irmae_images_distances.fid_network.cache_clear()
    stand_in = FeatureNetwork("FID", features, 3, {"network": "a stand-in", "weights": "none"})
    monkeypatch.setattr(irmae_images_distances, "inception_network", lambda device: stand_in)
    spec = IrmaeImages(data="digits", samples=60, fid=True)
    found = irmae_images_distances.distances(
        spec, unlabelled, unlabelled, lambda codes: codes.view(-1, 1, 32, 32), {"mixture": torch.rand(60, 1024)}, "cpu"
    )
    assert found["fid_floor"] == pytest.approx(0, abs=1e-9)  # the very same images
    assert found["fid_mixture"] > 0.01
    assert math.isnan(found["classifier_mixture"])
    assert "a stand-in" in found["fid_note"]

    def missing(device):
        raise FileNotFoundError("/some/where is not there")

    irmae_images_distances.fid_network.cache_clear()
    monkeypatch.setattr(irmae_images_distances, "inception_network", missing)
    assert "/" not in irmae_images_distances.fid_network(True, "cpu")
    irmae_images_distances.fid_network.cache_clear()


def test_other_labelled_images_get_a_classifier_of_their_own():
    images, test = load("digits", count=200), load("digits", "test", count=50)
    network = irmae_images_distances.classifier_for(images, test, "cpu")
    assert network.card["classifier data"] == "digits"
    assert irmae_images_distances.classifier_for(images, test, "cpu") is network


def test_the_supervised_baseline_learns_and_needs_labels(faces):
    spec = IrmaeImages(
        profile="quick", data="digits", supervised=True, channel_factor=0.25, labels=(10, 0), probe_steps=100
    )
    (result,) = run([spec])
    ten, everything = result.arrays["error_clean"][0, :, 0]
    assert everything < 0.3 < 0.9 * ten
    assert (result.arrays["error_released_best"] <= result.arrays["error_released_final"])[:, :, 0].all()
    with pytest.raises(ValueError, match="has no labels"):
        run([replace(spec, data=faces)])


def test_celeba_s_code_runs_on_a_folder_of_generated_images(faces):
    specs = irmae_images_celeba.presets("smoke", data=faces)
    records = records_of(irmae_images_celeba.run(specs))
    assert [figures.name_of(r) for r in records] == ["AE", "IRMAE, l = 4", "VAE"]
    for record in records:
        assert record.experiment == "irmae_images_celeba"
        assert record.arrays["picture_gaussian"].shape[1:] == (3, 64, 64)
        assert "error_clean" not in record.arrays
        assert "no labels" in record.scalars["classifier_note"]
    for figure in (figures.interpolation(records), figures.samples(records, "mixture"), figures.planes(records)):
        assert isinstance(figure, Figure)


def test_full_length_code_runs_in_small():
    specs = irmae_images_full.presets("smoke")
    assert {s.seed for s in specs if s.supervised} == {0, 1, 2}
    (record,) = records_of(irmae_images_full.run(specs[:1]))
    assert record.spec["depth"] == 8
    assert record.spec["fid"]


def test_figures_draw_from_records(smoke):
    drawn = [
        figures.spectra(smoke),
        figures.rank_against_error(smoke),
        figures.interpolation(smoke),
        figures.samples(smoke, "gaussian"),
        figures.samples(smoke, "mixture"),
        figures.samples(smoke, "prior"),
        figures.planes(smoke),
        figures.label_curves(smoke),
    ]
    assert all(isinstance(figure, Figure) for figure in drawn)
    assert len(drawn[2].axes) == 3 * 3
    labels = [axis.get_ylabel() for axis in drawn[2].axes]
    assert labels == ["AE", "VAE", "IRMAE\nl = 2"] * 3
    assert len(drawn[5].axes) == 2  # the prior is the VAE's alone, in two lines
    bars = figures.planes(smoke).axes[3]
    assert bars.get_ylabel().startswith("variance explained")
    for draw in (figures.spectra, figures.rank_against_error, figures.interpolation, figures.planes):
        assert isinstance(draw([]), Figure)


def test_spectra_show_the_stored_values_and_count_them(smoke):
    left, right = figures.spectra(smoke).axes
    plain = next(record for record in smoke if figures.name_of(record) == "AE")
    spectrum = plain.arrays["spectrum_test"] / plain.arrays["spectrum_test"][0]
    for axis in (left, right):
        np.testing.assert_allclose(axis.lines[0].get_ydata(), spectrum)
    told = left.get_legend().get_texts()[0].get_text()
    assert told == f"AE: {int((spectrum > 0.01).sum())} at {plain.scalars['test_error']:.4f}"
    assert left.get_legend().get_title().get_text() == "count at error"


def test_rank_is_drawn_against_the_error_it_had(smoke):
    axis = figures.rank_against_error(smoke).axes[0]
    plain = next(record for record in smoke if figures.name_of(record) == "AE")
    drawn = [(line.get_xdata(), line.get_ydata()) for line in axis.lines]
    assert any(
        len(x) == 1 and x[0] == plain.arrays["error"][-1] and y[0] == plain.arrays["rank_covariance"][-1]
        for x, y in drawn
    )


def test_the_least_possible_error_stands_at_the_labels_that_were_drawn(smoke):
    axis = figures.label_curves(smoke).axes[0]
    strokes = {
        round(float(np.sqrt(np.prod(line.get_xdata())))): line.get_ydata()[0]
        for line in axis.lines
        if line.get_linewidth() == 2 and len(line.get_xdata()) == 2
    }
    labelled = next(record for record in smoke if "least_errors" in record.arrays)
    sizes, least = labelled.arrays["label_sizes"], labelled.arrays["least_errors"]
    asked = {int(n): 100 * e for n, e in zip(sizes, least, strict=True) if e > 0}
    assert asked
    assert strokes == pytest.approx(asked)


def test_looks_repeat_no_line():
    names = ["AE", "VAE", *(f"IRMAE, l = {depth}" for depth in range(1, 8)), "supervised"]
    looks = [(look["color"], str(look["linestyle"]), look["marker"]) for look in figures.strokes_of(names)]
    assert len(set(looks)) == len(names)


def test_captions_count_epochs_of_those_that_have_them(smoke):
    (one,) = [replace_spec(record, epochs=1) for record in smoke[:1]]
    assert figures.runs_in_words([one]).startswith("1 epoch of ")
    baseline = [record for record in smoke if record.spec["supervised"]]
    assert "epoch" not in figures.runs_in_words(baseline).split(".")[0]


def test_published_errors_stand_beside_those_of_the_same_model(smoke):
    def curves(published, records):
        lines = figures.label_curves(records, published).axes[0].lines
        return [line.get_ydata().tolist() for line in lines if line.get_color() == "#777777"]

    asked = {"AE": {10: 31.4, 100: 30.2, 60_000: 1.9}, "IRMAE": {10: 12.0}}
    drawn = [curve for curve in curves(asked, smoke) if curve]
    assert sorted(drawn) == [[12.0], [31.4, 30.2]]  # no further than our own label counts go
    assert not any(curves(None, smoke))
    elsewhere = [replace_spec(record, data="fashion") for record in smoke]
    assert not any(curves(asked, elsewhere))  # Table 2 is about MNIST


def test_models_come_in_the_paper_s_order(smoke):
    deeper = replace_spec(smoke[1], depth=8)
    quirk = replace_spec(smoke[2], beta=1e-12)
    groups = figures.by_model([deeper, quirk, *smoke], supervised=True)
    assert list(groups) == ["AE", "VAE", "VAE, no divergence", "IRMAE, l = 2", "IRMAE, l = 8", "supervised"]


def replace_spec(record, **changes):
    return Record(record.experiment, record.spec | changes, record.scalars, record.arrays, {})


def test_a_comparison_shows_paper_ours_and_verdict(tmp_path):
    cells = [Cell("31.4", "22.1 [20.3, 23.9]", "not reproduced", "21.0"), Cell()]
    shown = comparison("model", ["10 labels", "100 labels"], {"heading": [], "A & E": cells}, aside="small net")
    html = shown._repr_html_()
    for part in ("31.4", "22.1 [20.3, 23.9]", "✘ not reproduced", "verdict-not-reproduced", "A &amp; E", "small net"):
        assert part in html
    assert html.count("<td>") == 2
    assert "paper 31.4; ours 22.1" in repr(shown)
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        comparison("model", ["a", "b"], {"row": [Cell()]})
    assert measured([1.0, 1.2, math.nan, 1.1]).startswith("1.10 [")
    assert measured([math.nan]) == ""
    judgement = next(j for j in ledger(chapter="04", store=Store(tmp_path)) if j.claim.id == "jing2020-table2-ae-10")
    assert judged(judgement, "aside") == Cell("31.4 ± 0.5", "", "not run", "aside")


def test_blocks_of_runs_share_a_table_and_no_row_is_lost():
    blocks = {"Stored: profile paper, 3 runs": [1, 2], "This build": [2, 3]}
    rows = in_blocks(blocks, lambda numbers: {f"row {n}": [Cell(ours=str(n))] for n in numbers})
    assert list(rows) == [*list(blocks)[:1], "row 1", "row 2", "This build", "row 2 (this build)", "row 3"]
    assert [cell.ours for cells in rows.values() for cell in cells] == ["1", "2", "2", "3"]
    assert rows["This build"] == []


def test_every_claim_of_the_chapter_has_its_measure_and_matches_the_plan():
    names = ("", "_registered", "_full", "_epoch", "_gpu", "_celeba", "_protocol")
    experiments = [register.experiment(f"irmae_images{name}") for name in names]
    plans = {one.name: one.presets("paper") for one in experiments}
    measures = {one.name: one.measures for one in experiments}
    claims = [j.claim for j in ledger(chapter="04")]
    assert len(claims) >= 60
    for claim in claims:
        assert claim.measure in measures[claim.experiment], claim.id
        for side in [claim.lower, claim.upper] if claim.upper else [{}]:
            for setting in claim.settings():
                wanted = claim.select | side | setting
                planned = [s for s in plans[claim.experiment] if all(getattr(s, k) == v for k, v in wanted.items())]
                if claim.kind == "trend":
                    planned = [s for s in planned if s.depth == 4]
                assert len(planned) == len({s.seed for s in planned}) >= claim.least_seeds, claim.id


def test_the_first_epoch_is_watched_closely():
    (spec,) = first_epoch.presets("smoke")
    (record,) = records_of(first_epoch.run([spec]))
    assert list(record.arrays["epochs"]) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert first_epoch.MEASURES["error"](record) == record.scalars["error"]
    assert figures.name_of(record) == "AE"
    passed = replace(record, arrays=record.arrays | {"error": np.array([0.1, 0.02, 0.00773, 0.005, 0.004, 0.003])})
    assert first_epoch.MEASURES["rank_at_0.00773"](passed) == pytest.approx(record.arrays["rank_covariance"][2])
    assert math.isnan(first_epoch.MEASURES["rank_codes_at_0.00773"](record))  # so short a training is not there yet


def test_the_chapter_s_parameters(tmp_path, monkeypatch, faces):
    for profile in ("smoke", "quick"):
        planned = [replace(spec, conv_start="zero-output-bias") for spec in presets(profile)]
        assert IrmaeImagesChapter(profile=profile).specs() == planned
        assert IrmaeImagesChapter(profile=profile, conv_start="default").specs() == presets(profile)
    whole = IrmaeImagesChapter(profile="paper", seeds=(0, 1, 2), conv_start="default")
    assert whole.base() == presets("paper")[0]
    changed = IrmaeImagesChapter(depth=8, code_width=32, seeds=[3, 4], models=["irmae"]).specs()
    assert [(s.depth, s.code_width, s.seed) for s in changed] == [(8, 32, 3), (8, 32, 4)]
    coloured = IrmaeImagesChapter(profile="smoke", data=faces, architecture="celeba")
    assert {(s.size, s.code_width, s.supervised) for s in coloured.specs()} == {(64, 512, False)}
    assert max(s.depth for s in coloured.specs()) == 4
    for fields, message in [
        ({"data": "fashon"}, "did you mean 'fashion'"),
        ({"depth": 0}, "depth must be"),
        ({"models": ["gan"]}, "models must be"),
        ({"profile": "medium"}, "profile must be"),
    ]:
        with pytest.raises(ParameterError, match=message):
            IrmaeImagesChapter(**fields)
    for fields, said in [
        ({"labels": [20_000]}, r"labels asks for 20,000 images, but mnist-12k has 10,000\.$"),
        ({"labels": [10, 1000], "count": 500}, r"labels asks for 1,000 images, but 500 of mnist-12k are taken\.$"),
    ]:
        with pytest.raises(ParameterError, match=said):
            IrmaeImagesChapter(**fields).specs()
    assert {s.labels for s in IrmaeImagesChapter(labels=[10_000, 0]).specs()} == {(10_000, 0)}
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path))
    for name, said in (("fashion", "Fashion-MNIST is not there: put"), ("celeba", "CelebA is not there: put")):
        with pytest.raises(FileNotFoundError, match=said):
            IrmaeImagesChapter(data=name).specs()
