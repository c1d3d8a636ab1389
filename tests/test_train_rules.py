"""Stop rules, and the two-stage method of Sun 2021 (3.2)."""

import copy

import numpy as np
import pytest
import torch
from test_train import Memory, pictures, small_model

from implicit_rank.spectra import numerical_rank, singular_values
from implicit_rank.train import History, Member, Settings, StableRank, TargetError, train
from implicit_rank.train.stages import switched, train_two_stages


def history_of(ranks, width=10, epochs=None, of="effective"):
    history = History(1)
    for epoch, rank in zip(epochs or range(len(ranks)), ranks, strict=True):
        history.append(3 * epoch, float(epoch), {f"rank_{of}": [rank], "spectrum_codes": np.zeros((1, width))})
    return history


@pytest.mark.parametrize(
    ("ranks", "rule", "fires"),
    [
        ([9, 8, 8, 8, 8, 8, 8], StableRank(), True),
        ([9, 8, 8, 8, 8, 8], StableRank(), False),  # only four epochs without a change
        ([10, 10, 10, 10, 10, 10], StableRank(), True),  # as printed it fires before anything is learned
        ([10, 10, 10, 10, 10, 10], StableRank(vacuous=False), False),
        ([14, 13, 14, 15, 14, 15], StableRank(), False),  # as printed it may never fire
        ([14, 13, 14, 15, 14, 15], StableRank(tolerance=1), False),  # 13 to 15 is a range of 2
        ([14, 14, 14, 15, 14, 15], StableRank(tolerance=1), True),
        ([14, 13, 14, 15, 14, 15], StableRank(cap=5), True),
        ([14, 13, 14, 15, 14, 15], StableRank(cap=6), False),
        ([8, 8, 8], StableRank(epochs=2), True),
        ([8, 8], StableRank(epochs=2), False),
        ([np.nan] * 7, StableRank(), False),
    ],
)
def test_when_a_rank_has_settled(ranks, rule, fires):
    assert bool(rule(history_of(ranks), 0)) is fires


def test_a_settled_rank_needs_epochs_and_not_entries():
    often = history_of([8] * 7, epochs=[0, 1, 2, 2.5, 3, 3.5, 4])
    assert StableRank()(often, 0) is None
    assert StableRank(epochs=4)(often, 0) == "rank unchanged for 4 epochs"


def test_the_rank_of_the_codes_may_be_the_one_that_counts():
    assert StableRank(of="codes")(history_of([8] * 6, of="codes"), 0)
    with pytest.raises(ValueError, match="of must be 'effective', 'codes' or 'covariance', not 'x'"):
        StableRank(of="x")
    with pytest.raises(ValueError, match="at least 1"):
        StableRank(epochs=0)


def test_members_stop_at_the_target_error_each_in_its_own_time():
    images = pictures((1, 16, 16))
    draw = [small_model((1, 16, 16), seed) for seed in (0, 0)]
    members = [Member(lr=3e-3), Member(lr=1e-2)]
    settings = Settings(batch=8, epochs=30, precision="float64")
    free = train(copy.deepcopy(draw), members, images, settings).values["error"]
    target = float(free[:, 12].max())
    models = copy.deepcopy(draw)
    history = train(models, members, images, settings, rules=[TargetError(target)])
    assert history.status == [f"reached the error {target:g}"] * 2
    first = [int(np.argmax(free[i] <= target)) for i in (0, 1)]
    assert first[0] != first[1]
    assert [int(s) // 5 for s in history.stopped_at] == first
    for i in (0, 1):
        reached = history.values["error"][i]
        assert np.isnan(reached[first[i] + 1 :]).all()
        assert reached[first[i]] <= target < reached[first[i] - 1]


@pytest.mark.parametrize("rank", [1, 4, 6])
def test_the_switch_keeps_the_truncated_map(rank):
    model = small_model((1, 16, 16), 3, depth=4, alpha=2.0, init="orthogonal")
    twin = switched(model, rank)
    with torch.no_grad():
        W_e = model.effective_matrix()
        U, S, Vh = torch.linalg.svd(W_e)
        assert torch.allclose(twin.effective_matrix(), U[:, :rank] * S[:rank] @ Vh[:rank], atol=1e-12)
        W1, W2 = twin.chain.layers()
        assert torch.allclose(W1 @ W1.T, W2.T @ W2, atol=1e-12)  # balanced, as eq. 1 of the paper asks
    assert [tuple(w.shape) for w in twin.chain.layers()] == [(rank, 6), (6, rank)]
    with pytest.raises(ValueError, match="linear chain"):
        switched(small_model((1, 16, 16)), 2)


def low_rank_runs():
    """Two members whose W_e has a clear rank below its width, and one that diverges."""
    models = [small_model((1, 16, 16), seed, depth=3) for seed in range(3)]
    for model, rank in zip(models, (2, 3, 4), strict=True):
        with torch.no_grad():
            for weight in model.chain.weights:
                U, S, Vh = torch.linalg.svd(weight)
                weight.copy_(U[:, :rank] * S[:rank].clamp(min=0.4) @ Vh[:rank] + 1e-7 * weight)
    return models, [Member(lr=1e-4), Member(lr=2e-4), Member(lr=300.0)]


def test_two_stages_per_member():
    models, members = low_rank_runs()
    images = pictures((1, 16, 16))
    settings = Settings(batch=16, epochs=9, precision="float64")
    done = train_two_stages(models, members, images, settings, rule=StableRank(epochs=3))
    assert done.first.status[:2] == ["rank unchanged for 3 epochs"] * 2
    assert done.first.diverged(2)
    assert done.models[2] is None
    for i in (0, 1):
        spectrum = singular_values(models[i].effective_matrix())
        assert done.ranks[i] == numerical_rank(spectrum) < 6
        assert done.models[i].chain.inner == done.ranks[i]
        jump = abs(done.error_after[i] - done.error_before[i]) / done.error_before[i]
        assert jump < 1e-3
    assert done.second.epochs[-1] == 6  # 9 epochs in all
    assert done.second.values["error"][0, 0] == pytest.approx(done.error_after[0])
    assert done.second.values["error"][0, -1] < done.error_after[0]
    assert (done.second.values["rank_effective"] <= done.ranks[:2, None]).all()


def test_two_stages_resume():
    images = pictures((1, 16, 16))
    settings = Settings(batch=16, epochs=6, precision="float64", checkpoint_seconds=1e-9)
    rule = StableRank(epochs=2)
    models, members = low_rank_runs()
    whole = train_two_stages(models, members, images, settings, rule=rule)
    for killed in ("first", "second"):
        files = {"first": Memory(), "second": Memory()}
        files[killed].kill_after = 4
        models, members = low_rank_runs()
        with pytest.raises(KeyboardInterrupt):
            train_two_stages(models, members, images, settings, rule=rule, checkpoints=files.get)
        models, members = low_rank_runs()
        again = train_two_stages(models, members, images, settings, rule=rule, checkpoints=files.get)
        assert again.ranks.tolist() == whole.ranks.tolist()
        np.testing.assert_array_equal(again.second.values["error"], whole.second.values["error"])
        for a, b in zip(again.models[0].parameters(), whole.models[0].parameters(), strict=True):
            assert torch.equal(a, b)
