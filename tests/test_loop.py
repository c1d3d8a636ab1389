"""The full-batch loop: what it records and when, early finish, and members that diverge."""

import math
from itertools import pairwise

import pytest
import torch

from implicit_rank.linear.loop import descend, recording_steps
from implicit_rank.linear.optimisers import GradientDescent

F64 = torch.float64
CURVATURE = torch.tensor([1.0, 2.0, 0.5], dtype=F64)


def bowl(parameters):
    """Loss c |x|^2 / 2 of every member: x after t steps of rate lr is (1 - lr c)^t times its start."""
    x = parameters["x"]
    c = CURVATURE[: len(x)].view(-1, 1)
    return (c * x.square()).sum(dim=1) / 2, {"x": c * x}


def watch(step, parameters, loss):
    return {"x": parameters["x"], "step": torch.full((len(loss),), step)}


def start(members=3):
    return {"x": torch.arange(1, 2 * members + 1, dtype=F64).view(members, 2)}


def go(steps, record_at, rates=0.1, **options):
    return descend(start(), bowl, GradientDescent(rates), steps, record_at, watch, **options)


def test_step_t_means_after_t_updates():
    descent = go(7, [0, 1, 4, 7])
    assert descent.steps.tolist() == [0, 1, 4, 7]
    assert descent.series["x"].shape == (3, 4, 2)
    assert descent.series["step"][0].tolist() == [0, 1, 4, 7]
    for t, step in enumerate(descent.steps.tolist()):
        expected = start()["x"] * (1 - 0.1 * CURVATURE[:, None]) ** step
        torch.testing.assert_close(descent.series["x"][:, t], expected, rtol=1e-13, atol=0)
        torch.testing.assert_close(descent.series["loss"][:, t], bowl({"x": expected})[0], rtol=1e-12, atol=0)
    torch.testing.assert_close(descent.parameters["x"], descent.series["x"][:, -1], rtol=0, atol=0)
    assert descent.stopped == [None] * 3


def test_all_updates_are_made_when_the_last_step_is_not_recorded():
    descent = go(9, [3])
    assert descent.steps.tolist() == [3]
    expected = start()["x"] * (1 - 0.1 * CURVATURE[:, None]) ** 9
    torch.testing.assert_close(descent.parameters["x"], expected, rtol=1e-13, atol=0)


def test_records_are_copies():
    descent = go(5, [0, 5])
    assert torch.equal(descent.series["x"][:, 0], start()["x"])


def test_progress_is_called_at_checks_and_records():
    seen = []
    go(10, [0, 5, 10], check_every=4, progress=seen.append)
    assert seen == [0, 4, 5, 8, 10]


def test_an_early_finish_ends_the_run_at_a_record():
    asked = []

    def finished(observed):
        asked.append(set(observed))
        return observed["loss"] < 2

    descent = go(1000, range(0, 1001, 5), finished=finished)
    last = int(descent.steps[-1])
    # member 2 is the slowest: its loss falls by 0.95^2 a step
    needed = math.log(2 / bowl(start())[0][2]) / (2 * math.log(0.95))
    assert last == math.ceil(needed / 5) * 5
    assert (descent.series["loss"][:, -1] < 2).all()
    assert (descent.series["loss"][:, -2] >= 2).any()
    assert asked[0] == {"loss", "x", "step"}
    # nothing was updated after the last record
    torch.testing.assert_close(descent.parameters["x"], descent.series["x"][:, -1], rtol=0, atol=0)


def test_a_diverging_member_is_stopped_with_a_reason_and_nan():
    rates = torch.tensor([0.1, 5.0, 0.1], dtype=F64)
    descent, calm = go(40, range(41), rates, check_every=10), go(40, range(41))
    assert descent.stopped[0] is None
    assert descent.stopped[2] is None
    assert descent.stopped[1].startswith("diverged by step 2: the loss went from 25 to ")
    loss = descent.series["loss"][1]
    assert loss[:2].isfinite().all()
    assert loss[2:].isnan().all()
    assert descent.series["x"][1, 2:].isnan().all()
    assert descent.parameters["x"][1].isnan().all()
    assert descent.series["step"][1].tolist() == list(range(41))  # whole numbers have no NaN
    for j in (0, 2):
        assert torch.equal(descent.series["x"][j], calm.series["x"][j])


