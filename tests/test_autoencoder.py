"""Nonlinear autoencoders: what goes through them, the collapse, their losses, and many members at once."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from implicit_rank.autoencoder import Autoencoder, Output, build, divergence, effective_beta, objective
from implicit_rank.autoencoder.losses import cross_entropy
from implicit_rank.chain import LinearChain
from implicit_rank.nets import ARCHITECTURES

F64 = torch.float64
SHAPES = {
    "mnist": (1, 32, 32),
    "cifar10": (3, 32, 32),
    "celeba": (3, 64, 64),
    "shapes-paper": (3, 16, 16),
    "shapes-official": (3, 16, 16),
    "strided": (2, 12, 12),
}
CHAINS = {
    "plain": {"depth": 3, "init": "he"},
    "alpha": {"depth": 2, "init": "orthogonal", "scale": 0.5, "alpha": 3.0},
    "shared": {"depth": 4, "sharing": "all"},
    "transpose": {"depth": 3, "sharing": "transpose"},
    "pairs": {"depth": 3, "sharing": "pairs"},
    "frozen": {"depth": 2, "frozen": True},
    "explicit": {"depth": 2, "inner": 3},
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def model(architecture="strided", seed=0, width=5, **options):
    options = {"dtype": F64, "channel_factor": 1 / 16, "generator": seeded(seed), **options}
    return build(architecture, SHAPES[architecture], width, **options)


def pictures(architecture="strided", n=4, seed=0, dtype=F64):
    return torch.rand(n, *SHAPES[architecture], generator=seeded(seed), dtype=dtype)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=F64)


# ---- what goes through ----
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_irmae_is_decoder_after_chain_after_encoder(architecture):
    irmae, x = model(architecture, depth=2), pictures(architecture)
    output = irmae(x)
    z = irmae.encoder(x)
    W1, W2 = irmae.chain.layers()
    assert torch.equal(output.features, z)
    torch.testing.assert_close(output.codes, z @ W1.T @ W2.T, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(output.codes, z @ irmae.effective_matrix().T, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(output.reconstruction, irmae.decoder(output.codes), rtol=0, atol=0)
    assert output.reconstruction.shape == x.shape
    assert output.log_variance is None
    features, codes = irmae.encode(x)
    assert torch.equal(features, output.features)
    assert torch.equal(codes, output.codes)
    assert torch.equal(irmae.decode(codes), output.reconstruction)


def test_without_a_chain_features_are_codes():
    plain, x = model(), pictures()
    assert plain.chain is None
    output = plain(x)
    assert torch.equal(output.features, output.codes)
    assert isinstance(plain.decoder[-1], nn.Tanh)


def test_a_vae_draws_its_codes_from_the_noise():
    vae, x, noise = model(kind="vae"), pictures(), normal(4, 5)
    mean, log_variance = vae.encoder(x)[:, :5], vae.encoder(x)[:, 5:]
    drawn, still = vae(x, noise), vae(x)
    torch.testing.assert_close(drawn.codes, mean + log_variance.exp().sqrt() * noise, rtol=1e-12, atol=0)
    assert torch.equal(drawn.log_variance, log_variance)
    assert torch.equal(drawn.features, mean)
    assert torch.equal(still.codes, mean)
    assert all(torch.equal(codes, mean) for codes in vae.encode(x))
    assert torch.equal(drawn.reconstruction, vae.decode(drawn.codes))
    assert not torch.allclose(drawn.reconstruction, still.reconstruction)
    assert 0 < drawn.reconstruction.min() < drawn.reconstruction.max() < 1


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_dtypes_and_channels_last(kind, dtype):
    plain, x = model("mnist", kind=kind, depth=0 if kind == "vae" else 2, dtype=dtype), pictures("mnist", dtype=dtype)
    output = plain(x)
    assert {t.dtype for t in output if t is not None} == {dtype}
    turned = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    again = turned(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(again.reconstruction, output.reconstruction)
    torch.testing.assert_close(again.codes, output.codes)


def test_the_start_comes_from_the_generator_alone_and_the_chain_last():
    before = torch.random.get_rng_state()
    plain, deep, wide = model(), model(depth=3), model(depth=2, inner=2, start="default")
    model(kind="vae")
    deep.collapsed()
    deep.collapsed(into_encoder=True)
    assert torch.equal(torch.random.get_rng_state(), before)
    for other in (deep, wide):
        for part in ("encoder", "decoder"):
            pairs = zip(getattr(plain, part).parameters(), getattr(other, part).parameters(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)
    generator = seeded()
    twice = [model(depth=2, generator=generator).effective_matrix() for _ in range(2)]
    assert not torch.allclose(*twice)


@pytest.mark.parametrize(("name", "function"), [("relu", torch.relu), ("tanh", torch.tanh)])
def test_a_nonlinear_chain(name, function):
    deep, x = model(depth=3, activation=name), pictures()
    W1, W2, W3 = deep.chain.weights
    expected = function(function(deep.encoder(x) @ W1.T) @ W2.T) @ W3.T
    torch.testing.assert_close(deep(x).codes, expected, rtol=1e-12, atol=1e-15)


# ---- the collapse ----
@pytest.mark.parametrize("into_encoder", [False, True])
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("architecture", ["strided", "mnist", "shapes-official"])
def test_the_collapse_changes_no_output(architecture, chain, into_encoder):
    deep, x = model(architecture, **CHAINS[chain]), pictures(architecture)
    kept = {name: value.clone() for name, value in deep.state_dict().items()}
    one, before = deep.collapsed(into_encoder), deep(x)
    after = one(x)
    torch.testing.assert_close(after.codes, before.codes, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(after.reconstruction, before.reconstruction, rtol=1e-10, atol=1e-14)
    if into_encoder:
        assert one.chain is None
        assert torch.equal(after.features, after.codes)
    else:
        assert len(list(one.chain.parameters())) == one.chain.depth == 1
        assert one.chain.frozen == deep.chain.frozen
        assert torch.equal(after.features, before.features)
        assert torch.equal(one.effective_matrix(), deep.effective_matrix())
    with torch.no_grad():  # a copy: the first model neither was changed nor will be
        for parameter in one.parameters():
            parameter.zero_()
    assert all(torch.equal(value, kept[name]) for name, value in deep.state_dict().items())


def test_a_codes_relu_is_in_the_way_of_the_encoder_but_not_of_the_one_map():
    deep, x = model("shapes-paper", depth=2), pictures("shapes-paper")
    torch.testing.assert_close(deep.collapsed()(x).codes, deep(x).codes, rtol=1e-10, atol=1e-14)
    with pytest.raises(ValueError, match="the encoder ends in ReLU, so the chain cannot"):
        deep.collapsed(into_encoder=True)


@pytest.mark.parametrize("kind", ["ae", "vae"])
@pytest.mark.parametrize("into_encoder", [False, True])
def test_without_a_chain_the_collapse_is_a_copy(kind, into_encoder):
    plain = model(kind=kind)  # a VAE's mean rows and log-variance rows both stay
    one = plain.collapsed(into_encoder)
    assert one is not plain
    assert list(one.state_dict()) == list(plain.state_dict())
    for a, b in zip(one.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.data_ptr() != b.data_ptr()


@pytest.mark.parametrize("into_encoder", [False, True])
def test_a_nonlinear_chain_has_no_collapse(into_encoder):
    with pytest.raises(ValueError, match="an activation between its maps has no effective"):
        model(depth=2, activation="tanh").collapsed(into_encoder)


# ---- losses ----
def hand_made(seed=0, n=3, width=4, shape=(2, 5, 3)):
    """An output and images made of plain random numbers: nothing here depends on a net."""
    reconstruction, images = (torch.rand(n, *shape, generator=seeded(seed + i), dtype=F64) for i in (0, 1))
    mean, log_variance, codes = normal(3, n, width, seed=seed)
    return Output(reconstruction, mean, codes, log_variance), images


def by_hand(output, images):
    """Cross-entropy and divergence of every image, from sums over Python numbers."""
    entropies, divergences = [], []
    for p, x in zip(output.reconstruction.flatten(1).tolist(), images.flatten(1).tolist(), strict=True):
        entropies.append(-sum(b * math.log(a) + (1 - b) * math.log(1 - a) for a, b in zip(p, x, strict=True)))
    for m, v in zip(output.features.tolist(), output.log_variance.tolist(), strict=True):
        divergences.append(sum((a * a + math.exp(b) - 1 - b) / 2 for a, b in zip(m, v, strict=True)))
    return entropies, divergences


@pytest.mark.parametrize("seed", [0, 5])
def test_the_losses_are_their_formulas(seed):
    output, images = hand_made(seed)
    entropies, divergences = by_hand(output, images)
    n, pixels, width = 3, 30, 4
    squares = [(a - b) ** 2 for a, b in zip(output.reconstruction.flatten(), images.flatten(), strict=True)]
    assert objective(output, images).item() == pytest.approx(sum(squares).item() / (n * pixels), rel=1e-12)
    official = sum(entropies) / (n * pixels) + 0.1 * 2 * sum(divergences) / (n * width)
    assert objective(output, images, loss="vae-official").item() == pytest.approx(official, rel=1e-12)
    standard = sum(e + d for e, d in zip(entropies, divergences, strict=True)) / n / pixels
    assert objective(output, images, loss="elbo").item() == pytest.approx(standard, rel=1e-12)
    heavier = sum(e + 4 * d for e, d in zip(entropies, divergences, strict=True)) / n / pixels
    assert objective(output, images, loss="elbo", beta=4).item() == pytest.approx(heavier, rel=1e-12)
    reference = torch.distributions.kl_divergence(
        torch.distributions.Normal(output.features, (output.log_variance / 2).exp()), torch.distributions.Normal(0, 1)
    )
    torch.testing.assert_close(divergence(output.features, output.log_variance), reference.sum(1), rtol=1e-12, atol=0)


@pytest.mark.parametrize("loss", ["mse", "elbo"])
def test_code_penalties_are_sums_over_a_code_and_means_over_the_batch(loss):
    output, images = hand_made()
    codes = output.codes.tolist()
    plain = objective(output, images, loss=loss).item()
    first = sum(abs(z) for code in codes for z in code) / 3
    second = sum(z * z for code in codes for z in code) / 3
    assert objective(output, images, loss=loss, l1=0.3).item() == pytest.approx(plain + 0.3 * first, rel=1e-12)
    assert objective(output, images, loss=loss, l2=0.7).item() == pytest.approx(plain + 0.7 * second, rel=1e-12)
    both = objective(output, images, loss=loss, l1=torch.tensor(0.3, dtype=F64), l2=torch.tensor(0.7, dtype=F64))
    assert both.item() == pytest.approx(plain + 0.3 * first + 0.7 * second, rel=1e-12)


def test_penalties_act_behind_the_chain():
    deep = model(depth=2)
    output = deep(pictures())
    gap = objective(output, pictures(), l2=1.0) - objective(output, pictures())
    torch.testing.assert_close(gap, output.codes.square().sum(1).mean(), rtol=1e-10, atol=0)
    assert abs(gap - output.features.square().sum(1).mean()) > 1e-3
    (gradient,) = torch.autograd.grad(gap, deep.chain.weights[0])
    assert gradient.abs().max() > 0


@pytest.mark.parametrize(
    ("shape", "width", "beta"), [((1, 32, 32), 128, 1.6), ((3, 64, 64), 512, 4.8), ((3, 32, 32), 32, 19.2)]
)
def test_the_released_codes_beta_in_standard_units(shape, width, beta):
    assert effective_beta(shape, width) == pytest.approx(beta, rel=1e-12)


@pytest.mark.parametrize("beta", [0.1, 0.37])
def test_the_official_loss_is_the_elbo_of_the_effective_beta_gradients_included(beta):
    vae, x, noise = model(kind="vae"), pictures(), normal(4, 5)
    parameters = list(vae.parameters())
    official = objective(vae(x, noise), x, loss="vae-official", beta=beta)
    standard = objective(vae(x, noise), x, loss="elbo", beta=effective_beta(SHAPES["strided"], 5, beta))
    assert official.item() == pytest.approx(standard.item(), rel=1e-12)
    gradients = (torch.autograd.grad(loss, parameters, retain_graph=True) for loss in (official, standard))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-15)


def test_cross_entropy_is_pytorchs_at_the_ends_and_stays_nan():
    p = torch.tensor([0.0, 1.0, 0.0, 1.0, 1e-30, 0.3], dtype=F64)
    x = torch.tensor([0.0, 1.0, 1.0, 0.25, 0.5, 0.7], dtype=F64)
    assert torch.equal(cross_entropy(p, x), nn.functional.binary_cross_entropy(p, x))
    assert cross_entropy(p[2:3], x[2:3]) == 100
    assert cross_entropy(torch.tensor([0.5, float("nan")]), torch.tensor([0.5, 0.5])).isnan()


@pytest.mark.parametrize("loss", ["vae-official", "elbo"])
def test_autocast_leaves_the_cross_entropy_alone(loss):
    vae, x = model(kind="vae", dtype=torch.float32), pictures(dtype=torch.float32)
    exact = objective(vae(x), x, loss=loss)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = objective(vae(x), x, loss=loss)
    rough.backward()
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.02)
    assert all(p.grad.isfinite().all() for p in vae.parameters())


# ---- many members at once ----
def vmapped_gap(models, images, noise, **loss):
    """The largest differences between stacked and separate losses, and between their gradients."""
    base, (parameters, buffers) = copy.deepcopy(models[0]), stack_module_state(models)
    assert not buffers
    coefficients = {name: torch.tensor([v, 2 * v, 3 * v], dtype=F64) for name, v in loss.items() if name != "loss"}

    def member(parameters, images, noise, coefficients):
        output = functional_call(base, parameters, (images, noise))
        return objective(output, images, loss=loss["loss"], **coefficients)

    noise_axis = None if noise is None else 0
    together = vmap(grad_and_value(member), in_dims=(0, 0, noise_axis, 0))
    gradients, losses = together(parameters, images, noise, coefficients)
    gaps, size = [], 0.0
    for i, one in enumerate(models):
        output = one(images[i], None if noise is None else noise[i])
        value = objective(output, images[i], loss=loss["loss"], **{k: v[i] for k, v in coefficients.items()})
        trained = {name: p for name, p in one.named_parameters() if p.requires_grad}
        expected = torch.autograd.grad(value, list(trained.values()))
        gaps.append((losses[i] - value).abs().item())
        gaps += [(gradients[name][i] - g).abs().max().item() for name, g in zip(trained, expected, strict=True)]
        size = max(size, *(g.abs().max().item() for g in expected))
    assert size > 1e-3  # of gradients that are not zero
    assert len({round(value, 9) for value in losses.tolist()}) == 3
    return max(gaps)


@pytest.mark.parametrize("start", ["default", "he"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_members_together_are_members_alone(architecture, start):
    models = [model(architecture, seed=seed, depth=2, start=start) for seed in range(3)]
    images = torch.stack([pictures(architecture, n=2, seed=seed) for seed in range(3)])
    assert vmapped_gap(models, images, None, loss="mse", l1=0.01, l2=0.02) < 1e-12


@pytest.mark.parametrize("chain", [*CHAINS, "nonlinear"])
def test_every_chain_runs_with_many_members(chain):
    options = CHAINS.get(chain, {"depth": 3, "activation": "relu"})
    models = [model(seed=seed, **options) for seed in range(3)]
    images = torch.stack([pictures(seed=seed) for seed in range(3)])
    assert vmapped_gap(models, images, None, loss="mse", l2=0.01) < 1e-12


@pytest.mark.parametrize("loss", ["vae-official", "elbo"])
@pytest.mark.parametrize("architecture", ["mnist", "shapes-official", "strided"])
def test_vaes_run_with_many_members(architecture, loss):
    models = [model(architecture, seed=seed, kind="vae") for seed in range(3)]
    images = torch.stack([pictures(architecture, seed=seed) for seed in range(3)])
    assert vmapped_gap(models, images, normal(3, 4, 5), loss=loss, beta=0.5, l1=0.01) < 1e-12


# ---- refusals ----
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kind": "gan"}, "kind must be one of ae, vae, not 'gan'."),
        ({"depth": -1}, "depth must be an integer of at least 0, not -1."),
        ({"depth": True}, "depth must be an integer of at least 0, not True."),
        ({"kind": "vae", "depth": 2}, "a VAE has no chain: its depth must be 0."),
        ({"activation": "gelu", "depth": 2}, "activation must be None, 'relu' or 'tanh', not 'gelu'."),
        ({"inner": 2}, "an inner width needs a depth of at least 2 and maps that are not shared."),
        (
            {"architecture": "shapes-paper", "image_shape": (3, 16, 16), "kind": "vae"},
            "a VAE needs means of both signs, and the shapes-paper encoder ends in a ReLU.",
        ),
        ({"image_shape": (1, 28, 28)}, "the mnist net takes 32 x 32 images, not 28 x 28 images of 1 channel."),
        ({"depth": 2, "alpha": 0}, "alpha must be a positive finite number, not 0."),
    ],
)
def test_bad_options_are_refused_in_one_sentence(options, sentence):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole sentence is compared
        build(**{"architecture": "mnist", "image_shape": (1, 32, 32), "code_width": 4, **options})
    assert str(refused.value) == sentence


def test_bad_use_is_refused_in_one_sentence():
    plain, x = model(), pictures()
    output = plain(x)
    cases = [
        (lambda: plain(x, normal(4, 5)), "noise is for a VAE: a plain autoencoder's codes are not random."),
        (plain.effective_matrix, "an autoencoder without a chain has no effective matrix."),
        (lambda: objective(output, x, loss="l1"), "loss must be one of mse, vae-official, elbo, not 'l1'."),
        (
            lambda: objective(output, x, loss="elbo"),
            "the loss 'elbo' needs a VAE, and this autoencoder gives no log-variance.",
        ),
        (
            lambda: objective(output, x[:3]),
            "reconstruction and images must have the same shape, not (4, 2, 12, 12) and (3, 2, 12, 12).",
        ),
        (
            lambda: Autoencoder(plain.encoder, LinearChain(5, 2), plain.decoder, "vae"),
            "a VAE has no chain: its depth must be 0.",
        ),
        (lambda: Autoencoder(plain.encoder, None, plain.decoder, "mae"), "kind must be one of ae, vae, not 'mae'."),
    ]
    for act, sentence in cases:
        with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole sentence is compared
            act()
        assert str(refused.value) == sentence
