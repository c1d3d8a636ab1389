"""The training loop: ensembles equal separate runs, members do not touch each other, bits survive a kill."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from implicit_rank.autoencoder import build, objective
from implicit_rank.nets import ARCHITECTURES
from implicit_rank.train import Member, Settings, Training, train
from implicit_rank.train.batches import Batches
from implicit_rank.train.memory import bytes_per_member, largest_ensemble
from implicit_rank.train.randomness import epoch_order
from implicit_rank.train.settings import OPTIMISERS

SHAPES = {"mnist": (1, 32, 32), "cifar10": (3, 32, 32), "celeba": (3, 64, 64), "strided": (2, 16, 16)}
CHAINS = (  # what may differ inside an ensemble
    {"depth": 3},
    {"depth": 0},
    {"depth": 4, "alpha": 3.0, "init": "orthogonal", "scale": 0.5},
    {"depth": 2, "inner": 3},
    {"depth": 3, "sharing": "all", "alpha": 2.0},
    {"depth": 3, "frozen": True},
    {"depth": 4, "sharing": "transpose"},
    {"depth": 3, "activation": "relu"},
)


def pictures(shape, n=40, seed=0):
    """Smooth random images: a few sines of random frequency and phase, uint8."""
    generator = torch.Generator().manual_seed(seed)
    c, h, w = shape
    grid = torch.stack(torch.meshgrid(torch.linspace(0, 3, h), torch.linspace(0, 3, w), indexing="ij"))
    waves = torch.randn(n, c, 2, generator=generator) @ grid.flatten(1) + 6 * torch.rand(n, c, 1, generator=generator)
    return (waves.sin().add(1).mul(127.5)).to(torch.uint8).view(n, *shape)


def small_model(shape, seed=0, architecture="strided", dtype=torch.float64, **chain):
    generator = torch.Generator().manual_seed(seed)
    factor = {"celeba": 1 / 64}.get(architecture, 1 / 16)
    return build(architecture, shape, 6, channel_factor=factor, generator=generator, dtype=dtype, **chain)


def plain_run(model, member, images, settings, steps):
    """The same training in a dozen lines of ordinary PyTorch, as the reference."""
    rules = {
        "sgd": lambda groups: torch.optim.SGD(groups, weight_decay=member.weight_decay),
        "momentum": lambda groups: torch.optim.SGD(groups, momentum=0.9, weight_decay=member.weight_decay),
        "adam": lambda groups: torch.optim.Adam(groups, weight_decay=member.weight_decay),
        "adamw": lambda groups: torch.optim.AdamW(groups, weight_decay=member.weight_decay),
        "rmsprop": lambda groups: torch.optim.RMSprop(groups, weight_decay=member.weight_decay),
    }
    model = copy.deepcopy(model)
    inside = [p for name, p in model.named_parameters() if name.startswith("chain.") and p.requires_grad]
    outside = [p for name, p in model.named_parameters() if not name.startswith("chain.")]
    groups = [{"params": outside, "lr": member.lr}]
    if inside:
        groups.append({"params": inside, "lr": member.lr / (model.chain.depth if member.divide_lr else 1)})
    rule, step, epoch = rules[settings.optimiser](groups), 0, 0
    while step < steps:
        for part in epoch_order(member.order_seed, epoch, len(images)).split(settings.batch):
            x = images[part].double() / 255
            z = model.encode(x)[1]
            loss = F.mse_loss(model.decode(z), x) + member.l1 * z.abs().sum(1).mean() + member.l2 * (z**2).sum(1).mean()
            rule.zero_grad()
            loss.backward()
            rule.step()
            step += 1
            if step == steps:
                break
        epoch += 1
    return model


def gap(one, other):
    """The largest difference of any two weights."""
    return max((a - b).abs().max().item() for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("strategy", ["loop", "vmap"])
def test_an_ensemble_equals_separate_runs(optimiser, strategy):
    images = pictures((2, 16, 16))
    models = [small_model((2, 16, 16), seed, **chain) for seed, chain in enumerate(CHAINS)]
    members = [
        Member(lr=1e-3 * (i + 1), divide_lr=i % 2 == 0, order_seed=i % 3, l1=1e-3 * i, l2=1e-4, weight_decay=0.01)
        for i in range(len(models))
    ]
    settings = Settings(batch=16, steps=20, precision="float64", optimiser=optimiser, strategy=strategy)
    expected = [plain_run(m, member, images, settings, 20) for m, member in zip(models, members, strict=True)]
    start = copy.deepcopy(models[0])
    train(models, members, images, settings)
    assert max(gap(m, e) for m, e in zip(models, expected, strict=True)) < 1e-12
    assert gap(models[0], start) > 1e-3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("strategy", ["loop", "vmap"])
def test_every_architecture_equals_its_separate_runs(architecture, strategy):
    shape = SHAPES.get(architecture, (3, 32, 32))
    images = pictures(shape, 24)
    models = [small_model(shape, seed, architecture, depth=depth) for seed, depth in enumerate((0, 2))]
    members = [Member(lr=1e-3, order_seed=1), Member(lr=3e-3, order_seed=2)]
    settings = Settings(batch=8, steps=20, precision="float64", strategy=strategy, evaluate=4)
    expected = [plain_run(m, member, images, settings, 20) for m, member in zip(models, members, strict=True)]
    train(models, members, images, settings)
    assert max(gap(m, e) for m, e in zip(models, expected, strict=True)) < 1e-6


@pytest.mark.parametrize("loss", ["vae-official", "elbo"])
def test_variational_ensembles_equal_separate_runs(loss):
    images, shape = pictures((1, 16, 16)), (1, 16, 16)
    draw = [small_model(shape, seed, kind="vae") for seed in (0, 1)]
    members = [Member(lr=1e-3, order_seed=3), Member(lr=2e-3, order_seed=4, beta=2.0)]
    ends = {}
    for strategy in ("loop", "vmap"):
        settings = Settings(batch=16, steps=12, precision="float64", loss=loss, strategy=strategy)
        ends[strategy] = copy.deepcopy(draw)
        history = train(ends[strategy], members, images, settings)
        alone = copy.deepcopy(draw[1])
        train([alone], members[1:], images, settings)
        assert gap(alone, ends[strategy][1]) < 1e-12
    assert gap(ends["loop"][0], ends["vmap"][0]) < 1e-12
    assert history.status == ["finished", "finished"]
    free = copy.deepcopy(draw[1])
    train([free], [Member(lr=2e-3, order_seed=4)], images, Settings(batch=16, steps=12, precision="float64", loss=loss))
    assert gap(free, ends["loop"][1]) > 1e-6  # beta acts


class Memory:
    """A checkpoint file that only remembers, and may kill the run after a number of saves."""

    def __init__(self, kill_after=None):
        self.arrays, self.saves, self.kill_after = None, 0, kill_after

    def load(self):
        return None if self.arrays is None else {k: v.copy() for k, v in self.arrays.items()}

    def save(self, arrays):
        self.arrays = {k: np.array(v) for k, v in arrays.items()}
        self.saves += 1
        if self.saves == self.kill_after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize(("kind", "precision"), [("ae", "float32"), ("vae", "float64"), ("ae", "bfloat16")])
def test_a_resumed_run_has_the_same_bits(optimiser, kind, precision):
    images, shape = pictures((1, 16, 16)), (1, 16, 16)
    chain = {} if kind == "vae" else {"depth": 2}
    draw = [small_model(shape, seed, dtype=torch.float32, kind=kind, **chain) for seed in (0, 1)]
    members = [Member(lr=1e-3, order_seed=5), Member(lr=2e-3, order_seed=6)]
    loss = "vae-official" if kind == "vae" else "mse"
    settings = Settings(
        batch=16, epochs=4, optimiser=optimiser, loss=loss, precision=precision, checkpoint_seconds=1e-9, log_steps=(5,)
    )
    whole = copy.deepcopy(draw)
    straight = train(whole, members, images, settings)
    file = Memory(kill_after=7)
    with pytest.raises(KeyboardInterrupt):
        train(copy.deepcopy(draw), members, images, settings, checkpoints=file)
    resumed = copy.deepcopy(draw)
    file.kill_after = None
    again = train(resumed, members, images, settings, checkpoints=file)
    assert all(gap(a, b) == 0 for a, b in zip(whole, resumed, strict=True))
    assert again.steps == straight.steps == [0, 3, 5, 6, 9, 12]
    for name, value in straight.values.items():
        np.testing.assert_array_equal(value, again.values[name])
    before = file.saves
    train(copy.deepcopy(draw), members, images, settings, checkpoints=file)  # a finished run takes no further step
    assert file.saves == before + 1


def test_same_seed_same_bits_other_seed_others():
    images = pictures((1, 16, 16))
    ends = []
    for seed in (0, 0, 1):
        model = small_model((1, 16, 16), dtype=torch.float32, depth=2)
        train([model], [Member(order_seed=seed)], images, Settings(batch=16, epochs=2))
        ends.append(model)
    assert gap(ends[0], ends[1]) == 0
    assert gap(ends[0], ends[2]) > 0


@pytest.mark.parametrize("strategy", ["loop", "vmap"])
def test_a_diverging_member_stops_alone(strategy):
    images = pictures((1, 16, 16))
    draw = [small_model((1, 16, 16), seed, depth=2) for seed in range(3)]
    members = [Member(lr=1e-3), Member(lr=300.0), Member(lr=2e-3)]
    settings = Settings(batch=16, epochs=6, precision="float64", strategy=strategy)
    models = copy.deepcopy(draw)
    history = train(models, members, images, settings)
    assert history.status[1].startswith("diverged")
    assert history.diverged(1)
    assert [history.status[0], history.status[2]] == ["finished", "finished"]
    assert 0 < history.stopped_at[1] < history.stopped_at[0] == 18
    for i in (0, 2):
        alone = copy.deepcopy(draw[i])
        train([alone], [members[i]], images, settings)
        assert gap(alone, models[i]) < 1e-12
    assert np.isnan(history.values["error"][1, -1])
    assert np.isfinite(history.values["error"][0]).all()


def test_divergence_is_seen_behind_a_saturating_output():
    # a rate this large leaves every number finite: only the error tells
    model = small_model((1, 16, 16), depth=2)
    settings = Settings(batch=16, epochs=3, precision="float64")
    history = train([model], [Member(lr=300.0)], pictures((1, 16, 16)), settings)
    assert all(p.isfinite().all() for p in model.parameters())
    assert "at the start it was" in history.status[0] or "singular value" in history.status[0]


def test_nan_weights_are_divergence_at_once():
    model = small_model((1, 16, 16), depth=2)
    with torch.no_grad():
        model.chain.weights[0].fill_(math.nan)
    history = train([model], [Member()], pictures((1, 16, 16)), Settings(batch=16, epochs=3, precision="float64"))
    assert history.status == ["diverged: a number is not finite"]
    assert history.stopped_at.tolist() == [0]


def test_what_is_logged_is_what_the_models_give():
    images = pictures((1, 16, 16))
    model = small_model((1, 16, 16), depth=2)
    history = train([model], [Member(lr=1e-3)], images, Settings(batch=16, epochs=2, precision="float64", evaluate=30))
    x = images[:30].double() / 255
    with torch.no_grad():
        output = model(x)
        W_e = model.chain.weights[1] @ model.chain.weights[0]
    last = {name: value[0, -1] for name, value in history.values.items()}
    assert last["error"] == pytest.approx((output.reconstruction - x).square().mean().item(), rel=1e-12)
    np.testing.assert_allclose(last["singular_effective"], np.linalg.svd(W_e.numpy())[1], atol=1e-12)
    codes = output.codes.numpy()
    np.testing.assert_allclose(last["singular_codes"], np.linalg.svd(codes)[1], atol=1e-10)
    covariance = np.linalg.eigvalsh(np.cov(codes.T))[::-1]
    np.testing.assert_allclose(last["spectrum_codes"], covariance, atol=1e-10)
    assert last["rank_covariance"] == (covariance > 0.01 * covariance[0]).sum()
    assert last["rank_codes"] == (last["singular_codes"] > 0.01 * last["singular_codes"][0]).sum()
    assert history.values["spectrum_codes"].shape == (1, 3, 6)
    assert history.epochs == [0, 1, 2]


def test_the_logged_loss_is_the_mean_over_the_epoch():
    images = pictures((1, 16, 16))
    model = small_model((1, 16, 16))
    start = copy.deepcopy(model)
    history = train([model], [Member(lr=1e-9, order_seed=2)], images, Settings(batch=16, epochs=1, precision="float64"))
    parts = epoch_order(2, 0, 40).split(16)
    with torch.no_grad():
        losses = [objective(start(x), x).item() for x in (images[p].double() / 255 for p in parts)]
    assert history.values["loss"][0, 1] == pytest.approx(np.mean(losses), rel=1e-5)


def test_batches_cover_every_image_once_an_epoch():
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1)
    batches = Batches(images, [7, 7, 8], 4, torch.float64, shuffle=True)
    assert batches.steps_per_epoch == 3
    seen = [[batches.at(step, [0, 1, 2])[i][0].flatten() for step in range(6)] for i in range(3)]
    for member in seen:
        assert sorted((torch.cat(member[:3]) * 255).round().tolist()) == list(range(10))
    assert torch.equal(torch.cat(seen[0]), torch.cat(seen[1]))
    assert not torch.equal(torch.cat(seen[0]), torch.cat(seen[2]))
    assert not torch.equal(torch.cat(seen[0][:3]), torch.cat(seen[0][3:]))
    ordered = Batches(images, [7], 4, torch.float64, shuffle=False)
    assert (ordered.at(0, [0])[0][0].flatten() * 255).round().tolist() == [0, 1, 2, 3]


def test_an_epoch_may_end_with_a_smaller_batch_of_noise_too():
    images = pictures((1, 16, 16), 10)
    batches = Batches(images, [0], 4, torch.float32, True, noise_width=3)
    assert [tuple(batches.at(s, [0])[0][1].shape) for s in range(3)] == [(4, 3), (4, 3), (2, 3)]
    noise = torch.cat([batches.at(s, [0])[0][1] for s in range(300)])
    assert noise.mean().abs() < 0.1
    assert abs(noise.std() - 1) < 0.1


def test_an_ensemble_too_large_for_memory_names_the_largest():
    models = [small_model((1, 16, 16), seed, depth=2) for seed in range(3)]
    settings = Settings(batch=16, epochs=1, precision="float64")
    images = pictures((1, 16, 16))
    weights, activations = bytes_per_member(models[0], (1, 16, 16), settings)
    assert weights == sum(p.numel() for p in models[0].parameters()) * 8 * 4  # weights, gradients, two averages
    sentence = r"an ensemble of 3 members does not fit into \d+ MiB: at most 2 of them do"
    with pytest.raises(ValueError, match=sentence):
        Training(models, [Member()] * 3, images, settings, memory=int(2.9 * weights) + activations)
    assert largest_ensemble(models[0], (1, 16, 16), settings, 10**9, True) > 100


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"images": torch.zeros(4, 1, 16, 16)}, "images must be uint8"),
        ({"images": torch.zeros(4, 16, 16, dtype=torch.uint8)}, "images must be uint8"),
        ({"images": torch.zeros(1, 1, 16, 16, dtype=torch.uint8)}, "images must be at least two"),
        ({"members": []}, "one member for each model"),
        ({"models": [small_model((1, 16, 16)), small_model((2, 16, 16))], "members": [Member()] * 2}, "must share"),
    ],
)
def test_bad_input_is_one_sentence(change, sentence):
    good = {"models": [small_model((1, 16, 16))], "members": [Member()], "images": pictures((1, 16, 16))}
    with pytest.raises(ValueError, match=sentence):
        train(**(good | change), settings=Settings(epochs=1))


@pytest.mark.parametrize(
    ("field", "value"), [("optimiser", "lion"), ("batch", 0), ("precision", "int8"), ("loss", "x")]
)
def test_settings_refuse_what_they_do_not_know(field, value):
    with pytest.raises(ValueError, match=field):
        Settings(**{field: value})


def test_progress_tells_epoch_and_speed():
    told = []
    train(
        [small_model((1, 16, 16))],
        [Member()],
        pictures((1, 16, 16)),
        Settings(batch=2, epochs=2, precision="float64"),
        progress=lambda share, text: told.append((share, text)),
    )
    assert told
    assert all(0 < share <= 1 and "images/s" in text and "epoch" in text for share, text in told)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("graph", [False, True])
def test_cuda_equals_cpu(graph):
    images = pictures((1, 16, 16))
    draw = [small_model((1, 16, 16), seed, depth=depth) for seed, depth in enumerate((0, 2, 4))]
    members = [Member(lr=1e-3 * (i + 1), order_seed=i) for i in range(3)]
    settings = Settings(batch=16, steps=20, precision="float64", graph=graph)
    here, there = copy.deepcopy(draw), copy.deepcopy(draw)
    train(here, members, images, settings)
    train(there, members, images, settings, device="cuda")
    assert max(gap(a, b.cpu()) for a, b in zip(here, there, strict=True)) < 1e-6
