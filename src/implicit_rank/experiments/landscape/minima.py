"""Where nested dropout and uniform l2 end: ordered minima alone, and axes an SVD brings back (Bao 2020, 2 to 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from implicit_rank.data.moments import SecondMoments, moments_with
from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Progress, Result, run_each
from implicit_rank.experiments.landscape.descent import find_roots
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear.regularised import train_regularised
from implicit_rank.parameters import ParameterError, option
from implicit_rank.spectra import axis_distance, ordered_axis_distance
from implicit_rank.store import Spec
from implicit_rank.theory import landscape as theory

__all__ = ["MEASURES", "Minima", "presets", "run"]


@dataclass(frozen=True)
class Minima(Spec):
    """One generic instance: spectrum, axes, prior and penalties drawn from the seed."""

    experiment: ClassVar[str] = "minima"

    D: int = option(6, "input width", least=3, most=12)
    k: int = option(3, "latent width", least=2, most=6)
    starts: int = option(24, "random starts of gradient descent", least=1, most=500)
    roots: int = option(100, "random starts of the root finder", least=1, most=5000)
    pairs: int = option(1000, "random pairs of penalties on the plane of Figure 1", least=10)

    def __post_init__(self):
        super().__post_init__()
        if self.k >= self.D:
            raise ParameterError(f"k must be smaller than D = {self.D}, not {self.k}.")


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Minima]:
    """Instances of three shapes over the seeds (one small shape at smoke)."""
    if profile == "smoke":
        return [Minima(profile=profile, D=4, k=2, starts=4, roots=30, pairs=100, seed=seed) for seed in seeds or (0,)]
    shapes = ((5, 2), (6, 3), (7, 4)) if profile == "paper" else ((6, 3),)
    seeds = seeds or ((0, 1, 2) if profile == "paper" else (0,))
    return [Minima(profile=profile, D=D, k=k, seed=seed) for D, k in shapes for seed in seeds]


def run(
    specs: Sequence[Minima],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Check every statement on every instance, in float64 on the CPU whatever `device` says."""
    return run_each(specs, evaluate, progress, on_done)


