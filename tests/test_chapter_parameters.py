"""What a chapter's parameters allow, its checks bear: the corners are run, and what cannot run is refused at once."""

import pytest

from implicit_rank.experiments.ablations.chapter import AblationsChapter
from implicit_rank.experiments.effective_matrix import effective_update
from implicit_rank.experiments.effective_matrix.chapter import EffectiveMatrixChapter
from implicit_rank.experiments.greedy_images.chapter import GreedyImagesChapter
from implicit_rank.experiments.greedy_rank.chapter import GreedyRankChapter
from implicit_rank.experiments.irmae_images.chapter import IrmaeImagesChapter
from implicit_rank.experiments.known_dimension.chapter import KnownDimensionChapter
from implicit_rank.experiments.landscape.chapter import LandscapeChapter
from implicit_rank.experiments.recovery.chapter import RecoveryChapter
from implicit_rank.experiments.rotation.chapter import RotationChapter
from implicit_rank.parameters import ParameterError
from implicit_rank.theory import greedy


@pytest.mark.parametrize(
    ("chapter", "values", "sentence"),
    [
        (EffectiveMatrixChapter, {"depths": [1]}, "depths must have a number above 1 among the first two"),
        (EffectiveMatrixChapter, {"depths": [64]}, "depths must be .* from 1 to 16"),
        (EffectiveMatrixChapter, {"width": 2}, "width must be an integer from 4 to 8"),
        (EffectiveMatrixChapter, {"alpha": 1.001}, "alpha must be 1, or differ from it by 0.01 or more, not 1.001"),
        (GreedyRankChapter, {"scale": 1}, "scale must be a finite number of at least 1e-06 and below 1, not 1"),
        (GreedyRankChapter, {"scale": 10}, "and below 1, not 10"),
        (GreedyRankChapter, {"scale": 1e-12}, "at least 1e-06 and below 1, not 1e-12"),
        (KnownDimensionChapter, {"code_width": 1_000_000_000}, "code_width must be an integer from 1 to 4096"),
        (IrmaeImagesChapter, {"code_width": 1_000_000_000}, "code_width must be an integer from 2 to 4096"),
        (IrmaeImagesChapter, {"count": 6}, r"count must be 0 \(all\) or an integer of at least 64, not 6"),
        (AblationsChapter, {"code_width": 1_000_000_000}, "code_width must be an integer from 2 to 4096"),
        (GreedyImagesChapter, {"count": 8}, r"count must be 0 \(all\) or an integer of at least 64, not 8"),
        (LandscapeChapter, {"eigenvalues": [5000, 2], "penalties": [1]}, "eigenvalues must be .* from 0.01 to 100"),
        (LandscapeChapter, {"eigenvalues": range(9, 0, -1)}, "at most 8 eigenvalues and 4 penalties"),
        (RotationChapter, {"eigenvalues": [500, 300, 100]}, "eigenvalues must be .* from 0.01 to 20"),
    ],
)
def test_what_a_chapter_cannot_run_is_refused_at_its_first_cell(chapter, values, sentence):
    with pytest.raises(ParameterError, match=sentence):
        chapter(**values)


@pytest.mark.parametrize(
    "chapter",
    [
        EffectiveMatrixChapter,
        GreedyRankChapter,
        KnownDimensionChapter,
        IrmaeImagesChapter,
        AblationsChapter,
        GreedyImagesChapter,
        RecoveryChapter,
    ],
)
def test_a_seed_that_no_generator_takes_is_refused(chapter):
    assert chapter(seeds=[2**31 - 1]).seeds == (2**31 - 1,)
    with pytest.raises(ParameterError, match=r"seeds must be .* from 0 to 2147483647"):
        chapter(seeds=[99999999999999999999])


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("alpha", [0.1, 4.0])
def test_the_corners_of_chapter_1_pass_its_checks(width, alpha):
    settings = EffectiveMatrixChapter(profile="quick", depths=(2, 16), width=width, alpha=alpha, seeds=(0, 2**31 - 1))
    for result in effective_update.run(settings.specs()):
        found = result.scalars
        for name in ("first_order_error", "modes_error", "asymmetry", "imbalance_step_error", "batch_error"):
            assert found[name] < 1e-12, name
        for name in ("preconditioner_error", "mu_eigenvalue_error"):  # where two values nearly meet, digits go
            assert found[name] < 1e-9, name
        for name in ("alpha_sgd", "alpha_momentum", "alpha_decay", "alpha_adam"):
            assert found[name] < 1e-10, name
        assert found["identity_error"] < 1e-4  # two trainings of 400 steps, apart by rounding
        assert found["wrong_vec_error"] > 0.1
        assert found["alpha_adam_squared"] > 1e-3


@pytest.mark.parametrize("scale", [1e-6, 0.999])
def test_the_corners_of_chapter_2_pass_its_checks(scale):
    from scipy.integrate import quad

    assert GreedyRankChapter(scale=scale).scale == scale
    for depth in (2, 3, 4, 16, 32):
        numeric, _ = quad(lambda s, depth=depth: s ** (-2 * (depth - 1) / depth), scale, 1, limit=200)
        assert greedy.growth_time(scale, depth) == pytest.approx(numeric, rel=1e-6)
