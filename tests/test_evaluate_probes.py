"""Probes: many at once are what they are alone and what plain PyTorch trains; protocols choose what they say."""

import pytest
import torch
from torch import nn

from implicit_rank.evaluate import CLEAN, JING, SUN, Probe, Protocol, plan_probes, train_probes
from implicit_rank.evaluate.heads import HEADS, Heads
from implicit_rank.evaluate.probe_loop import measured_epochs
from implicit_rank.evaluate.supervised import head_module

CLASSES, D, MEMBERS = 3, 7, 2
SHORT = {"epochs": 6, "batch": 8, "every": 4, "hidden": 11}


def blobs(seed, n, spread, members=MEMBERS):
    """Codes (m, n, D) around one centre per class, and labels (n,); every member sees the blobs from another side."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (n,), generator=g)
    labels[:CLASSES] = torch.arange(CLASSES)
    centres = torch.randn(CLASSES, D, generator=torch.Generator().manual_seed(99), dtype=torch.float64) * 3
    codes = centres[labels] + spread * torch.randn(n, D, generator=g, dtype=torch.float64)
    return torch.stack([codes.roll(m, dims=1) * (1 + m) for m in range(members)]), labels


TRAIN, LABELS = blobs(0, 120, 1.5)
TEST, TEST_LABELS = blobs(1, 90, 1.5)


def train(probes, protocol, dtype=torch.float64, **changes):
    return train_probes(TRAIN, LABELS, TEST, TEST_LABELS, probes, protocol, dtype=dtype, **changes)


@pytest.mark.parametrize("head", HEADS)
def test_a_probe_among_others_is_the_probe_alone(head):
    protocol = Protocol(head=head, **SHORT)
    # sizes that leave a partial batch, one below a batch, several draws; validation of its own for each
    probes = plan_probes(LABELS, MEMBERS, (21, 6), 2, seed=3, validation=9)
    together = train(probes, protocol)
    few = train(probes, protocol, at_once=3)
    for i, probe in enumerate(probes):
        alone = train([probe], protocol)
        for other in (alone, few):
            row = 0 if other is alone else i
            for name in ("final", "best", "chosen", "test", "validation"):
                assert torch.equal(getattr(together, name)[i], getattr(other, name)[row]), name


@pytest.mark.parametrize("head", HEADS)
def test_weights_of_a_probe_do_not_depend_on_its_neighbours(head):
    from implicit_rank.evaluate.probe_loop import _rows, _train_epoch

    def weights(chosen):
        probes = [Probe(i % 2, torch.arange(i, i + 21), seed=i) for i in chosen]
        generators = [torch.Generator().manual_seed(p.seed) for p in probes]
        heads = Heads(head, D, CLASSES, 11, generators, dtype=torch.float64)
        optimiser = torch.optim.Adam([heads.values], lr=1e-2, fused=True)
        rows = _rows(probes, [p.subset for p in probes], TRAIN)
        for _ in range(5):
            _train_epoch(heads, optimiser, TRAIN.flatten(0, 1), LABELS.repeat(2), torch.eye(3).double(), rows, 8)
        return [w for w in (*heads.weights, *heads.biases) if w is not None]

    for together, alone in zip(weights(range(5)), weights([3]), strict=True):
        assert (together[3] - alone[0]).abs().max() < 1e-10
        assert (together[2] - alone[0]).abs().max() > 1e-3  # neighbours do differ


@pytest.mark.parametrize("head", HEADS)
def test_gradients_are_autograds(head):
    heads = Heads(head, D, CLASSES, 11, [torch.Generator().manual_seed(i) for i in (4, 5)], dtype=torch.float64)
    masks = heads.masks(heads.toss(1, 10), 10)
    masks = None if masks is None else masks[0]
    x, y = TRAIN[:, :10], LABELS[:10]
    heads.gradient(x, nn.functional.one_hot(y, CLASSES).double().T.expand(2, -1, -1), masks)
    found = heads.split(heads.values.grad)
    for p in range(2):
        module = head_module(head, D, CLASSES, 11).double().train()
        linears = [layer for layer in module if isinstance(layer, nn.Linear)]
        layer = x[p]
        for i, linear in enumerate(linears):
            linear.weight.data.copy_(heads.weights[i][p])
            if linear.bias is not None:
                linear.bias.data.copy_(heads.biases[i][p, :, 0])
            layer = linear(layer)
            if i < len(linears) - 1:
                layer = layer.relu() if masks is None else layer.relu() * masks[i, p].T
        nn.functional.cross_entropy(layer, y).backward()
        for i, linear in enumerate(linears):
            assert torch.allclose(found[2 * i][p], linear.weight.grad, rtol=0, atol=1e-13)
            assert (linear.bias is None) == (found[2 * i + 1] is None)
            if linear.bias is not None:
                assert torch.allclose(found[2 * i + 1][p, :, 0], linear.bias.grad, rtol=0, atol=1e-13)


def test_a_run_is_plain_pytorchs():
    probe = Probe(1, torch.arange(5, 26), seed=17)
    result = train([probe], Protocol(head="mlp", lr=0.01, **(SHORT | {"every": 1})))
    g = torch.Generator().manual_seed(17)
    heads = Heads("mlp", D, CLASSES, 11, [g], dtype=torch.float64)  # draws the start
    net = nn.Sequential(nn.Linear(D, 11), nn.ReLU(), nn.Linear(11, CLASSES)).double()
    for linear, weight, bias in zip((net[0], net[2]), heads.weights, heads.biases, strict=True):
        linear.weight.data.copy_(weight[0])
        linear.bias.data.copy_(bias[0, :, 0])
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    errors = []
    for _ in range(6):
        for rows in probe.subset[torch.randperm(21, generator=g)].split(8):
            adam.zero_grad()
            nn.functional.cross_entropy(net(TRAIN[1, rows]), LABELS[rows]).backward()
            adam.step()
        errors.append((net(TEST[1]).argmax(1) != TEST_LABELS).double().mean().item())
    assert result.test[0].tolist() == errors
    assert len(set(errors)) > 1
    assert result.final == errors[-1]
    assert result.best == min(errors)


def test_starts_are_linear_layers_own_and_dropout_is_a_fair_coin():
    heads = Heads("official", 64, 10, 128, [torch.Generator().manual_seed(i) for i in range(4)])
    for weight in heads.weights:
        bound = weight.shape[-1] ** -0.5
        assert bound * 0.99 < weight.abs().max() <= bound
        assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.03)
    masks = heads.masks(heads.toss(3, 40), 40)
    assert masks.shape == (3, 2, 4, 128, 40)
    assert masks.unique().tolist() == [0, 2]
    assert masks.mean() == pytest.approx(1, abs=0.02)
    # neither layers, heads nor batches share their coins
    flat = masks.permute(0, 1, 2, 4, 3).reshape(24, -1) - 1
    assert ((flat @ flat.T / flat.shape[1]) - torch.eye(24)).abs().max() < 0.08


@pytest.mark.parametrize("protocol", [SUN, JING, CLEAN], ids=["sun", "jing", "clean"])
def test_separable_codes_are_learnt_by_every_protocol_and_noise_is_not(protocol):
    short = Protocol(**(protocol.to_dict() | {"epochs": 60}))
    (easy, labels), (test, test_labels) = blobs(2, 150, 0.2), blobs(3, 60, 0.2)
    probes = plan_probes(labels, MEMBERS, (30,), 1, validation=0 if short.watch_test else 30)
    found = train_probes(easy, labels, test, test_labels, probes, short)
    assert found.final.max() == 0
    shuffled = labels[torch.randperm(150, generator=torch.Generator().manual_seed(0))]
    lost = train_probes(easy, shuffled, test, test_labels, plan_probes(shuffled, MEMBERS, (30,)), short)
    assert lost.final.min() > 0.3


def test_what_a_protocol_does_not_define_is_nan_and_validation_chooses():
    probes = plan_probes(LABELS, MEMBERS, (21,), 2, validation=15)
    hidden = train(probes, Protocol(**SHORT, lr=0.02, watch_test=False))
    open_ = train(probes, Protocol(**SHORT, lr=0.02))
    assert hidden.best.isnan().all()
    assert hidden.test.isnan().all()
    assert torch.equal(hidden.final, open_.final)
    assert torch.equal(hidden.chosen, open_.chosen)
    assert open_.epochs.tolist() == [4, 6]
    at = open_.validation.argmin(dim=1)
    assert torch.equal(open_.chosen, open_.test[torch.arange(4), at])
    assert torch.equal(open_.final, open_.test[:, -1])
    assert torch.equal(open_.best, open_.test.amin(dim=1))
    none = train(plan_probes(LABELS, MEMBERS, (21,)), Protocol(**SHORT))
    assert none.chosen.isnan().all()
    assert none.validation.isnan().all()


def test_validation_keeps_the_weights_of_the_best_epoch_for_each_probe():
    # a rate so high that late epochs are not the best ones for all
    probes = plan_probes(LABELS, MEMBERS, (12,), 4, seed=1, validation=30)
    found = train(probes, Protocol(head="official", epochs=12, every=1, batch=4, lr=0.2, hidden=8))
    at = found.validation.argmin(dim=1)
    assert len(set(at.tolist())) > 2
    assert torch.equal(found.chosen, found.test[torch.arange(8), at])


def test_one_scale_per_member_when_asked():
    probes = plan_probes(LABELS, MEMBERS, (21,))
    tiny = train_probes(TRAIN * 1e-4, LABELS, TEST * 1e-4, TEST_LABELS, probes, Protocol(**SHORT), dtype=torch.float64)
    plain = train(probes, Protocol(**SHORT))
    assert not torch.equal(tiny.test, plain.test)
    unit = Protocol(**SHORT, unit_scale=True)
    scaled = train_probes(TRAIN * 1e-4, LABELS, TEST * 1e-4, TEST_LABELS, probes, unit, dtype=torch.float64)
    assert torch.equal(scaled.test, train(probes, unit).test)


def test_plans_share_subsets_and_seeds_between_members():
    probes = plan_probes(LABELS, 2, (6, 21), 3, seed=5, validation=12)
    assert [(p.member, len(p.subset)) for p in probes] == [(m, s) for m in (0, 1) for s in (6, 21) for _ in range(3)]
    for a, b in zip(probes[:6], probes[6:], strict=True):
        assert torch.equal(a.subset, b.subset)
        assert torch.equal(a.validation, b.validation)
        assert a.seed == b.seed
        assert not set(a.subset.tolist()) & set(a.validation.tolist())
    assert len({p.seed for p in probes}) == 6
    assert not torch.equal(probes[0].subset, probes[1].subset)
    first = plan_probes(LABELS, 1, (6,), 2, subset="first")
    assert all(p.subset.tolist() == list(range(6)) for p in first)
    assert first[0].seed != first[1].seed


def test_measured_epochs_end_with_the_last():
    assert measured_epochs(Protocol(epochs=500, every=10)).tolist() == list(range(10, 501, 10))
    assert measured_epochs(Protocol(epochs=7, every=3)).tolist() == [3, 6, 7]
    assert measured_epochs(Protocol(epochs=2, every=10)).tolist() == [2]


def broken(**changes):
    arguments = {"codes": TRAIN, "labels": LABELS, "test_codes": TEST, "test_labels": TEST_LABELS}
    arguments["probes"] = plan_probes(LABELS, MEMBERS, (6,))
    return arguments | changes


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"codes": TRAIN.clone().index_fill_(0, torch.tensor([1]), torch.nan)}, "the codes of member 1 are not finite"),
        ({"test_codes": TEST / 0}, "the test codes of member 0 are not finite"),
        ({"codes": TRAIN[0]}, r"codes and test codes must be \(members, images, d\)"),
        ({"codes": TRAIN[..., 1:]}, "the same members and d"),
        ({"labels": LABELS[1:]}, "labels must be one per image, 120 and 90"),
        ({"labels": LABELS.double()}, "labels must be integers from 0"),
        ({"test_labels": TEST_LABELS - 1}, "labels must be integers from 0"),
        ({"probes": []}, "no probe"),
        ({"probes": [Probe(2, torch.arange(4), 0)]}, "member 2, but there are 2"),
        ({"probes": [Probe(0, torch.tensor([120]), 0)]}, "indices from 0 to 119"),
    ],
)
def test_bad_input_is_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        train_probes(**broken(**changes))
    assert str(error.value).count(". ") == 0


def test_bad_protocols_and_plans_are_refused():
    with pytest.raises(ValueError, match="head"):
        Protocol(head="conv")
    with pytest.raises(ValueError, match="lr"):
        Protocol(lr=0)
    with pytest.raises(ValueError, match="subset must be 'balanced' or 'first'"):
        plan_probes(LABELS, 1, (6,), subset="last")
    with pytest.raises(ValueError, match="do not vary"):
        train_probes(**broken(codes=TRAIN * 0), protocol=Protocol(**SHORT, unit_scale=True))
    with pytest.raises(ValueError, match="head must be one of"):
        Heads("conv", 3, 2, 4, [torch.Generator()])