def evaluate(spec: Minima) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Draw a member's instance, eigenvalues beyond k tied in pairs, and check every statement on it."""
    generator = torch.Generator().manual_seed(spec.seed)
    uniform = lambda *shape: torch.rand(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    k = spec.k
    s = 0.5 + (0.4 + uniform(spec.D)).cumsum(0).flip(0)
    s[k + 1 :: 2] = s[k:-1:2][: len(s[k + 1 :: 2])]
    moments = moments_with(s, generator)
    prior = 0.3 + uniform(k)
    shares = (0.3 + uniform(k + 1)).cumsum(0)
    penalties = s[k - 1] * shares[:-1] / shares[-1]
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    starts = [normal(spec.starts, *shape) / (2 * s[0].sqrt()) for shape in ((k, spec.D), (spec.D, k))]
    scalars = {
        **cosine_checks(moments, penalties, generator),
        **root_checks(moments, penalties, spec.roots, spec.seed),
        **nested_checks(moments, prior / prior.sum(), starts),
        **l2_checks(moments, penalties, starts),
        **svd_checks(moments, k, starts),
        **valley_checks(s, spec.pairs, generator),
    }
    return scalars, {"s": s.numpy(), "prior": (prior / prior.sum()).numpy(), "penalties": penalties.numpy()}


def cosine_checks(moments: SecondMoments, penalties: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Hold loss (3) along the turn of every pair of units against a cosine, at random weights and stationary ones."""
    k, D, C = len(penalties), moments.width, moments.C
    W1, W2 = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((k, D), (D, k)))
    even, odd = theory.rotation_cosine(W1, W2, penalties)
    theta = torch.linspace(0, torch.pi, 13, dtype=torch.float64)
    first, second = torch.triu_indices(k, k, 1)
    worst = 0.0
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        turn = torch.eye(k, dtype=torch.float64).repeat(len(theta), 1, 1)
        turn[:, i, i] = turn[:, j, j] = theta.cos()
        turn[:, i, j], turn[:, j, i] = -theta.sin(), theta.sin()
        change = theory.l2_loss(turn @ W1, W2 @ turn.mT, C, penalties) - theory.l2_loss(W1, W2, C, penalties)
        formula = even[i, j] * ((2 * theta).cos() - 1) + odd[i, j] * (2 * theta).sin()
        worst = max(worst, ((change - formula).abs().max() / change.abs().max()).item())
    return {"cosine_error": worst, "cosine_slope_at_random": odd[first, second].abs().min().item()}


def root_checks(moments: SecondMoments, penalties: Tensor, count: int, seed: int) -> dict[str, float]:
    """What Newton steps find: how often a component beyond the first k, and the slope of every pair's cosine there."""
    k = len(penalties)
    found = find_roots(moments.C, penalties, count, seed)
    beyond = [(W1 @ moments.U[:, k:]).norm(dim=1).max().item() > 1e-3 for W1, _ in found]
    slopes = [theory.rotation_cosine(W1, W2, penalties)[1].abs().max().item() for W1, W2 in found]
    return {
        "roots_found": float(len(found)),
        "roots_beyond_top": float(sum(beyond)),
        "cosine_slope_at_roots": max(slopes, default=np.nan),
    }


def nested_checks(moments: SecondMoments, prior: Tensor, starts: Sequence[Tensor]) -> dict[str, float]:
    """Where gradient descent on nested dropout ends, how far that is from ordered axes, and the saddles beside it."""
    s, U, C, k = moments.eigenvalues, moments.U, moments.C, len(prior)
    off, _ = theory.nested_dropout_hessian_eigenvalues(s, prior)
    steps = min(60_000, int(60 * off[-1] / off[0]))
    trained = train_regularised(
        moments,
        "deterministic_nested_dropout",
        "gd",
        k,
        lr=0.2 / off[-1].item(),
        steps=steps,
        record_at=[steps],
        seeds=range(len(starts[0])),
        prior=prior,
        start=tuple(starts),
    )
    # a saddle: the components in reversed order
    W1 = U[:, :k].flip(1).T.contiguous()
    gradient = max(x.abs().max().item() for x in theory.nested_dropout_gradients(W1, W1.T, C, prior))
    distance = ordered_axis_distance(trained.decoder, U[:, :k])
    encoders = ordered_axis_distance(trained.encoder.mT.contiguous(), U[:, :k])
    products = (trained.decoder.mT * trained.encoder).sum(2) - 1  # w_a . v_a = 1 in every gauge
    return {
        "nested_ends_ordered": (distance < 1e-4).double().mean().item(),
        "nested_largest_distance": max(distance.max().item(), encoders.max().item()),
        "nested_gauge_error": products.abs().max().item(),
        "nested_gauge_spread": (trained.encoder.norm(dim=2) / trained.decoder.norm(dim=1)).log().std().item(),
        "nested_reversed_gradient": gradient,
        "nested_reversed_curvature": (theory.brockett_curvature(-prior.flip(0).cumsum(0).flip(0) / 2, s[:k].flip(0)))[
            0, 1
        ].item(),
    }


def l2_checks(moments: SecondMoments, penalties: Tensor, starts: Sequence[Tensor]) -> dict[str, float]:
    """Whether descents on loss (3) end at the ordered axes though eigenvalues beyond k are tied."""
    k = len(penalties)
    values = theory.l2_hessian_eigenvalues(moments.eigenvalues, penalties)
    steps = min(60_000, int(60 * values[-1] / values[0]))
    trained = train_regularised(
        moments,
        "nonuniform_l2",
        "gd",
        k,
        lr=0.5 / values[-1].item(),
        steps=steps,
        record_at=[steps],
        seeds=range(len(starts[0])),
        penalties=penalties,
        start=tuple(starts),
    )
    distance = ordered_axis_distance(trained.decoder, moments.U[:, :k])
    return {"tied_ends_ordered": (distance < 1e-4).double().mean().item()}


def svd_checks(moments: SecondMoments, k: int, starts: Sequence[Tensor]) -> dict[str, float]:
    """The axes of decoders trained with uniform l2, as they stand and by their singular vectors."""
    s, U = moments.eigenvalues, moments.U[:, :k]
    penalty = torch.full((k,), 0.3 * s[k - 1].item(), dtype=torch.float64)
    values = theory.class_hessian_eigenvalues(s, penalty, tuple(range(k)))
    off = values[k * (k - 1) // 2 :]  # all but the rotations
    steps = min(60_000, int(40 * off[-1] / off[0]))
    trained = train_regularised(
        moments,
        "uniform_l2",
        "gd",
        k,
        lr=0.5 / values[-1].item(),
        steps=steps,
        record_at=[steps],
        seeds=range(len(starts[0])),
        penalties=penalty,
        start=tuple(starts),
    )
    axes = theory.axes_by_svd(trained.decoder)
    return {
        "uniform_d_align": axis_distance(trained.decoder, U).mean().item(),
        "svd_d_align": axis_distance(axes, U).max().item(),
        "svd_d_align_ordered": ordered_axis_distance(axes, U).max().item(),
        "uniform_condition": (off[-1] / off[0]).item(),
    }


def valley_checks(s: Tensor, count: int, generator: torch.Generator) -> dict[str, float]:
    """Figure 1's ratio of curvatures over random admissible pairs of penalties, and at an extreme one."""
    drawn = (s[1] * torch.rand(count, 2, generator=generator, dtype=torch.float64)).sort(1).values
    ratios = torch.stack([theory.valley_ratio(s, pair) for pair in drawn if pair[0] < pair[1]])
    extreme = s[1] * torch.tensor([1e-6, 1 - 1e-6], dtype=torch.float64)
    floor = 2 * s[0] / s[1]
    return {
        "valley_median": ratios.median().item(),
        "valley_steep_share": (ratios >= 10).double().mean().item(),
        "valley_least_over_floor": (ratios.min() / floor).item(),
        "valley_extreme_over_floor": (theory.valley_ratio(s, extreme) / floor).item(),
    }


SCALARS = (
    "cosine_error",
    "cosine_slope_at_random",
    "roots_found",
    "roots_beyond_top",
    "cosine_slope_at_roots",
    "nested_ends_ordered",
    "nested_largest_distance",
    "nested_gauge_error",
    "nested_gauge_spread",
    "nested_reversed_gradient",
    "nested_reversed_curvature",
    "tied_ends_ordered",
    "uniform_d_align",
    "svd_d_align",
    "svd_d_align_ordered",
    "uniform_condition",
    "valley_median",
    "valley_steep_share",
    "valley_least_over_floor",
    "valley_extreme_over_floor",
)
MEASURES: dict[str, Measure] = scalars(SCALARS) | {
    "floor_over_valley": lambda run: 1 / run.scalars["valley_least_over_floor"]
}

EXPERIMENT = Experiment(Minima, presets, run, MEASURES)
