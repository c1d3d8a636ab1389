"""Every row of theory has teeth: with its formula a little wrong (a factor, a sign, an index) it fails.

A row that passes whatever the formula says is no test of it. Each case below spoils one function that an experiment
compares with something else, runs the experiment's smallest members, and asks that the row's own region is missed. With
nothing spoilt the same members lie inside it.
"""

import functools
import math
import sys

import pytest
import torch

from implicit_rank.claims.grammar import load_claims
from implicit_rank.experiments import register
from implicit_rank.experiments.conditioning.brockett import Brockett, misfit
from implicit_rank.experiments.conditioning.curvature import Curvature
from implicit_rank.experiments.conditioning.experiment import Conditioning
from implicit_rank.experiments.conditioning.stability import Stability
from implicit_rank.experiments.landscape import descent, minima
from implicit_rank.experiments.landscape.experiment import Landscape
from implicit_rank.experiments.landscape.minima import Minima
from implicit_rank.store import live_record
from implicit_rank.theory import landscape

MEMBERS = {
    "brockett": [Brockett(D=5, k=3)],
    "conditioning": [Conditioning(spectrum="near_tie", k=2, seed=1)],
    "curvature": [Curvature(D=4, k=2, draws=2000)],
    "landscape": [Landscape(D=4, k=2, starts=2, roots=8)],
    "minima": [Minima(D=4, k=2, starts=2, roots=8, pairs=50)],
    "stability": [Stability(D=3, k=2)],
}
# the printed l2 bound is zero at k = 2
AT_EQUAL_GAPS = ("bao2020-s43-bound", "bao2020-s43-dominates", "bao2020-s5-condition-corrected")
# what a member's evaluation is made of, by the measures that each part fills: the rest is left out of a test
PARTS = {
    "curvature": {
        "closed_form_checks": "nested_closed nested_sampled",
        "hessian_checks": "nested_spectrum",
        "pace_checks": "nested_pace l2_pace",
    },
    "landscape": {
        "symmetry_checks": "moment invariance uniform",
        "class_checks": "classes corrected_gradient class_loss spectrum_error index minimum loss_margin",
        "root_checks": "transpose_error form_error",
        "descent_checks": "descents norm_error",
        "plane_checks": "ring",
    },
    "minima": {
        "cosine_checks": "cosine_error",
        "root_checks": "cosine_slope_at_roots",
        "nested_checks": "nested",
        "l2_checks": "tied",
        "svd_checks": "svd",
        "valley_checks": "valley floor",
    },
    "stability": {"local_checks": "largest least tuned", "edge_checks": "edge"},
}


def measured(claim, monkeypatch):
    """The row's measure on a small member of its experiment, whose other parts are not run."""
    experiment = register.experiment(claim.experiment)
    module = sys.modules[type(MEMBERS[claim.experiment][0]).__module__]
    for part, prefixes in PARTS.get(claim.experiment, {}).items():
        if not claim.measure.startswith(tuple(prefixes.split())):
            monkeypatch.setattr(module, part, lambda *a, **k: {})
    chosen = [Conditioning(spectrum="equal", k=4)] if claim.id in AT_EQUAL_GAPS else MEMBERS[claim.experiment]
    (result,) = experiment.run(chosen)
    return experiment.measures[claim.measure](live_record(result.spec, result.scalars, result.arrays))


def inside(claim, value):
    low, high = claim.region
    return not math.isnan(value) and low <= value <= high


@functools.cache
def claims():
    return {claim.id: claim for claim in load_claims()}


def times(factor):
    return lambda f: lambda *a, **k: f(*a, **k) * factor


def times_pair(first, second):
    def spoil(f):
        def spoilt(*a, **k):
            one, other = f(*a, **k)
            return one * first, other * second

        return spoilt

    return spoil


def of_other_penalties(f):
    """A unit takes the penalty of the unit of its component's number, as the printed form does."""

    def spoilt(U, s, penalties, assignment, *a):
        order = [i if i is not None and i < len(penalties) else n for n, i in enumerate(assignment)]
        return f(U, s, penalties[order], assignment, *a)

    return spoilt


def off_by_one(f):
    return lambda s, penalties, assignment: max(f(s, penalties, assignment) - 1, 0)


def shifted(f):
    return lambda *a, **k: f(*a, **k) + 0.01


def weighs_the_first_row(f):
    return lambda W1, *a, **k: f(W1, *a, **k) + 0.01 * W1[..., 0, :].square().sum(-1)


def rolled_prior(f):
    """The chances of an index too late."""
    return lambda W1, W2, C, prior: f(W1, W2, C, prior.roll(1))


def swapped_parts(f):
    return lambda *a: tuple(reversed(f(*a)))


def reversed_columns(f):
    return lambda W2: f(W2).flip(-1)


def inverse_scale(f):
    return lambda *a, **k: {name: x * (0.9 if name == "encoder" else 1) for name, x in f(*a, **k).items()}


def sum_not_difference(f):
    return lambda M, weights: M * (weights + weights[:, None])


def capped(f):
    return lambda curvature, momentum=0.0: f(curvature, 0.0)


def wider(f):
    return lambda s, penalties, alpha, theta: f(s, penalties, 1.1 * alpha, theta)


def unbalanced(f):
    return lambda *a, **k: [(W1 * 1.01, W2) for W1, W2 in f(*a, **k)]


def other_penalties(f):
    return lambda *a, **k: f(*a, **(k | {"penalties": 1.02 * k["penalties"]}))


