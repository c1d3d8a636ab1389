"""Encoders and decoders: the papers' convolutional nets and one for other image sizes.

Every net is a plain `nn.Sequential` without state of its own (no BatchNorm, no dropout, nothing in place), so that
`torch.func` can stack the parameters of many members and run them together.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from implicit_rank.parameters.numbers import real, whole

ARCHITECTURES = ("mnist", "cifar10", "celeba", "shapes-paper", "shapes-official", "strided")
STARTS = ("default", "he", "zero-output-bias")


class Sigmoid(nn.Sigmoid):
    """A sigmoid that is never rounded to 16 bits: bfloat16 has nothing between 0.996 and 1, where logarithms matter."""

    def forward(self, values: Tensor) -> Tensor:
        """Map logits of any shape to (0, 1), from autocast's 16 bits to float32."""
        return torch.sigmoid(values.float() if values.dtype in (torch.float16, torch.bfloat16) else values)


OUTPUTS = {"tanh": nn.Tanh, "sigmoid": Sigmoid}


def build_networks(
    architecture: str,
    image_shape: tuple[int, int, int],
    code_width: int = 128,
    *,
    encoder_outputs: int | None = None,
    channel_factor: float = 1.0,
    start: str = "default",
    output: str = "tanh",
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[nn.Sequential, nn.Sequential]:
    """An encoder, images `(b, c, h, w)` -> `(b, encoder_outputs)`, and a decoder, `(b, d)` -> images.

    Architectures (every stage is a 4 x 4 convolution, stride 2, padding 1, unless stated; ReLU between stages):

    - "mnist" (32 x 32 images): channels 32, 64, 128, 256 with ReLU, then a linear layer; the decoder is a linear
      layer to 128 x 8 x 8, ReLU, two transposed stages to 64 and 32 channels with ReLU, a 1 x 1 one (released code).
    - "cifar10": the same net for 3 x 32 x 32 images.
    - "celeba" (3 x 64 x 64): channels 128, 256, 512, 1024; linear layer to 1024 x 8 x 8 without ReLU behind it,
      transposed stages to 512, 256, 128, a 1 x 1 one (released code).
    - "shapes-paper": channels 32, 64, 128, 256 and d, ReLU after each, the code included, so codes are not
      negative; mirrored in the decoder (Jing 2020, supplement).
    - "shapes-official": the last stage is a 2 x 2 convolution, stride 1, no ReLU; mirrored (released code).
    - "strided": halves until a side of at most 4, or an odd one, is left, channels 32, 64, 128, ... up to 256, then a
      linear layer; mirrored.

    The shapes nets go down to one pixel, so they take any side that is a power of two: a side of 16 drops the widest
    stage (channels 32, 64, 128), one of 64 adds a stage of 512. `channel_factor` scales every inner channel number
    (rounded, at least 1) and leaves images and codes alone. `encoder_outputs` (default: `code_width`) is
    2 d for a VAE's means and log-variances.

    `start` is "default", PyTorch's own (weights and biases U(-1/sqrt(fan), 1/sqrt(fan))), or "he": normal weights
    of variance 2/fan and zero biases. PyTorch's fan of a transposed convolution counts its outputs, and "default"
    keeps that; "he" takes the number of inputs that one output pixel sums, c k^2 / stride^2, so that it keeps the
    size of signals. "zero-output-bias" is "default" with the same draws, but the bias of the decoder's last layer is
    then set to 0: where a 1 x 1 kernel makes one channel the fan is 1, so that PyTorch draws this bias from U(-1, 1),
    and the rest of the net spends its first steps on making up for it. `generator` draws every start (encoder, then
    decoder, each front to back); None is PyTorch's global one. `output` is the decoder's last function: "tanh"
    (released code, although images are in [0, 1]) or "sigmoid" (its VAE). Raises ValueError, in one
    sentence, where the net does not fit the image or an option.
    """
    channels, height, width = _checked_shape(image_shape)
    outputs = code_width if encoder_outputs is None else encoder_outputs
    for name, value in (("code_width", code_width), ("encoder_outputs", outputs)):
        if whole(value) is None or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, not {value!r}.")
    code_width, outputs = whole(code_width), whole(outputs)
    if real(channel_factor) is None or not 0 < channel_factor < 1e3:
        raise ValueError(f"channel_factor must be a positive number below 1000, not {channel_factor!r}.")
    for name, value, allowed in (
        ("architecture", architecture, ARCHITECTURES),
        ("start", start, STARTS),
        ("output", output, tuple(OUTPUTS)),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    _check_fit(architecture, channels, height, width)

    layers = {"mnist": _mnist, "cifar10": _mnist, "celeba": _celeba, "strided": _strided}.get(architecture, _shapes)
    plan = _Plan(channels, height, code_width, outputs, channel_factor, dtype, architecture)
    encoder, decoder = layers(plan)
    networks = nn.Sequential(*encoder), nn.Sequential(*decoder, OUTPUTS[output]())
    for network in networks:
        for layer in network:
            draw_start(layer, "he" if start == "he" else "default", generator)
    if start == "zero-output-bias":
        nn.init.zeros_(networks[1][-2].bias)  # the last of all is the output's function
    return networks


@torch.no_grad()
def draw_start(layer: nn.Module, start: str, generator: torch.Generator | None) -> None:
    """Overwrite one layer's weight and bias by a start, "default" or "he" (see `build_networks`)."""
    if not isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        return
    if start == "he":
        fan = layer.weight[0].numel()
        if isinstance(layer, nn.ConvTranspose2d):  # weight (in, out, k, k): one output pixel sums over (k/stride)^2
            fan = layer.in_channels * math.prod(layer.kernel_size) // math.prod(layer.stride)
        layer.weight.normal_(0, math.sqrt(2 / fan), generator=generator)
        layer.bias.zero_()
    else:
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
        bound = 1 / math.sqrt(layer.weight[0].numel())
        layer.bias.uniform_(-bound, bound, generator=generator)


def _checked_shape(image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    try:
        shape = tuple(map(whole, image_shape))
    except TypeError:
        shape = ()
    if len(shape) != 3 or any(n is None or n < 1 for n in shape):
        raise ValueError(f"image_shape must be three positive integers (c, h, w), not {image_shape!r}.")
    return shape


def _check_fit(architecture: str, channels: int, height: int, width: int) -> None:
    odd = height // (height & -height)  # what is left when every factor of two is taken out
    takes, fits = {
        "mnist": ("32 x 32 images", height == 32),
        "cifar10": ("32 x 32 images of 3 channels", height == 32 and channels == 3),
        "celeba": ("64 x 64 images of 3 channels", height == 64 and channels == 3),
        "strided": (
            "square images whose side is at least 4 and 1, 3, 5 or 7 times 2, 4, 8, ...",
            height >= 4 and odd <= 7 and height % 2 == 0,
        ),
    }.get(architecture, ("square images whose side is a power of two, at least 4", height >= 4 and odd == 1))
    if height != width or not fits:
        what = f"{height} x {width} images of {channels} channel{'s' if channels > 1 else ''}"
        raise ValueError(f"the {architecture} net takes {takes}, not {what}.")


class _Plan:
    """Layer makers for one net; parameters are left unset, so that no random number is drawn here."""

    def __init__(self, channels, side, code_width, outputs, factor, dtype, architecture):
        self.channels, self.side, self.code_width, self.outputs = channels, side, code_width, outputs
        self.factor, self.dtype, self.architecture = factor, dtype, architecture

    def inner(self, *counts: int) -> list[int]:
        return [max(1, round(count * self.factor)) for count in counts]

    def linear(self, inputs: int, outputs: int) -> nn.Linear:
        return nn.utils.skip_init(nn.Linear, inputs, outputs, dtype=self.dtype)

    def conv(self, inputs: int, outputs: int, kernel: int = 4, stride: int = 2, padding: int = 1) -> nn.Conv2d:
        return nn.utils.skip_init(nn.Conv2d, inputs, outputs, kernel, stride, padding, dtype=self.dtype)

    def tconv(self, inputs: int, outputs: int, kernel: int = 4, stride: int = 2, padding: int = 1) -> nn.Module:
        return nn.utils.skip_init(nn.ConvTranspose2d, inputs, outputs, kernel, stride, padding, dtype=self.dtype)

    def down(self, widths: list[int]) -> list[nn.Module]:
        """Stages to these channels, ReLU after each."""
        before = [self.channels, *widths[:-1]]
        return [m for a, b in zip(before, widths, strict=True) for m in (self.conv(a, b), nn.ReLU())]

    def up(self, widths: list[int]) -> list[nn.Module]:
        """Transposed stages from the first of these channels to the last, ReLU after each."""
        return [m for a, b in pairwise(widths) for m in (self.tconv(a, b), nn.ReLU())]


def _mnist(plan: _Plan) -> tuple[list, list]:
    widths = plan.inner(32, 64, 128, 256)
    first, second, third = plan.inner(128, 64, 32)
    encoder = [*plan.down(widths), nn.Flatten(), plan.linear(widths[-1] * 4, plan.outputs)]
    decoder = [
        plan.linear(plan.code_width, first * 64),
        nn.Unflatten(1, (first, 8, 8)),
        nn.ReLU(),
        *plan.up([first, second, third]),
        plan.tconv(third, plan.channels, 1, 1, 0),
    ]
    return encoder, decoder


def _celeba(plan: _Plan) -> tuple[list, list]:
    widths = plan.inner(128, 256, 512, 1024)
    encoder = [*plan.down(widths), nn.Flatten(), plan.linear(widths[-1] * 16, plan.outputs)]
    decoder = [
        plan.linear(plan.code_width, widths[-1] * 64),
        nn.Unflatten(1, (widths[-1], 8, 8)),  # no ReLU here, unlike the mnist net
        *plan.up(widths[::-1]),
        plan.tconv(widths[0], plan.channels, 1, 1, 0),
    ]
    return encoder, decoder


def _shapes(plan: _Plan) -> tuple[list, list]:
    stages = plan.side.bit_length() - 2  # down to 2 x 2; one last convolution makes the code of it
    widths = plan.inner(*(32 * 2**i for i in range(stages)))
    paper = plan.architecture == "shapes-paper"
    last = (4, 2, 1) if paper else (2, 1, 0)
    code = [plan.conv(widths[-1], plan.outputs, *last), *([nn.ReLU()] if paper else [])]
    encoder = [*plan.down(widths), *code, nn.Flatten()]
    decoder = [
        nn.Unflatten(1, (plan.code_width, 1, 1)),
        plan.tconv(plan.code_width, widths[-1], *last),
        nn.ReLU(),
        *plan.up(widths[::-1]),
        plan.tconv(widths[0], plan.channels),
    ]
    return encoder, decoder


def _strided(plan: _Plan) -> tuple[list, list]:
    side, stages = plan.side // 2, 1
    while side > 4 and side % 2 == 0:
        side, stages = side // 2, stages + 1
    widths = plan.inner(*(min(32 * 2**i, 256) for i in range(stages)))
    encoder = [*plan.down(widths), nn.Flatten(), plan.linear(widths[-1] * side**2, plan.outputs)]
    decoder = [
        plan.linear(plan.code_width, widths[-1] * side**2),
        nn.Unflatten(1, (widths[-1], side, side)),
        nn.ReLU(),
        *plan.up(widths[::-1]),
        plan.tconv(widths[0], plan.channels),
    ]
    return encoder, decoder
