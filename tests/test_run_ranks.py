"""Ranks read off a run: one rule for every chapter."""

import math

import numpy as np
import pytest

from implicit_rank.experiments.kit.run_ranks import at_common_error, at_error, count_above
from implicit_rank.store import Record


def run(**arrays):
    return Record("any", {}, {}, {name: np.array(values) for name, values in arrays.items()}, {})


RUN = run(error=[0.1, 0.04, 0.01, 0.02, 0.005], rank_covariance=[1, 4, 8, 9, 20], rank_codes=[20, 6, 2, 2, 2])


@pytest.mark.parametrize(
    ("error", "rank"),
    [
        (0.01, 8),  # at an entry
        (0.02, 6),  # the geometric middle of 0.04 and 0.01; that the error rises again later does not matter
        (0.01 * 4**0.25, 7),
        (0.005, 20),
    ],
)
def test_a_rank_lies_between_entries_in_the_logarithm_of_the_error(error, rank):
    assert at_error(RUN, error) == pytest.approx(rank)


@pytest.mark.parametrize("error", [0.001, 0.04, 0.05, 0.1, 0.2])
def test_there_is_none_where_the_error_is_not_reached_or_only_the_start_is_on_the_other_side(error):
    assert math.isnan(at_error(RUN, error))


def test_other_courses_are_read_alike():
    assert at_error(RUN, 0.02, "rank_codes") == pytest.approx(4)


@pytest.mark.parametrize(("error", "epoch"), [(0.2, 0), (0.1, 0), (math.sqrt(0.004), 0.5), (0.04, 1), (0.02, 1.5)])
def test_a_course_that_means_something_at_the_start_may_use_it(error, epoch):
    record = run(error=[0.1, 0.04, 0.01], epochs=[0, 1, 2])
    assert at_error(record, error, "epochs", from_start=True) == pytest.approx(epoch)


def test_runs_are_compared_at_the_best_of_the_one_that_came_least_far():
    slow = run(error=[0.1, 0.08, 0.03, 0.02, 0.021], rank_covariance=[1, 2, 3, 5, 6], rank_codes=[1, 1, 1, 1, 1])
    assert at_common_error([RUN, slow]) == pytest.approx([6, 5])
    assert at_common_error([slow, RUN, RUN], "rank_codes") == pytest.approx([1, 4, 4])
    early = run(error=[0.1, 0.01, 0.001], rank_covariance=[1, 7, 9])
    ranks = at_common_error([early, slow])
    assert math.isnan(ranks[0])  # below 0.02 already at its first entry
    assert ranks[1] == 5
    assert all(map(math.isnan, at_common_error([RUN, run()])))


def test_a_run_without_a_course_has_no_rank():
    assert math.isnan(at_error(run(), 0.01))


@pytest.mark.parametrize(("threshold", "count"), [(0.01, 3), (0.1, 2), (0.001, 4)])
def test_values_are_counted_as_everywhere_and_stored_ones_too(threshold, count):
    values = np.array([5.0, 1.0, 0.4, 0.01, 0.0])
    values.flags.writeable = False  # as the store hands them out: PyTorch would warn
    assert count_above(values, threshold) == count
