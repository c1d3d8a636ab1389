"""The theory checks of Bao 2020 as experiments: complete at smoke, and strict about what a reader may change."""

import math

import pytest

from implicit_rank.experiments.conditioning import curvature
from implicit_rank.experiments.conditioning import experiment as conditioning
from implicit_rank.experiments.landscape import experiment as landscape
from implicit_rank.experiments.rotation import experiment as rotation
from implicit_rank.experiments.rotation import rag_start
from implicit_rank.parameters import ParameterError
from implicit_rank.store import live_record


@pytest.mark.parametrize("module", [landscape, conditioning, curvature, rotation, rag_start])
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


@pytest.mark.parametrize("module", [landscape, conditioning, curvature, rotation, rag_start])
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
        (lambda: landscape.LandscapeChapter(eigenvalues=[2.0, 2.0, 1.0]), "eigenvalues must descend strictly"),
        (lambda: landscape.LandscapeChapter(penalties=[0.2, 0.2]), "penalties must ascend strictly"),
        (lambda: landscape.LandscapeChapter(eigenvalues=[2.0, 1.0], penalties=[0.1, 0.2]), "penalties must be fewer"),
        (lambda: landscape.Landscape(D=3, k=3), "k must be smaller than D = 3"),
        (lambda: curvature.Curvature(D=3, k=4), "k must be smaller than D = 3"),
        (lambda: rotation.Rotation(D=4, k=5), "k must be smaller than D = 4"),
        (lambda: rotation.RotationChapter(eigenvalues=[1.0, 2.0]), "descend strictly"),
        (lambda: conditioning.ConditioningChapter(spectra=["flat"]), "equal"),
    ],
)
def test_parameters_are_refused_with_a_sentence(build, sentence):
    with pytest.raises(ParameterError, match=sentence):
        build()
