"""Chapter 3: measurements of trained autoencoders of shapes, prices of factors, presets."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from conftest import live_records

from implicit_rank.data.shapes import shapes
from implicit_rank.experiments.known_dimension import experiment as family
from implicit_rank.experiments.known_dimension import full, numbers
from implicit_rank.experiments.known_dimension.chapter import KnownDimensionChapter
from implicit_rank.experiments.known_dimension.evaluation import STEPS, halfway, middles, paths
from implicit_rank.experiments.known_dimension.experiment import KnownDimension
from implicit_rank.experiments.known_dimension.prices import prices
from implicit_rank.figures.known_dimension import figures, sweeps, tables
from implicit_rank.figures.known_dimension.scheme import scheme
from implicit_rank.parameters import ParameterError
from implicit_rank.store import live_record, spec_hash


@pytest.fixture(scope="module")
def smoke():
    specs = family.presets("smoke")
    specs.append(dataclasses.replace(specs[-1], released=1))
    return live_records(family.run(specs))


class Identity(torch.nn.Module):
    """An autoencoder whose codes are the pixels: its straight lines are fades, and it reconstructs exactly."""

    chain = None

    def encode(self, images):
        """Return the pixels twice."""
        return images.flatten(1), images.flatten(1)

    def decode(self, codes):
        """Return the pixels as images."""
        return codes.unflatten(1, (3, 16, 16))


def test_records_hold_what_the_chapter_shows(smoke):
    for record in smoke:
        assert record.arrays["pictures"].shape == (2, STEPS + 2, 3, 16, 16)
        assert record.arrays["pictures"].dtype == np.uint8
        assert record.arrays["spectrum_codes"].shape == (32,)
        values = {name: measure(record) for name, measure in family.MEASURES.items()}
        assert all(isinstance(value, float) for value in values.values())
        assert values["count_above_0.1"] <= values["rank_covariance"] <= values["count_above_0.001"] <= 32
    assert np.isnan(family.MEASURES["release_gain"](smoke[4]))
    released = smoke[5]
    assert released.scalars["error"] == smoke[4].scalars["error"]  # releasing comes after, on a copy
    assert released.arrays["released_error"][0] == pytest.approx(released.scalars["error"], rel=1e-4)
    assert family.MEASURES["release_gain"](released) > 1


def test_pixels_fade_and_reconstruct_exactly():
    test = shapes("ours", "test", 300, 16)
    scores = middles(Identity(), test, "cpu")
    assert scores["middle_floor"] == pytest.approx(0, abs=1e-12)
    assert scores["fading"] == pytest.approx(1, abs=1e-9)
    assert scores["middle_error"] == pytest.approx(scores["middle_fade"])
    pictures = paths(Identity(), test, 2, "cpu")
    assert (pictures[:, 0] == pictures[:, 1]).all()
    assert (pictures[:, -1] == pictures[:, -2]).all()
    middle = pictures[:, 0].astype(float) / 2 + pictures[:, -1].astype(float) / 2
    assert np.abs(pictures[:, 1 + STEPS // 2] - middle).max() <= 0.5


@pytest.mark.parametrize("rules", ["ours", "paper", "official"])
def test_halfway_between_an_image_and_itself_is_the_image(rules):
    test = shapes(rules, "test", 40, 16)
    places = torch.arange(40)
    assert torch.equal(halfway(test, places, places), test.images)


@pytest.mark.parametrize("size", [16, 32])
def test_prices_are_those_of_pixels(size):
    found = prices("shapes-ours", size, count=3000, seed=1)
    assert set(found) == {"position", "size", "colour", "shape", "hue", "hue and shape", "everything"}
    assert max(found["hue"], found["shape"]) < found["hue and shape"] < found["hue"] + found["shape"]
    images = shapes("ours", "train", 3000, size, seed=7).images.double() / 255
    assert found["everything"] == pytest.approx(float(images.var(dim=0).mean()), rel=0.05)
    assert found["shape"] < found["hue"] < found["colour"] < found["size"] < found["position"] < found["everything"]
    # colour: mean of squared coverage times the variance of a channel, uniform on 64, ..., 255
    coverage = float((images / images.amax(dim=(1, 2, 3), keepdim=True)).amax(dim=1).square().mean())
    assert found["colour"] == pytest.approx(coverage * (192**2 - 1) / 12 / 255**2, rel=0.05)
    assert found["hue"] == pytest.approx(2 / 3 * found["colour"], rel=0.05)  # two of three dimensions


def test_prices_follow_rules_and_refuse_other_data():
    hanging = prices("shapes-official", 16, count=2000)
    centred = prices("shapes-official", 16, count=2000, square="centred")
    assert centred["shape"] < hanging["shape"]
    with pytest.raises(ValueError, match="data must be one of"):
        prices("mnist")


def test_presets():
    plan = family.presets("paper")
    assert len({spec_hash(spec) for spec in plan}) == len(plan)
    assert {s.seed for s in plan} == {0, 1, 2}
    assert {s.depth for s in plan} == {0, 1, 2, 3, 4, 6, 8}
    assert {s.seed for s in family.presets("quick", seeds=(7,))} == {7}
    assert [(s.depth, s.l1 > 0, s.l2 > 0) for s in family.presets("quick")] == [
        (0, False, False),
        (0, True, False),
        (0, False, True),
        (2, False, False),
        (4, False, False),
    ]
    text = full.presets("paper")
    assert len({spec_hash(spec) for spec in text}) == len(text)
    assert {(s.size, s.channel_factor, s.lr, s.epochs, s.batch) for s in text} == {(32, 1.0, 1e-4, 100, 32)}
    assert spec_hash(full.KnownDimensionFull()) != spec_hash(KnownDimension())


def test_the_full_set_up_runs():
    spec = dataclasses.replace(full.presets("smoke")[0], architecture="shapes-paper", data="shapes-paper", released=1)
    result = full.run([spec])[0]
    assert result.spec == spec
    assert np.isfinite(result.scalars["released_error"])
    assert result.arrays["pictures"].shape == (2, STEPS + 2, 3, 32, 32)


@pytest.mark.parametrize(
    ("fields", "complaint"), [({"data": "mnist"}, "data"), ({"kind": "vae"}, "kind"), ({"regression": 3}, "regression")]
)
def test_specs_refuse_in_one_sentence(fields, complaint):
    with pytest.raises(ParameterError, match=complaint):
        KnownDimension(**fields)


@pytest.fixture(scope="module")
def drawn_from(smoke):
    """Records of other depths, coefficients, starts and data, without running them."""
    more = [dataclasses.replace(r, spec={**r.spec, "conv_start": "default"}) for r in smoke]
    more += [dataclasses.replace(smoke[1], spec={**smoke[1].spec, "l1": c}) for c in (1e-6, 1e-2)]
    more += [dataclasses.replace(smoke[4], spec={**smoke[4].spec, "depth": depth}) for depth in (3, 8)]
    return [*smoke, *more, dataclasses.replace(smoke[0], spec={**smoke[0].spec, "data": "shapes-official"})]


def test_figures_draw(smoke, drawn_from):
    he = [r for r in drawn_from if r.spec["conv_start"] == "he"]
    pictures = {"text": shapes("paper", "test", 4), "released": shapes("official", "test", 4)}
    drawn = [
        figures.gallery(pictures, 4),
        figures.figure_2(smoke),
        figures.figure_3(smoke),
        figures.courses(smoke),
        sweeps.thresholds(he),
        sweeps.penalties(he),
        sweeps.depths(he),
        sweeps.stuck(drawn_from),
    ]
    for figure in drawn:
        file = io.BytesIO()
        figure.savefig(file, format="png")  # warnings are errors: layout, glyphs, empty legends
        assert file.getbuffer().nbytes > 5000
    labels = [axis.get_ylabel() for axis in drawn[2].axes if axis.get_ylabel()]
    assert labels == ["AE", "AE + L1", "AE + L2", "$l$ = 2", "$l$ = 4"] * 2
    nothing = (
        figures.figure_2([]),
        figures.figure_3([]),
        figures.courses([]),
        sweeps.thresholds([]),
        sweeps.penalties([]),
        sweeps.depths([]),
        sweeps.stuck([]),
    )
    assert all("No stored run" in figure.axes[0].texts[0].get_text() for figure in nothing)


def test_a_diverged_run_is_left_out_and_counted(smoke, drawn_from):
    (result,) = family.run([dataclasses.replace(family.presets("smoke")[0], lr=1e6)])
    assert result.scalars["diverged"]
    lost = live_record(result.spec, result.scalars, result.arrays)
    both = [lost, *smoke]
    assert figures.by_model(both) == figures.by_model(smoke)
    assert figures.set_up(both).endswith("Left out: 1 that diverged.")
    assert tables.factor_table({"Live": both}).text == tables.factor_table({"Live": smoke}).text
    for figure in (
        figures.figure_2(both),
        figures.figure_3(both),
        figures.courses(both),
        sweeps.thresholds(both),
        sweeps.depths([lost, *drawn_from]),
        sweeps.penalties(both),
    ):
        figure.savefig(io.BytesIO(), format="png")
    assert all(np.isnan(family.MEASURES[name](lost)) for name in ("r2_position", "factors_held", "release_gain"))
    assert "No stored run" in tables.matched_table({"Live": [lost]}).text
    assert "No stored run" in figures.figure_2([lost]).axes[0].texts[0].get_text()


def test_the_scheme_names_what_flows():
    words = " ".join(text.get_text() for text in scheme().axes[0].texts)
    for name in ("$y$", "$z$", "$W_1$", "$W_l$", "$z_l$", "encoder", "decoder", "folded"):
        assert name in words


def test_figure_2_shows_the_stored_numbers(smoke):
    figure = figures.figure_2(smoke)
    curve = figure.axes[0].lines[3].get_ydata()
    spectrum = smoke[3].arrays["spectrum_codes"]
    np.testing.assert_allclose(curve, spectrum / spectrum.max())
    counts = [float(text.get_text()) for text in figure.axes[2].texts]
    assert counts == [pytest.approx(r.scalars["rank_covariance"], rel=5e-3) for r in smoke[:5]]


def test_tables_and_texts(smoke, drawn_from):
    rows = tables.factor_table({"Stored": drawn_from, "Live": smoke[:2]}).text
    assert rows.count("<tr>") == 1 + 2 + 5 + 2 + 5 + 2  # header, heads, He's models with l = 3 and 8, PyTorch's, live
    assert rows.index("Stored") < rows.index("PyTorch") < rows.index("Live")
    assert "He" in rows
    assert "PyTorch" in rows
    matched = tables.matched_table({"Live": smoke}, (1.0, 1e-9)).text
    assert "–" in matched
    assert "released" in tables.rules_table({"Stored": drawn_from}).text
    assert "16 × 16 pixels, 0.5 times the paper's channels" in figures.set_up(smoke)
    price = {"shapes": prices("shapes-ours", 16, 500)}
    assert f"{price['shapes']['hue']:.4f}" in tables.price_table(price).text


def test_numbers_of_the_prose_are_those_of_the_runs(smoke, drawn_from):
    penalised = [r for r in drawn_from if r.spec["conv_start"] == "he" and not r.spec["depth"]]
    groups = {"unchained": penalised, "rules": [r for r in drawn_from if r.spec["conv_start"] == "he"]}
    assert numbers.swept(groups, "l1", 1e-2) == {smoke[1].seed: smoke[1].scalars["rank_covariance"]}
    assert numbers.swept(groups, "l2", 1e-4, "error") == {smoke[2].seed: smoke[2].scalars["error"]}
    assert numbers.swept(groups, "l2", 7.0) is None
    assert numbers.drawn(groups, "official", 0, "r2_shape") == {smoke[0].seed: smoke[0].scalars["r2_shape"]}
    assert numbers.drawn(groups, "paper", 0) is None
    assert numbers.price(groups, "hue") == prices("shapes-ours", 16)["hue"]


def test_the_courses_show_the_prices_of_their_own_images(smoke):
    shown = {line.get_ydata()[0] for line in figures.courses(smoke).axes[0].lines if len(set(line.get_ydata())) == 1}
    price = prices("shapes-ours", 16)
    assert {price["shape"], price["hue and shape"]} <= shown


def test_chapter_parameters():
    for profile in ("smoke", "quick"):
        assert KnownDimensionChapter(profile=profile).specs() == family.presets(profile)
    live = KnownDimensionChapter(profile="paper").specs()
    assert {s.released for s in live} == {0}
    assert len(live) == 15
    with pytest.raises(ParameterError, match="shapes-ours"):
        KnownDimensionChapter(data="shape-ours")
    with pytest.raises(ParameterError, match="depths"):
        KnownDimensionChapter(depths=(0,))
