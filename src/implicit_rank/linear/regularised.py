"""Training the linear autoencoders of Bao 2020, all members at once, through the second moments alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from implicit_rank.data.moments import SecondMoments
from implicit_rank.linear import models
from implicit_rank.linear.dropout import MaskNoise
from implicit_rank.linear.loop import Descent, Parameters, descend
from implicit_rank.linear.operators import BatchMoments, DenseMoments, DiagonalMoments
from implicit_rank.linear.optimisers import OPTIMISERS
from implicit_rank.spectra import axis_distance, ordered_axis_distance, subspace_distance

MODELS = ("uniform_l2", "nonuniform_l2", "rag", "nested_dropout", "deterministic_nested_dropout", "vae")


@dataclass
class RegularisedDescent:
    """What `train_regularised` returns.

    `descent` has series d_align, d_align_ordered, d_sub, transpose, loss, each (m, t); `encoder` (m, k,
    D) and `decoder` (m, D, k) are in the basis of the data, float64; `snapshots` holds decoders (m, D,
    k) by step.
    """

    descent: Descent
    encoder: Tensor
    decoder: Tensor
    snapshots: dict[int, Tensor]


def start_weights(k: int, D: int, seeds: Sequence[int], deviation: float = 1e-4) -> tuple[Tensor, Tensor]:
    """Independent Gaussian encoders (m, k, D) and decoders (m, D, k), one pair a seed, float64."""
    pairs = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        W1 = torch.randn(k, D, generator=generator, dtype=torch.float64)
        pairs.append((W1, torch.randn(D, k, generator=generator, dtype=torch.float64)))
    return tuple(deviation * torch.stack(side) for side in zip(*pairs, strict=True))


def dead_units(penalties: Tensor, eigenvalues: Tensor) -> list[int]:
    """The units, counted from 1, whose penalty lambda_i reaches the eigenvalue s_i and which must die.

    `penalties` and `eigenvalues` (k,), the latter descending (Bao 2020, the assumption of Theorem 2).
    """
    return [i + 1 for i, dead in enumerate((penalties >= eigenvalues[: len(penalties)]).tolist()) if dead]


def train_regularised(
    moments: SecondMoments,
    model: str,
    optimiser: str,
    k: int,
    *,
    lr: float | Sequence[float],
    steps: int,
    record_at: Sequence[int],
    seeds: Sequence[int] = (0,),
    penalties: Tensor | None = None,
    prior: Tensor | None = None,
    start: float | tuple[Tensor, Tensor] = 1e-4,
    eigenbasis: bool | None = None,
    samples: Tensor | None = None,
    mask_batch: int | None = None,
    batch: int | None = None,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
    snapshots_at: Sequence[int] = (),
    stop_at: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> RegularisedDescent:
    """Train m linear autoencoders of one model, optimiser and width, full batch, and follow their distances.

    A member is a seed with its own rate and penalties: `seeds` (m), `lr` a number or (m), `penalties`
    (k,) or (m, k) the lambda_i of the l2 models, `prior` (k,) or (m, k) that of the nested dropout
    models. `start` is the standard deviation of the starting weights, or the weights. `eigenbasis` runs
    in the eigenbasis of C, exact for gradient descent with or without momentum; the default uses it where
    it is exact. `samples` (n, D), centred as in C, are needed for stochastic nested dropout (masks on
    `mask_batch` of them a step, all by default) and for mini-batches of `batch` samples. The run ends
    early once every member has d_align <= `stop_at`. Distances are float64 whatever `dtype`.

    Raises ValueError for an unknown model or optimiser, k outside 1..D-1, a prior or penalties that do not
    fit, Adam in the eigenbasis, or missing samples. Warns when penalties kill units or top eigenvalues
    repeat.

    Book: thm-eigenbasis
    """
    m = len(seeds)
    eigenbasis = _check(moments, model, optimiser, k, m, eigenbasis, samples, batch)
    s, U = moments.top(k)
    rotation = moments.U if eigenbasis else None
    rows = None
    if samples is not None:
        rows = _place(samples if rotation is None else samples @ rotation, dtype, device)
    if batch is not None:
        operator = BatchMoments(rows, batch)
    elif eigenbasis:
        operator = DiagonalMoments(_place(moments.eigenvalues.clamp(min=0), dtype, device))
    else:
        operator = DenseMoments(_place(moments.C, dtype, device))
    W1, W2 = start_weights(k, moments.width, seeds, start) if isinstance(start, (int, float)) else start
    if rotation is not None:
        W1, W2, U = W1 @ rotation, rotation.T @ W2, rotation.T @ U
    # a copy: the weights change in place, and a caller's start must not
    parameters = {"encoder": _place(W1, dtype, device).clone(), "decoder": _place(W2, dtype, device).clone()}
    if model == "vae":
        parameters["log_variance"] = parameters["encoder"].new_zeros(m, k)
        parameters["log_noise"] = parameters["encoder"].new_zeros(m)
    gradients = _gradients(model, operator, k, m, s, penalties, prior, rows, mask_batch, seeds, dtype, device)
    axes, snapshots = U.to(device), {}

    def observe(step: int, now: Parameters, loss: Tensor) -> dict[str, Tensor]:
        decoder = now["decoder"]
        if step in snapshots_at:
            snapshots[step] = decoder.detach().double().cpu().clone()
        return {
            "d_align": axis_distance(decoder, axes),
            "d_align_ordered": ordered_axis_distance(decoder, axes),
            "d_sub": subspace_distance(decoder, axes),
            "transpose": (now["encoder"] - decoder.mT).double().square().sum((1, 2)) / k,
            "error": models.reconstruction(now, operator)[0],
        }

    rates = torch.as_tensor(lr, dtype=torch.float64).expand(m).to(device=device, dtype=dtype)
    descent = descend(
        parameters,
        gradients,
        OPTIMISERS[optimiser](rates.contiguous()),
        steps,
        sorted({*record_at, *snapshots_at}),
        observe,
        finished=(lambda seen: seen["d_align"] <= stop_at) if stop_at > 0 else None,
        progress=progress,
    )
    encoder, decoder = (descent.parameters[name].double().cpu() for name in ("encoder", "decoder"))
    if rotation is not None:
        encoder, decoder = encoder @ rotation.T, rotation @ decoder
        snapshots = {step: rotation @ weights for step, weights in snapshots.items()}
    return RegularisedDescent(descent, encoder, decoder, snapshots)


def _place(values: Tensor, dtype: torch.dtype, device: str | torch.device) -> Tensor:
    return values.to(device=device, dtype=dtype).contiguous()


def _check(moments, model, optimiser, k, m, eigenbasis, samples, batch) -> bool:
    if model not in MODELS:
        raise ValueError(f"unknown model {model!r}; allowed: {', '.join(MODELS)}.")
    if optimiser not in OPTIMISERS:
        raise ValueError(f"unknown optimiser {optimiser!r}; allowed: {', '.join(OPTIMISERS)}.")
    if m < 1:
        raise ValueError("at least one seed is needed.")
    if eigenbasis and optimiser == "adam":
        raise ValueError(
            "Adam's step depends on the basis, so it cannot run in the eigenbasis of C; gd and nesterov can."
        )
    if samples is None and (batch is not None or model == "nested_dropout"):
        what = "mini-batches need" if batch is not None else "stochastic nested dropout needs"
        raise ValueError(f"{what} samples: the second moments alone do not determine the noise.")
    if samples is not None and (samples.ndim != 2 or samples.shape[1] != moments.width):
        raise ValueError(f"samples must be (n, {moments.width}), not {tuple(samples.shape)}.")
    s, _ = moments.top(k)
    gaps = -moments.eigenvalues[: k + 1].diff()
    close = (gaps <= 1e-9 * s[0]).nonzero().flatten().tolist()
    if close:
        first = close[0] + 1
        warnings.warn(
            f"eigenvalues {first} and {first + 1} of {moments.name} are equal, so the axes in their plane are "
            "not identifiable and the distances are measured from an arbitrary choice of them.",
            stacklevel=3,
        )
    return optimiser != "adam" if eigenbasis is None else eigenbasis


def check_prior(prior: Tensor, k: int) -> Tensor:
    """The prior as float64 `(..., k)`; ValueError unless it is positive and sums to one."""
    prior = torch.as_tensor(prior, dtype=torch.float64)
    if prior.shape[-1] != k:
        raise ValueError(f"the prior needs one probability for each of the {k} units, not {prior.shape[-1]}.")
    if not (prior > 0).all():
        raise ValueError("every probability of the prior must be positive: a zero gives two units the same masks.")
    if ((prior.sum(-1) - 1).abs() > 1e-9).any():
        raise ValueError(f"the prior must sum to 1, not {prior.sum(-1).flatten()[0].item():.6g}.")
    return prior


def check_penalties(penalties: Tensor, k: int, eigenvalues: Tensor, name: str = "the data") -> Tensor:
    """The penalties as float64 `(..., k)`: one positive number a unit, else ValueError."""
    penalties = torch.as_tensor(penalties, dtype=torch.float64)
    if penalties.shape[-1] != k:
        raise ValueError(f"penalties needs one number for each of the {k} units, not {penalties.shape[-1]}.")
    if not (penalties > 0).all() or not penalties.isfinite().all():
        raise ValueError("penalties must be positive and finite.")
    dead = sorted({unit for row in penalties.view(-1, k) for unit in dead_units(row, eigenvalues)})
    if dead:
        listed = ", ".join(map(str, dead[:8])) + (", ..." if len(dead) > 8 else "")
        warnings.warn(
            f"the penalties of {len(dead)} of {k} units (units {listed}) reach their eigenvalues of {name}, so "
            "they must die and Theorem 2 does not apply.",
            stacklevel=3,
        )
    return penalties


def _gradients(model, operator, k, m, s, penalties, prior, rows, mask_batch, seeds, dtype, device):
    """The function of the parameters that `descend` calls at every step."""

    def spread(values: Tensor) -> Tensor:
        return _place(values.expand(m, k), dtype, device)

    if model in ("uniform_l2", "nonuniform_l2"):
        if penalties is None:
            raise ValueError(f"{model} needs penalties, one lambda for each unit.")
        weights = spread(check_penalties(penalties, k, s))

        def step(parameters):
            return models.l2(parameters, operator, weights)
    elif model in ("nested_dropout", "deterministic_nested_dropout"):
        if prior is None:
            raise ValueError(f"{model} needs a prior, one probability for each unit.")
        chances = spread(check_prior(prior, k))
        batches = operator if isinstance(operator, BatchMoments) else None
        noise = None
        if model == "nested_dropout":
            noise = MaskNoise(rows, chances, tuple(seeds), mask_batch, source=batches)

        def step(parameters):
            loss, gradients = models.nested_dropout(parameters, operator, chances)
            if noise is not None:
                noise.add(parameters, gradients)
            return loss, gradients
    elif model == "rag":

        def step(parameters):
            return models.rotation_augmented(parameters, operator)
    else:

        def step(parameters):
            return models.linear_vae(parameters, operator)

    def gradients(parameters):
        operator.draw()
        return step(parameters)

    return gradients
