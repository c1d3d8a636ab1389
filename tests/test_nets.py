"""Encoders and decoders: the papers' layers to the letter, starts from the given generator alone, refusals."""

import pytest
import torch
from torch import nn

from implicit_rank.nets import ARCHITECTURES, build_networks

F64 = torch.float64
SHAPES = {
    "mnist": (1, 32, 32),
    "cifar10": (3, 32, 32),
    "celeba": (3, 64, 64),
    "shapes-paper": (3, 32, 32),
    "shapes-official": (3, 32, 32),
    "strided": (1, 28, 28),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def small(architecture, shape=None, code_width=6, seed=0, **options):
    options = {"channel_factor": 1 / 16, "generator": seeded(seed), **options}
    return build_networks(architecture, shape or SHAPES[architecture], code_width, **options)


def described(network):
    """One word a layer: c4/2/1:3>32 is a convolution, t a transposed one, l a linear layer, r a ReLU."""
    words = []
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            kind = "c" if isinstance(layer, nn.Conv2d) else "t"
            (k, _), (s, _), (p, _) = layer.kernel_size, layer.stride, layer.padding
            words.append(f"{kind}{k}/{s}/{p}:{layer.in_channels}>{layer.out_channels}")
        elif isinstance(layer, nn.Linear):
            words.append(f"l{layer.in_features}>{layer.out_features}")
        elif isinstance(layer, nn.Unflatten):
            words.append("u" + "x".join(str(n) for n in layer.unflattened_size))
        else:
            words.append({"ReLU": "r", "Flatten": "f"}.get(type(layer).__name__, type(layer).__name__.lower()))
    return " ".join(words)


DOWN = "c4/2/1:{c}>32 r c4/2/1:32>64 r c4/2/1:64>128 r c4/2/1:128>256 r"
MNIST_UP = "u128x8x8 r t4/2/1:128>64 r t4/2/1:64>32 r t1/1/0:32>{c} tanh"
SHAPES_UP = "r t4/2/1:256>128 r t4/2/1:128>64 r t4/2/1:64>32 r t4/2/1:32>3 tanh"


@pytest.mark.parametrize(
    ("architecture", "code_width", "encoder", "decoder"),
    [
        ("mnist", 128, DOWN.format(c=1) + " f l1024>128", "l128>8192 " + MNIST_UP.format(c=1)),
        ("cifar10", 64, DOWN.format(c=3) + " f l1024>64", "l64>8192 " + MNIST_UP.format(c=3)),
        (
            "celeba",
            8,
            "c4/2/1:3>128 r c4/2/1:128>256 r c4/2/1:256>512 r c4/2/1:512>1024 r f l16384>8",
            "l8>65536 u1024x8x8 t4/2/1:1024>512 r t4/2/1:512>256 r t4/2/1:256>128 r t1/1/0:128>3 tanh",
        ),
        ("shapes-paper", 32, DOWN.format(c=3) + " c4/2/1:256>32 r f", "u32x1x1 t4/2/1:32>256 " + SHAPES_UP),
        ("shapes-official", 32, DOWN.format(c=3) + " c2/1/0:256>32 f", "u32x1x1 t2/1/0:32>256 " + SHAPES_UP),
        (
            "strided",
            16,
            "c4/2/1:1>32 r c4/2/1:32>64 r f l3136>16",
            "l16>3136 u64x7x7 r t4/2/1:64>32 r t4/2/1:32>1 tanh",
        ),
    ],
)
def test_the_layers_are_those_of_the_papers(architecture, code_width, encoder, decoder):
    networks = build_networks(architecture, SHAPES[architecture], code_width, generator=seeded())
    assert [described(network) for network in networks] == [encoder, decoder]


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_images_to_codes_to_images(architecture, dtype):
    encoder, decoder = small(architecture, encoder_outputs=12, output="sigmoid", dtype=dtype)
    images = torch.rand(3, *SHAPES[architecture], dtype=dtype, generator=seeded())
    codes = encoder(images)
    assert codes.shape == (3, 12)
    decoded = decoder(codes[:, :6])
    assert decoded.shape == images.shape
    assert codes.dtype == decoded.dtype == dtype
    assert 0 < decoded.min() < decoded.max() < 1
    assert codes.std(0).min() > 0 or architecture == "shapes-paper"  # there a unit may be dead
    last = encoder.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, codes)
    last = decoder.to(memory_format=torch.channels_last)(codes[:, :6])
    torch.testing.assert_close(last, decoded)


