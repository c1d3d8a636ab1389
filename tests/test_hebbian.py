"""The Hebbian learners against plain implementations, and where they come to rest."""

import pytest
import torch

from implicit_rank.data.moments import moments_with
from implicit_rank.linear import hebbian
from implicit_rank.linear.operators import DenseMoments
from implicit_rank.spectra import ordered_axis_distance, subspace_distance
from implicit_rank.theory import rotation

S = torch.tensor([4.0, 3.0, 2.0, 1.2, 0.5, 0.3], dtype=torch.float64)


def instance(seed=0, m=2, k=3):
    g = torch.Generator().manual_seed(seed)
    moments = moments_with(S, g)
    return moments, torch.randn(m, k, len(S), generator=g, dtype=torch.float64) / 3


def eigengame_player_by_player(V, C):
    """Every player's step by itself, from the definition of its utility, by automatic differentiation."""
    steps = []
    for i in range(len(V)):
        v = V[i].clone().requires_grad_()
        utility = v @ C @ v - sum((v @ C @ V[j]) ** 2 / (V[j] @ C @ V[j]) for j in range(i))
        (slope,) = torch.autograd.grad(utility, v)
        steps.append(slope - (slope @ V[i]) * V[i])
    return torch.stack(steps)


@pytest.mark.parametrize("seed", [0, 1])
def test_directions_are_the_plain_rules(seed):
    moments, W = instance(seed)
    operator, C = DenseMoments(moments.C), moments.C
    torch.testing.assert_close(hebbian.generalised_hebbian(W, operator), (rotation.gha_step(W, C, 0.1) - W) / 0.1)
    for j, rows in enumerate(W):
        plain = rows @ C - rows @ C @ rows.T @ rows
        torch.testing.assert_close(hebbian.oja_subspace(W, operator)[j], plain)
        weighted = torch.stack(
            [rows[i] @ C - (1 + i / 3) * sum((rows[i] @ C @ rows[n]) * rows[n] for n in range(3)) for i in range(3)]
        )
        torch.testing.assert_close(hebbian.oja_weighted(W, operator)[j], weighted)
    V = W / W.norm(dim=2, keepdim=True)
    mine = hebbian.eigengame(V, operator)
    for j, rows in enumerate(V):
        torch.testing.assert_close(mine[j], eigengame_player_by_player(rows, C))


@pytest.mark.parametrize("learner", ["gha", "weighted_oja", "eigengame"])
def test_learners_end_at_the_ordered_axes(learner):
    moments, W = instance(3)
    descent = hebbian.train_hebbian(moments, learner, W, lr=0.1, steps=1500, record_at=[0, 1500])
    rows = descent.parameters["rows"]
    axes = torch.eye(len(S), dtype=torch.float64)[:, :3]
    assert ordered_axis_distance(rows.mT, axes).max() < 1e-9
    lengths = 1 / rotation.oja_weights(3).sqrt() if learner == "weighted_oja" else torch.ones(3).double()
    torch.testing.assert_close(rows.norm(dim=2), lengths.expand(2, 3), rtol=0, atol=1e-6)
    assert descent.series["d_align"][:, 0].min() > 0.05


def test_ojas_subspace_rule_keeps_whatever_basis_it_finds():
    moments, W = instance(4)
    descent = hebbian.train_hebbian(moments, "oja", W, lr=0.1, steps=1500, record_at=[300, 1500])
    rows = descent.parameters["rows"]
    assert subspace_distance(rows.mT, torch.eye(len(S)).double()[:, :3]).max() < 1e-9
    torch.testing.assert_close(rows @ rows.mT, torch.eye(3).double().expand(2, 3, 3), rtol=0, atol=1e-6)
    early, late = descent.series["d_align"].T
    assert (early - late).abs().max() < 1e-3
    assert late.min() > 0.02


def test_the_loop_is_the_rule_repeated():
    moments, W = instance(5)
    rates = torch.tensor([0.05, 0.1]).double()
    descent = hebbian.train_hebbian(moments, "gha", W, lr=rates, steps=7, record_at=[7])
    for j in range(2):
        rows = W[j]
        for _ in range(7):
            rows = rotation.gha_step(rows, moments.C, rates[j].item())
        torch.testing.assert_close(descent.parameters["rows"][j] @ moments.U.T, rows)


def test_a_member_that_diverges_is_stopped_alone():
    moments, W = instance(6)
    descent = hebbian.train_hebbian(moments, "gha", W, lr=[0.1, 5.0], steps=200, record_at=[200])
    assert descent.stopped[0] is None
    assert "diverged" in descent.stopped[1]
    assert descent.series["d_align"][0, 0] < 0.2


def test_bad_input_gets_one_clear_sentence():
    moments, W = instance()
    with pytest.raises(ValueError, match="unknown learner 'hebb'; allowed: gha, oja"):
        hebbian.train_hebbian(moments, "hebb", W, lr=0.1, steps=1, record_at=[1])
    with pytest.raises(ValueError, match=r"start must be \(m, k, 6\), not \(3, 6\)"):
        hebbian.train_hebbian(moments, "gha", W[0], lr=0.1, steps=1, record_at=[1])