SPOILT = [
    ("bao2020-eq1-invariance", landscape, "reconstruction_loss", weighs_the_first_row),
    ("bao2020-eq1-moments", landscape, "reconstruction_loss", times(1.001)),
    ("bao2020-eq2-orthogonal", landscape, "l2_loss", weighs_the_first_row),
    ("bao2020-eq2-zero-modes", landscape, "class_hessian_eigenvalues", shifted),
    ("bao2020-thm1-transpose", descent, "find_roots", unbalanced),
    ("bao2020-thm2-form-corrected", landscape, "stationary_point", of_other_penalties),
    ("bao2020-thm2-complete", landscape, "stationary_point", of_other_penalties),
    ("bao2020-thm2-loss", landscape, "class_loss", times(1.001)),
    ("bao2020-thm3-unique", landscape, "class_index", off_by_one),
    ("bao2020-thm3-least", landscape, "class_loss", times(-1)),
    ("bao2020-thm3-inversions", landscape, "class_index", off_by_one),
    ("bao2020-thm3-descent", landscape, "stationary_point", times_pair(1.01, 1.0)),
    ("bao2020-thm3-norms", descent, "train_regularised", other_penalties),
    ("bao2020-fig1-ring", landscape, "plane_loss", wider),
    ("bao2020-s43-blocks", landscape, "class_hessian_eigenvalues", times(1.001)),
    ("bao2020-thm2-cosine", landscape, "rotation_cosine", times_pair(1.0, -1.0)),
    ("bao2020-thm2-cosine", landscape, "rotation_cosine", times_pair(2.0, 1.0)),
    ("bao2020-thm2-cosine-phase", landscape, "rotation_cosine", swapped_parts),
    ("bao2020-fig1-valley-floor", landscape, "valley_ratio", times(0.5)),
    ("bao2020-fig1-valley-broad", landscape, "valley_ratio", times(1.01)),
    ("bao2020-s2-svd", landscape, "axes_by_svd", reversed_columns),
    ("bao2020-s2-svd", landscape, "axes_by_svd", lambda f: lambda W2: W2),
    ("bao2020-thm3-tied", minima, "ordered_axis_distance", shifted),
    ("bao2020-s5-ordered", minima, "ordered_axis_distance", shifted),
    ("bao2020-eq6-closed", landscape, "nested_dropout_loss", rolled_prior),
    ("bao2020-eq6-closed", landscape, "nested_dropout_loss", times(2)),
    ("bao2020-eq6-sampled", landscape, "nested_dropout_loss", times(2)),
    ("bao2020-s5-spectrum", landscape, "nested_dropout_hessian_eigenvalues", times_pair(1.001, 1.0)),
    ("bao2020-s5-rate", landscape, "nested_dropout_hessian_eigenvalues", times_pair(0.5, 1.0)),
    ("bao2020-s43-bound", landscape, "l2_bound_printed", times(40)),
    ("bao2020-s43-sharp", landscape, "l2_bound_sharp", times(20)),
    ("bao2020-s43-near-tie", landscape, "l2_bound_near_tie", times(20)),
    ("bao2020-s43-tight-ties", landscape, "l2_bound_sharp", times(0.1)),
    ("bao2020-s43-dominates", landscape, "l2_bound_sharp", times(0.1)),
    ("bao2020-s5-sharp", landscape, "nested_dropout_bound_sharp", times(4)),
    ("bao2020-s5-condition-corrected", landscape, "nested_dropout_bound_printed", times(4)),
    ("bao2020-appg-l2", landscape, "brockett_cost", times(1.001)),
    ("bao2020-appg-nested", landscape, "brockett_cost", times(-1)),
    ("bao2020-appg-similar", landscape, "brockett_generator", sum_not_difference),
    ("bao2020-appf-optimum", landscape, "vae_optimum", inverse_scale),
    ("bao2020-appf-cost", landscape, "brockett_cost", times(0.5)),
    ("bao2020-s43-stable", landscape, "largest_stable_rate", times(1.05)),
    ("bao2020-s43-unstable", landscape, "largest_stable_rate", times(0.95)),
    ("bao2020-s43-stable", landscape, "largest_stable_rate", capped),
    ("bao2020-s43-momentum", landscape, "best_momentum", times(0.5)),
]


@pytest.mark.parametrize(("row", "module", "name", "spoil"), SPOILT, ids=lambda x: x if isinstance(x, str) else "")
def test_a_wrong_formula_fails_its_row(row, module, name, spoil, monkeypatch):
    monkeypatch.setattr(module, name, spoil(getattr(module, name)))
    assert not inside(claims()[row], measured(claims()[row], monkeypatch))


@pytest.mark.parametrize("row", sorted({case[0] for case in SPOILT}))
def test_the_formula_as_it_stands_passes(row, monkeypatch):
    assert inside(claims()[row], measured(claims()[row], monkeypatch))


def test_a_saddle_of_nested_dropout_leads_down_and_rag_is_no_brockett_gradient_from_three_units_on():
    c, s = torch.tensor([1.0, 0.7, 0.2]).double(), torch.tensor([3.0, 2.0, 1.0]).double()
    assert (landscape.brockett_curvature(-c / 2, s) >= 0).all()  # in order: up
    assert landscape.brockett_curvature(-c / 2, s[[1, 0, 2]])[0, 1] < 0  # out of order: down
    M = torch.tensor([[2.0, 0.5], [0.5, 1.0]]).double()
    assert misfit(M, 2) < 1e-12