def test_divergence_is_noticed_between_records():
    descent = go(100, [0, 100], torch.tensor([0.1, 50.0, 0.1], dtype=F64), check_every=20)
    assert descent.stopped[1].startswith("diverged by step 20:")
    assert descent.series["loss"][1].isnan().tolist() == [False, True]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_loss_that_is_no_number_is_divergence(bad):
    def poisoned(parameters):
        loss, gradient = bowl(parameters)
        loss[2] = bad if parameters["x"][2, 0] < 4 else loss[2]
        return loss, gradient

    descent = descend(start(), poisoned, GradientDescent(0.1), 30, range(31), watch)
    assert [reason is None for reason in descent.stopped] == [True, True, False]
    assert descent.series["loss"][:2].isfinite().all()
    first = int(descent.series["loss"][2].isnan().nonzero()[0])
    assert descent.series["x"][2, first - 1, 0] >= 4  # the records before are kept, and are true


def test_blow_up_is_a_multiple_of_each_members_own_start():
    rates = torch.tensor([2.5, 0.1, 0.1], dtype=F64)  # the loss of member 0 grows by 2.25 a step
    assert go(3, range(4), rates, blow_up=12).stopped == [None] * 3
    stopped = go(3, range(4), rates, blow_up=11).stopped
    assert stopped[0].startswith("diverged by step 3")


def test_a_stopped_member_keeps_nobody_waiting():
    rates = torch.tensor([0.1, 5.0, 0.1], dtype=F64)
    descent = go(1000, range(1001), rates, finished=lambda observed: observed["loss"] < 2)
    assert int(descent.steps[-1]) < 100


def test_when_all_diverge_the_loop_still_ends_in_order():
    descent = go(50, [0, 25, 50], 9.0)
    assert all("diverged" in reason for reason in descent.stopped)
    assert descent.series["loss"][:, 1:].isnan().all()


def test_ragged_parameters_lose_only_the_diverging_member():
    parameters = {"x": start()["x"], "y": torch.ones(1, 2, dtype=F64)}

    def gradients(held):
        loss, gradient = bowl(held)
        return loss, {**gradient, "y": torch.zeros_like(held["y"])}

    descent = descend(
        parameters, gradients, GradientDescent(torch.tensor([0.1, 0.1, 50.0], dtype=F64)), 20, [20], watch
    )
    assert descent.stopped[2] is not None
    assert torch.equal(descent.parameters["y"], torch.ones(1, 2, dtype=F64))  # member 2 has no y
    assert descent.parameters["x"][:2].isfinite().all()


@pytest.mark.parametrize(
    ("steps", "count", "first"), [(10_000, 46, 1), (600, 10, 1), (1000, 5, 30), (1, 9, 1), (7, 50, 1), (5, 4, 100)]
)
def test_recording_steps_are_log_spaced_and_hold_both_ends(steps, count, first):
    grid = recording_steps(steps, count, first)
    assert grid == sorted(set(grid))
    assert grid[0] == 0
    assert grid[-1] == steps
    assert len(grid) <= count + 2
    assert all(isinstance(step, int) for step in grid)
    inner = grid[1:-1]
    assert not inner or inner[0] >= min(first, steps)
    if steps == 10_000:
        far = [b / a for a, b in pairwise(grid) if a > 100]
        assert max(far) / min(far) < 1.05  # even in the logarithm once rounding no longer shows
        assert len(grid) > 35


@pytest.mark.parametrize("steps", [0, -1])
def test_recording_steps_refuses_a_run_of_no_length(steps):
    with pytest.raises(ValueError, match="steps must be at least 1"):
        recording_steps(steps, 5)