def test_only_the_papers_shape_net_has_codes_without_a_sign():
    images = torch.rand(20, 3, 32, 32, generator=seeded())
    paper, official = (small(name, code_width=16)[0](images) for name in ("shapes-paper", "shapes-official"))
    assert paper.min() == 0 < paper.max()
    assert official.min() < 0 < official.max()


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(
    ("side", "left", "widths"),
    [
        (4, 2, [32]),
        (8, 4, [32]),
        (12, 3, [32, 64]),
        (16, 4, [32, 64]),
        (28, 7, [32, 64]),
        (32, 4, [32, 64, 128]),
        (40, 5, [32, 64, 128]),
        (64, 4, [32, 64, 128, 256]),
        (128, 4, [32, 64, 128, 256, 256]),
    ],
)
def test_the_strided_net_takes_many_sizes(side, left, widths, channels):
    encoder, decoder = small("strided", (channels, side, side), channel_factor=0.25)
    assert [m.out_channels for m in encoder if isinstance(m, nn.Conv2d)] == [w // 4 for w in widths]
    assert encoder[-1].in_features == widths[-1] // 4 * left**2
    images = torch.rand(2, channels, side, side, generator=seeded())
    assert decoder(encoder(images)).shape == images.shape


@pytest.mark.parametrize("name", ["shapes-paper", "shapes-official"])
@pytest.mark.parametrize(
    ("side", "widths"), [(4, [32]), (8, [32, 64]), (16, [32, 64, 128]), (64, [32, 64, 128, 256, 512])]
)
def test_the_shape_nets_drop_or_add_a_stage(name, side, widths):
    encoder, decoder = small(name, (3, side, side), 7, channel_factor=0.5)
    halved = [w // 2 for w in widths]
    assert [m.out_channels for m in encoder if isinstance(m, nn.Conv2d)] == [*halved, 7]
    assert [m.out_channels for m in decoder if isinstance(m, nn.ConvTranspose2d)] == [*halved[::-1], 3]
    images = torch.rand(2, 3, side, side, generator=seeded())
    assert decoder(encoder(images)).shape == images.shape


def test_channel_factor_scales_inner_channels_alone():
    encoder, decoder = build_networks("mnist", (1, 32, 32), 128, channel_factor=0.25, generator=seeded())
    assert described(encoder) == "c4/2/1:1>8 r c4/2/1:8>16 r c4/2/1:16>32 r c4/2/1:32>64 r f l256>128"
    assert described(decoder) == "l128>2048 u32x8x8 r t4/2/1:32>16 r t4/2/1:16>8 r t1/1/0:8>1 tanh"
    least = small("mnist", channel_factor=1e-6)[0]
    assert described(least).startswith("c4/2/1:1>1 r c4/2/1:1>1")


# ---- the start ----
def pytorchs_own(network):
    """The same layers as PyTorch itself would make and start them."""
    layers = []
    for m in network:
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
            layers.append(type(m)(m.in_channels, m.out_channels, m.kernel_size, m.stride, m.padding))
        else:
            layers.append(nn.Linear(m.in_features, m.out_features) if isinstance(m, nn.Linear) else m)
    return nn.Sequential(*layers)


@pytest.mark.parametrize("architecture", ["mnist", "shapes-official"])
def test_the_default_start_is_pytorchs(architecture):
    networks = small(architecture, seed=3, start="default")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = [pytorchs_own(network) for network in networks]
    for network, other in zip(networks, expected, strict=True):
        assert list(network.state_dict()) == list(other.state_dict())
        assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("start", ["default", "he"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_generator_decides_and_the_global_one_is_left_alone(architecture, start):
    before = torch.random.get_rng_state()
    first, again, other = (small(architecture, seed=seed, start=start) for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), before)
    for a, b, c in zip(first, again, other, strict=True):
        for x, y, z in zip(a.parameters(), b.parameters(), c.parameters(), strict=True):
            assert torch.equal(x, y)
            assert not torch.equal(x, z) or (start == "he" and x.ndim == 1)


def test_he_keeps_the_size_of_signals():
    networks = build_networks("mnist", (1, 32, 32), 128, start="he", generator=seeded(), dtype=F64)
    layers = [layer for network in networks for layer in network if hasattr(layer, "weight")]
    assert all((layer.bias == 0).all() for layer in layers)
    for i, layer in enumerate(layers):
        width = layer.weight.shape[0 if isinstance(layer, nn.ConvTranspose2d) else 1]
        sides = () if isinstance(layer, nn.Linear) else (20, 20)
        images = torch.randn(50, width, *sides, generator=seeded(i), dtype=F64)
        signal = layer(images).detach()
        inner = signal[..., 1:-1, 1:-1] if sides else signal  # zero padding takes a share at the border
        # E[out^2] = 2 E[in^2], of which a ReLU leaves half; the last layers have few channels to average over
        assert inner.square().mean().item() == pytest.approx(2, rel=0.4 if inner.shape[1] < 32 else 0.15)


def test_he_is_normal_with_the_fan_of_the_inputs():
    encoder, decoder = build_networks("celeba", (3, 64, 64), 64, start="he", channel_factor=0.5, generator=seeded())
    tconv = decoder[2]  # 512 channels to 256, kernel 4, stride 2: an output pixel sums 512 x 2 x 2 inputs
    assert tconv.weight.std().item() == pytest.approx((2 / (512 * 4)) ** 0.5, rel=0.01)
    assert encoder[4].weight.std().item() == pytest.approx((2 / (128 * 16)) ** 0.5, rel=0.01)
    assert decoder[0].weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.01)
    assert tconv.weight.abs().max() > 4 * tconv.weight.std()  # a uniform one would end at 1.7


def test_the_sigmoid_is_not_rounded_under_autocast():
    _, decoder = small("strided", (1, 8, 8), output="sigmoid")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert decoder(torch.ones(2, 6)).dtype == torch.float32
    with torch.no_grad():
        decoder[-2].bias.fill_(8.0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (decoder(torch.zeros(2, 6)) < 1).all()  # 0.9997 would be 1 in bfloat16


# ---- refusals ----
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"architecture": "resnet"},
            "architecture must be one of mnist, cifar10, celeba, shapes-paper, shapes-official, strided, not 'resnet'.",
        ),
        ({"image_shape": (1, 28, 28)}, "the mnist net takes 32 x 32 images, not 28 x 28 images of 1 channel."),
        (
            {"architecture": "cifar10"},
            "the cifar10 net takes 32 x 32 images of 3 channels, not 32 x 32 images of 1 channel.",
        ),
        (
            {"architecture": "celeba", "image_shape": (3, 32, 32)},
            "the celeba net takes 64 x 64 images of 3 channels, not 32 x 32 images of 3 channels.",
        ),
        (
            {"architecture": "shapes-paper", "image_shape": (3, 24, 24)},
            "the shapes-paper net takes square images whose side is a power of two, at least 4, "
            "not 24 x 24 images of 3 channels.",
        ),
        (
            {"architecture": "shapes-official", "image_shape": (3, 2, 2)},
            "the shapes-official net takes square images whose side is a power of two, at least 4, "
            "not 2 x 2 images of 3 channels.",
        ),
        *(
            (
                {"architecture": "strided", "image_shape": (1, *sides)},
                "the strided net takes square images whose side is at least 4 and 1, 3, 5 or 7 times 2, 4, 8, ..., "
                f"not {sides[0]} x {sides[1]} images of 1 channel.",
            )
            for sides in ((2, 2), (7, 7), (22, 22), (36, 36), (16, 32))
        ),
        ({"image_shape": (32, 32)}, "image_shape must be three positive integers (c, h, w), not (32, 32)."),
        ({"image_shape": (1, 32, 0)}, "image_shape must be three positive integers (c, h, w), not (1, 32, 0)."),
        ({"image_shape": 32}, "image_shape must be three positive integers (c, h, w), not 32."),
        ({"code_width": 0}, "code_width must be an integer of at least 1, not 0."),
        ({"code_width": 2.0}, "code_width must be an integer of at least 1, not 2.0."),
        ({"encoder_outputs": True}, "encoder_outputs must be an integer of at least 1, not True."),
        ({"channel_factor": 0}, "channel_factor must be a positive number below 1000, not 0."),
        ({"channel_factor": float("nan")}, "channel_factor must be a positive number below 1000, not nan."),
        ({"start": "xavier"}, "start must be one of default, he, zero-output-bias, not 'xavier'."),
        ({"output": None}, "output must be one of tanh, sigmoid, not None."),
    ],
)
def test_bad_input_is_refused_in_one_sentence(options, sentence):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole sentence is compared
        build_networks(**{"architecture": "mnist", "image_shape": (1, 32, 32), "code_width": 4, **options})
    assert str(refused.value) == sentence
