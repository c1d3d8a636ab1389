"""The theory checks of Bao 2020 as experiments: complete at smoke, and strict about what a reader may change."""

import math

import pytest
import torch

from implicit_rank.experiments.conditioning import brockett, curvature, numbers, pace, stability
from implicit_rank.experiments.conditioning import experiment as conditioning
from implicit_rank.experiments.conditioning.chapter import ConditioningChapter
from implicit_rank.experiments.landscape import experiment as landscape
from implicit_rank.experiments.landscape import minima
from implicit_rank.experiments.landscape.chapter import LandscapeChapter
from implicit_rank.experiments.rotation import experiment as rotation
from implicit_rank.experiments.rotation import limits, prediction, rag_start, rivals
from implicit_rank.experiments.rotation.chapter import RotationChapter
from implicit_rank.parameters import ParameterError
from implicit_rank.store import live_record

ALL = [landscape, minima, conditioning, curvature, stability, brockett, pace, rotation, rag_start]
ALL += [limits, prediction, rivals]


@pytest.mark.parametrize("module", ALL)
def test_smoke_runs_give_every_measure(module):
    finished = []
    specs = module.presets("smoke")
    results = module.run(specs, on_done=finished.append)
    assert [r.spec for r in results] == specs
    assert sorted(map(id, finished)) == sorted(map(id, results))
    for result in results:
        record = live_record(result.spec, result.scalars, result.arrays)
        for name, measure in module.MEASURES.items():
            value = measure(record)
            assert isinstance(value, float), name
            assert not math.isnan(value), name


@pytest.mark.parametrize("module", ALL)
def test_paper_plans_have_no_member_twice(module):
    specs = module.presets("paper")
    assert len(set(specs)) == len(specs)


def test_adversarial_spectra_come_closer_to_the_printed_bound_than_random_ones():
    make = conditioning.Conditioning
    specs = [make(spectrum=name, k=4, profile="quick") for name in ("random", "adversarial")]
    plain, worst = (r.scalars["l2_best"] / r.scalars["l2_printed"] for r in conditioning.run(specs))
    assert 1 < worst < plain


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: LandscapeChapter(eigenvalues=[2.0, 2.0, 1.0]), "eigenvalues must descend strictly"),
        (lambda: LandscapeChapter(penalties=[0.2, 0.2]), "penalties must ascend strictly"),
        (lambda: LandscapeChapter(eigenvalues=[2.0, 1.0], penalties=[0.1, 0.2]), "penalties must be fewer"),
        (lambda: landscape.Landscape(D=3, k=3), "k must be smaller than D = 3"),
        (lambda: curvature.Curvature(D=3, k=4), "k must be smaller than D = 3"),
        (lambda: rotation.Rotation(D=4, k=5), "k must be smaller than D = 4"),
        (lambda: RotationChapter(eigenvalues=[1.0, 2.0]), "descend strictly"),
        (lambda: ConditioningChapter(spectra=["flat"]), "equal"),
    ],
)
def test_parameters_are_refused_with_a_sentence(build, sentence):
    with pytest.raises(ParameterError, match=sentence):
        build()


def test_chapter_9_descends_to_the_minimum_and_finds_no_other_point():
    settings = LandscapeChapter(profile="smoke", starts=6)
    assert settings.minimum() == (0, 1)
    assert settings.arrived(settings.descents()) == 6
    found = settings.roots()
    assert found["roots_found"] == 30
    assert found["form_error"] < 1e-9


def test_chapter_9_takes_penalties_that_kill_units_without_a_warning():
    settings = LandscapeChapter(profile="smoke", penalties=[0.2, 4.5], starts=2)
    assert settings.minimum() == (0, None)
    assert settings.arrived(settings.descents()) <= 2


def test_the_paths_of_chapter_9_end_in_the_ring():
    settings = LandscapeChapter(profile="smoke")
    pair, steps, paths = settings.plane()
    assert pair.tolist() == pytest.approx([0.05 * 2.5, 0.2 * 2.5])
    assert paths.shape == (3, len(steps), 2)
    assert abs((paths[:, -1] ** 2).sum(-1) ** 0.5 - 1).max() < 0.05


def test_the_exponent_of_chapter_10_is_a_power_of_k():
    make = conditioning.Conditioning
    runs = [live_record(make(k=k), {"l2_best": 3.0 * k**4}, {}) for k in (8, 16, 32)]
    assert numbers.exponent({"equal_gaps": runs}, "l2_best") == pytest.approx(4)
    assert numbers.exponent({"equal_gaps": runs[:1]}, "l2_best") is None


def test_chapter_11_draws_an_instance_with_the_eigenvalues_it_was_given():
    settings = RotationChapter(eigenvalues=[3.0, 2.0, 1.0], profile="smoke")
    s, C, U, W1, W2 = settings.instance(torch.Generator().manual_seed(4))
    assert torch.linalg.eigvalsh(C).flip(0).tolist() == pytest.approx([3, 2, 1, 0.7, 0.4, 0.2])
    assert torch.allclose(C @ U, U * s)
    assert (W1.shape, W2.shape) == ((3, 6), (6, 3))
    times = settings.moments_in_time()
    assert (len(times), times[0], times[-1]) == (8, 0, 24)
    assert len(RotationChapter().moments_in_time()) == 40


def test_chapter_11_starts_rag_as_planned_and_at_the_paper_profile_no_longer():
    assert RotationChapter(profile="smoke").rag_starts() == rag_start.presets("smoke")
    assert RotationChapter(profile="paper").rag_starts() == rag_start.presets("quick")
