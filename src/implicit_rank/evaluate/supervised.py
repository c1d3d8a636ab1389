"""Networks trained on labels: the supervised baseline of Jing 2020, Table 2, and the classifiers behind distances."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from implicit_rank.evaluate.codes import in_chunks
from implicit_rank.evaluate.heads import HEADS
from implicit_rank.evaluate.probe_loop import measured_epochs
from implicit_rank.evaluate.protocols import Protocol


@dataclass(frozen=True)
class SupervisedErrors:
    """Test errors of one network, fractions; see `ProbeErrors`; `epochs`, `test`, `validation` (E,)."""

    final: float
    best: float
    chosen: float
    epochs: Tensor
    test: Tensor
    validation: Tensor


def head_module(
    kind: str, inputs: int, classes: int, hidden: int = 128, *, generator: torch.Generator | None = None
) -> nn.Sequential:
    """One head of `HEADS` as a module, codes `(b, inputs)` to logits `(b, classes)`.

    Its start is `nn.Linear`'s, drawn from `generator`. Raises ValueError for another kind.
    """
    if kind not in HEADS:
        raise ValueError(f"head must be one of {', '.join(HEADS)}, not {kind!r}.")
    layers, dropout, last_bias = HEADS[kind]
    modules = []
    for _ in range(layers):
        modules += [drawn(nn.Linear, inputs, hidden, generator=generator), nn.ReLU()]
        modules += [nn.Dropout(0.5)] if dropout else []
        inputs = hidden
    return nn.Sequential(*modules, drawn(nn.Linear, inputs, classes, bias=last_bias, generator=generator))


def drawn(module: type[nn.Module], *sizes: int, generator: torch.Generator | None = None, **options) -> nn.Module:
    """An `nn.Linear` or `nn.Conv2d` with PyTorch's own start drawn from `generator`."""
    # U(-1/sqrt(fan in), 1/sqrt(fan in)) for weights and biases
    made = nn.utils.skip_init(module, *sizes, **options)
    bound = made.weight[0].numel() ** -0.5
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return made


def train_supervised(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
    protocol: Protocol,
    *,
    seed: int = 0,
    subset: Tensor | None = None,
    validation: Tensor | None = None,
    device: torch.device | str = "cpu",
) -> SupervisedErrors:
    """Train `network` in place on uint8 images `(n, c, h, w)` with labels `(n,)`: Adam, cross-entropy, shuffled.

    `network` maps images in [0, 1] to logits, for Table 2 an encoder and `head_module`. Epochs, batch, rate and
    measuring are `protocol`'s (its head is not looked at); `subset` are the labelled images (None: all) and
    `validation` those that choose the epoch, as in `Probe`. `seed` rules order and dropout and leaves the
    global generators alone. The network ends with its weights of the last epoch, in evaluation mode.
    """
    if labels.shape != images.shape[:1] or test_labels.shape != test_images.shape[:1]:
        raise ValueError(
            f"labels must be one per image, {len(images)} and {len(test_images)}, "
            f"not of shapes {tuple(labels.shape)} and {tuple(test_labels.shape)}."
        )
    network.to(device)
    dtype = next(network.parameters()).dtype
    images, labels, test_images, test_labels = (x.to(device) for x in (images, labels, test_images, test_labels))
    subset = (torch.arange(len(images)) if subset is None else subset.cpu()).long()
    optimiser = torch.optim.Adam(network.parameters(), lr=protocol.lr, fused=True)
    generator = torch.Generator().manual_seed(seed)
    schedule = measured_epochs(protocol)
    test, held_out = (torch.full((len(schedule),), torch.nan, dtype=torch.float64) for _ in range(2))
    best_state, least = None, float("inf")
    cuda = [device] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)  # dropout
        for epoch in range(1, protocol.epochs + 1):
            network.train()
            order = subset[torch.randperm(len(subset), generator=generator)].to(device)
            for rows in order.split(protocol.batch):
                optimiser.zero_grad()
                logits = network(images[rows].to(dtype) / 255)
                nn.functional.cross_entropy(logits, labels[rows]).backward()
                optimiser.step()
            if epoch not in schedule:
                continue
            column = schedule.tolist().index(epoch)
            if protocol.watch_test:
                test[column] = error_rate(network, test_images, test_labels)
            if validation is not None:
                rows = validation.to(device)
                held_out[column] = error_rate(network, images[rows], labels[rows])
                if held_out[column] < least:
                    best_state, least = copy.deepcopy(network.state_dict()), float(held_out[column])
    final = error_rate(network, test_images, test_labels)
    chosen = float("nan")
    if best_state is not None:
        last = copy.deepcopy(network.state_dict())
        network.load_state_dict(best_state)
        chosen = error_rate(network, test_images, test_labels)
        network.load_state_dict(last)
    return SupervisedErrors(final, float(test.min()), chosen, schedule, test, held_out)


@torch.no_grad()
def error_rate(network: nn.Module, images: Tensor, labels: Tensor, *, chunk: int = 500) -> float:
    """The share of uint8 images `(n, c, h, w)` that `network`, put in evaluation mode, gets wrong."""
    network.eval()
    parameter = next(network.parameters())
    wrong = torch.zeros((), dtype=torch.int64, device=parameter.device)
    parts = in_chunks(images, chunk, parameter.device, parameter.dtype)
    for part, answers in zip(parts, labels.to(parameter.device).split(chunk), strict=True):
        wrong += (network(part).argmax(dim=-1) != answers).sum()
    return int(wrong) / len(images)
