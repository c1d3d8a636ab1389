"""The batched trainer against plain autograd and torch.optim, one member at a time."""

import pytest
import torch

from implicit_rank.chain import initial_layer
from implicit_rank.linear.deep import DeepMember, compress, train_deep
from implicit_rank.linear.loop import recording_steps
from implicit_rank.spectra import singular_values

n, D, d = 9, 14, 11


def draw(seed, depth, alpha=1.0, init="default", lr=0.02, chain_lr=0.01):
    g = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    layers = tuple(initial_layer(d, init, g, torch.float64) / alpha for _ in range(depth))
    return DeepMember(
        normal(n, 3) @ normal(3, D) + 0.1 * normal(n, D),
        0.3 * normal(d, D),
        0.3 * normal(D, d),
        layers,
        alpha,
        lr,
        chain_lr,
    )


def naive(member, steps, optimiser):
    """Train one member with autograd and torch.optim: the oracle."""
    parameters = [p.clone().requires_grad_() for p in (member.encoder, member.decoder, *member.layers)]
    groups = [{"params": parameters[:2], "lr": member.lr}, {"params": parameters[2:], "lr": member.chain_lr}]
    rule = {
        "gd": lambda: torch.optim.SGD(groups),
        "nesterov": lambda: torch.optim.SGD(groups, momentum=0.9, nesterov=True),
        "adam": lambda: torch.optim.Adam(groups),
    }[optimiser]()
    losses = []
    for step in range(steps + 1):
        codes = member.data @ parameters[0].T
        for layer in parameters[2:]:
            codes = codes @ (member.alpha * layer).T
        loss = (codes @ parameters[1].T - member.data).square().mean()
        losses.append(loss.item())
        if step < steps:
            rule.zero_grad()
            loss.backward()
            rule.step()
    return torch.tensor(losses, dtype=torch.float64), [p.detach() for p in parameters], codes.detach()


MEMBERS = [
    draw(0, 2),
    draw(1, 0),
    draw(2, 5, alpha=2.0, init="orthogonal"),
    draw(3, 3, alpha=1.5, lr=0.01, chain_lr=0.02),
]


@pytest.mark.parametrize(
    ("optimiser", "compressed"), [("gd", True), ("gd", False), ("nesterov", True), ("nesterov", False), ("adam", False)]
)
def test_ragged_batch_equals_autograd_one_by_one(optimiser, compressed):
    steps = 25
    descent, ends = train_deep(MEMBERS, steps, range(steps + 1), optimiser=optimiser, compressed=compressed)
    assert descent.stopped == [None] * len(MEMBERS)
    for j, member in enumerate(MEMBERS):
        losses, parameters, codes = naive(member, steps, optimiser)
        assert losses[-1] < 0.97 * losses[0]  # something was learned, so agreement means something
        torch.testing.assert_close(descent.series["loss"][j], losses, rtol=1e-9, atol=0)
        torch.testing.assert_close(ends[j][0], parameters[0], rtol=0, atol=1e-9)
        torch.testing.assert_close(ends[j][2], parameters[1], rtol=0, atol=1e-9)
        product = torch.eye(d, dtype=torch.float64)
        for layer in parameters[2:]:
            product = member.alpha * layer @ product
        torch.testing.assert_close(ends[j][1], product, rtol=0, atol=1e-9)
        torch.testing.assert_close(descent.series["effective"][j, -1], singular_values(product), rtol=0, atol=1e-9)
        torch.testing.assert_close(descent.series["codes"][j, -1][:n], singular_values(codes), rtol=0, atol=1e-9)


def test_mode_shares_are_the_map_in_the_data_basis():
    descent, ends = train_deep(MEMBERS[:1], 3, [3])
    member = MEMBERS[0]
    encoder, W, decoder = ends[0]
    _, _, Vh = torch.linalg.svd(member.data, full_matrices=False)
    expected = torch.diagonal(Vh @ decoder @ W @ encoder @ Vh.T)
    torch.testing.assert_close(descent.series["modes"][0, 0], expected, rtol=0, atol=1e-9)


def test_compression_keeps_loss_and_shrinks():
    small, frame = compress(MEMBERS[0])
    assert small.encoder.shape == (d, n)
    encoder, decoder = frame.restore(small.encoder, small.decoder)
    torch.testing.assert_close(encoder, MEMBERS[0].encoder, rtol=0, atol=1e-12)
    torch.testing.assert_close(decoder, MEMBERS[0].decoder, rtol=0, atol=1e-12)


def test_adam_refuses_the_compressed_form():
    with pytest.raises(ValueError, match="depends on the basis"):
        train_deep(MEMBERS[:1], 2, [2], optimiser="adam")


def test_a_diverging_member_is_stopped_and_the_others_are_untouched():
    wild = draw(5, 2, lr=50.0, chain_lr=50.0)
    together, _ = train_deep([MEMBERS[0], wild, MEMBERS[3]], 60, recording_steps(60, 8))
    alone, _ = train_deep([MEMBERS[0], MEMBERS[3]], 60, recording_steps(60, 8))
    assert together.stopped[0] is None
    assert together.stopped[2] is None
    assert "diverged by step" in together.stopped[1]
    assert together.series["loss"][1, -1].isnan()
    assert together.series["loss"][1, 0].isfinite()
    torch.testing.assert_close(together.series["loss"][[0, 2]], alone.series["loss"], rtol=1e-12, atol=0)


def test_recording_steps_hold_both_ends():
    assert recording_steps(100, 5, first=3)[0] == 0
    assert recording_steps(100, 5, first=3)[-1] == 100
    assert recording_steps(1, 5) == [0, 1]
    with pytest.raises(ValueError, match="steps must be at least 1"):
        recording_steps(0, 5)
