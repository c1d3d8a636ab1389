import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from implicit_rank import data
from implicit_rank.data.shapes import FACTORS, PRESETS, draw_images

SHAPE_SETS = [(preset, size) for preset in PRESETS for size in (16, 32, 48)]


def one(rules, **factors):
    """One image of given factors, (3, 32, 32)."""
    given = {"r": 200, "g": 100, "b": 50, "x": 16, "y": 16, "size": 4, "shape": 0} | factors
    return draw_images(rules, {name: np.array([given[name]]) for name in FACTORS}, 32)[0]


def pixels(images):
    """The images as a set of byte strings."""
    return {image.tobytes() for image in images.images.numpy()}


@pytest.mark.parametrize(("preset", "size"), SHAPE_SETS)
def test_shapes_have_their_form_factors_and_ranges(preset, size):
    found = data.shapes(preset, count=700, size=size, seed=3)
    assert found.images.shape == (700, 3, size, size)
    assert found.images.is_contiguous()
    assert tuple(found.factors) == FACTORS
    assert torch.equal(found.factors["shape"].long(), found.labels)
    assert 250 < int(found.labels.sum()) < 450
    scale = size / 32
    for name, (least, most) in {"x": (8, 24), "y": (8, 24), "size": (3, 8)}.items():
        values = found.factors[name]
        assert least * scale - 0.5 <= values.min()
        assert values.max() <= most * scale + 0.5
        assert values.max() - values.min() > 0.9 * (most - least) * scale - 1
    for position, name in enumerate("rgb"):  # the largest pixel of a channel is the colour itself
        largest = found.images[:, position].flatten(1).max(1).values.double()
        torch.testing.assert_close(found.factors[name] * 255, largest)
        assert found.factors[name].min() * 255 >= PRESETS[preset].darkest
    json.dumps(found.provenance)
    assert found.provenance["n"] == 700


@pytest.mark.parametrize("preset", ["paper", "ours"])
@pytest.mark.parametrize("size", [16, 32])
def test_no_test_image_is_a_training_image(preset, size):
    for seeds in ((0, 0), (0, 1)):
        train = data.shapes(preset, "train", 5_000, size, seeds[0])
        test = data.shapes(preset, "test", 5_000, size, seeds[1])
        assert not pixels(train) & pixels(test)
        assert (train.images[:, 2].flatten(1).max(1).values % 2 == 0).all()
        assert (test.images[:, 2].flatten(1).max(1).values % 2 == 1).all()


def test_the_official_validation_repeats_training_images_and_can_be_told_not_to():
    train = data.shapes("official", "train", 900, seed=2)
    test = data.shapes("official", "test", 300, seed=2)
    assert torch.equal(test.images, train.images[:300])
    clean = data.shapes("official", "test", 300, seed=2, validation_inside=False)
    assert not pixels(train) & pixels(clean)
    assert clean.provenance["validation_inside"] is False


@pytest.mark.parametrize("preset", list(PRESETS))
def test_draws_depend_on_the_seed_and_not_on_count_or_size(preset):
    short, long = data.shapes(preset, count=10, seed=5), data.shapes(preset, count=5_000, seed=5)
    assert torch.equal(long.images[:10], short.images)
    assert not torch.equal(data.shapes(preset, count=10, seed=6).images, short.images)
    large = data.shapes(preset, count=10, size=64, seed=5)
    for name in ("r", "g", "shape"):
        assert torch.equal(large.factors[name], short.factors[name])
    assert (large.factors["x"] / 2 - short.factors["x"]).abs().max() <= 0.5
    paper = data.shapes("paper", count=10, seed=5)
    assert torch.equal(paper.labels, short.labels)


@pytest.mark.parametrize("size", [16, 21, 32])
@pytest.mark.parametrize("preset", ["paper", "ours"])
def test_shapes_are_centred_where_they_say_and_never_cut(preset, size):
    found = data.shapes(preset, count=400, size=size, seed=1)
    brightness = found.images.double().sum(1)
    mass = brightness.sum((1, 2))
    along = torch.arange(size, dtype=torch.float64) + 0.5
    tolerance = 0.06 if preset == "ours" else 1e-9
    for name, summed in (("x", 1), ("y", 2)):
        centre = (brightness.sum(summed) * along).sum(1) / mass
        assert (centre - found.factors[name]).abs().max() < tolerance
    covered = (brightness > 0).flatten(1).sum(1)
    square = found.labels == 0
    if preset == "paper":
        assert torch.equal(covered[square], (4 * found.factors["size"] ** 2)[square].long())


