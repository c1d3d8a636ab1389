"""The numbers in the prose of chapters 6 and 7, from runs made up so that they are known."""

import dataclasses
import math

import numpy as np
import pytest

from implicit_rank.experiments.greedy_images import experiment as family
from implicit_rank.experiments.greedy_images import numbers
from implicit_rank.store import live_record


def member(make, *choice, seed=0, diverged=False, arrays=None, **scalars):
    spec = make(dataclasses.replace(family.small("paper"), seed=seed), *choice)
    return live_record(spec, {"diverged": diverged, "status": ""} | scalars, arrays or {})


def chain(depth, alpha, seed=0, rank=1, **more):
    return member(family.orthogonal, depth, alpha, seed=seed, rank_codes=rank, **more)


def test_means_of_the_three_ways_to_a_rank():
    groups = {
        "orthogonal": [chain(8, 10.0, seed, rank) for seed, rank in enumerate((10, 20))] + [chain(16, 10.0, 0, 99)],
        "standard": [member(family.standard, n, error=n / 10) for n in (2, 4)],
        "by_hand": [member(family.explicit, r, error=1 / r) for r in (4, 8)],
    }
    assert numbers.orthogonal_at(groups, "rank_codes", 8, 10) == 15
    assert math.isnan(numbers.orthogonal_at(groups, "rank_codes", 8, 30))
    assert numbers.standard_at(groups, "error", 4) == pytest.approx(0.4)
    assert numbers.by_hand_at(groups, "error", 8) == pytest.approx(0.125)


def test_who_leaves_and_when():
    course = np.array([[1, 1, 1], [3, 1, 1], [9, 2.5, 1], [9, 8, 1]], float)
    record = chain(16, 30.0, arrays={"singular_effective_course": course, "epochs": np.array([0, 0.5, 1, 1.5])})
    groups = {"course": [record]}
    assert [numbers.leaving(groups, which) for which in ("number", "first", "last")] == [2, 0.5, 1]
    assert numbers.leaving({"course": []}, "first") is None


def test_how_many_diverged():
    groups = {"first_orthogonal": [chain(8, 200.0, seed, diverged=seed != 1) for seed in (0, 1, 2)]}
    assert numbers.diverged_at(groups, 8, 200) == "2 of 3"
    assert numbers.diverged_at(groups, 16, 200) is None


def test_what_choosing_by_the_test_set_gains():
    probed = [chain(8, 1.0, s, accuracy_best_codes=0.9 + s / 100, accuracy_chosen_codes=0.9) for s in (0, 1, 2)]
    assert numbers.optimism({"all": [*probed, chain(8, 99.0)]}) == pytest.approx(1)
    assert math.isnan(numbers.optimism({"all": []}))


def test_a_plateau_of_means_ends_where_a_member_diverges():
    ranks = {1.0: 60, 10.0: 20, 30.0: 20, 100.0: 19, 200.0: 2}  # 200 is beyond what is looked at
    pool = [chain(8, alpha, seed, rank) for alpha, rank in ranks.items() for seed in (0, 1)]
    assert numbers.plateau_at({"first_orthogonal": pool}, 8) == "from 10 on"
    pool += [chain(8, 50.0, 0, 5)]  # of seed 0 alone
    assert numbers.plateau_at({"first_orthogonal": pool}, 8) == "from 10 on"
    assert numbers.plateau_at({"first_orthogonal": pool}, 8, 0) == "none"
    lost = [
        chain(8, alpha, seed, rank, diverged=alpha >= 30 and seed == 1)
        for alpha, rank in ranks.items()
        for seed in (0, 1)
    ]
    assert numbers.plateau_at({"first_orthogonal": lost}, 8) == "none"


def test_the_elbow_of_ranks_set_by_hand():
    errors = {2: 0.04, 4: 0.02, 8: 0.01, 16: 0.0099, 32: 0.0098, 64: 0.0097}
    pool = [member(family.explicit, r, seed=s, error=e * (1 + s)) for r, e in errors.items() for s in (0, 1)]
    assert numbers.elbow_by_hand({"by_hand": pool[::-1]}) == 8


def test_two_precisions_of_the_same_seed():
    groups = {
        "float64": [chain(16, 10.0, seed, 20 + seed, error=0.01) for seed in (1, 2)],
        "float32": [chain(16, 10.0, seed, 10 + seed, error=0.02) for seed in (0, 1)],
    }
    assert numbers.two_precisions(groups) == "seed 1: 11 and 21, errors 0.0200 and 0.0100"
    assert numbers.two_precisions({"float64": [], "float32": []}) is None


def test_samples_follow_over_all_members():
    pool = [chain(8, 1.0, s, distance_reconstructed=10.0**s, distance=100.0**s) for s in range(4)]
    assert numbers.samples_follow({"all": pool}) == pytest.approx(1)