def test_square_and_circle_of_one_size_have_equal_areas_in_ours():
    ours = PRESETS["ours"]
    for size in (3.0, 4.7, 8.0):
        for x, y in [(16.0, 16.0), (15.3, 16.9)]:
            areas = [one(ours, x=x, y=y, size=size, shape=shape)[0].sum() / 200 for shape in (0, 1)]
            assert areas[0] == pytest.approx(np.pi * size**2, rel=0.02)
            assert areas[1] == pytest.approx(areas[0], rel=0.02)


def test_moving_by_a_fraction_of_a_pixel_is_seen_only_in_ours():
    ours, paper = PRESETS["ours"], PRESETS["paper"]
    for shape in (0, 1):
        assert (one(ours, x=16.0, shape=shape) != one(ours, x=16.2, shape=shape)).any()
        assert (one(paper, x=16.0, shape=shape) == one(paper, x=16.2, shape=shape)).all()


def test_the_official_square_hangs_from_the_sampled_pixel():
    official = PRESETS["official"]
    rows, columns = np.nonzero(one(official, x=9, y=20, size=5)[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 25, 9, 14)
    centred = one(replace(official, square="centred"), x=9, y=20, size=4)[0]
    rows, columns = np.nonzero(centred)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (18, 22, 7, 11)
    wide = one(replace(official, side="2 size"), x=9, y=10, size=4)[0]
    assert np.count_nonzero(wide) == 64


def test_the_official_circle_is_that_of_opencv():
    # half widths of the rows of cv2.circle(..., thickness=-1), from the middle row outwards
    known = {3: [3, 2, 2, 0], 4: [4, 3, 3, 2, 0], 5: [5, 4, 4, 4, 3, 0], 8: [8, 7, 7, 7, 6, 6, 5, 3, 0]}
    for radius, widths in known.items():
        image = one(PRESETS["official"], x=15, y=16, size=radius, shape=1)[0]
        for distance, half in enumerate(widths):
            for row in {16 + distance, 16 - distance}:
                assert np.flatnonzero(image[row]).tolist() == list(range(15 - half, 15 + half + 1))
        assert np.count_nonzero(image.any(1)) == 2 * radius + 1


def test_the_official_shapes_are_cut_at_24_and_can_be_told_not_to_be():
    rows = lambda shape: np.flatnonzero(one(PRESETS["official"], y=24, size=8, shape=shape)[0].any(1))  # noqa: E731
    assert len(rows(0)) == 8  # a side of 9, one row lost
    assert len(rows(1)) == 16  # a diameter of 17, one row lost
    cut, whole = (data.shapes("official", count=2_000, clipped=clipped) for clipped in (True, False))
    assert cut.factors["x"].max() == 24
    assert whole.factors["x"].max() == 23


def test_defaults_are_the_papers_counts():
    assert data.shapes(split="test", size=16).n == 10_000
    train = data.load("shapes", size=16)
    assert train.n == 50_000
    assert train.name == "shapes-paper"
    assert data.load("shapes-official", "test", size=16, seed=4, count=7).provenance["seed"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "mine"}, "unknown shapes 'mine'; allowed: paper, official, ours"),
        ({"split": "valid"}, "split must be 'train' or 'test', not 'valid'"),
        ({"size": 15}, "size must be at least 16 for shapes, not 15"),
        ({"size": 32.0}, "size must be a whole number"),
        ({"count": 0}, "count must be a positive whole number, not 0"),
        ({"seed": -1}, "seed must be a whole number from 0, not -1"),
        ({"colour": 1}, "unknown rule 'colour'; allowed: raster, square"),
        ({"square": "left"}, "square must be one of 'centred', 'hanging', not 'left'"),
        ({"darkest": 300}, "darkest must be one of 0 to 253, not 300"),
        ({"clipped": True}, "clipped shapes need the raster 'pixels'"),
    ],
)
def test_bad_wishes_are_refused_in_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.shapes(**{"count": 3} | arguments)
