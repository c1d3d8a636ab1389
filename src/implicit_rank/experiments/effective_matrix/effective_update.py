"""Sun 2021, equations 1 to 7 and what the text says of alpha, tried out on generic chains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.stats import linregress
from torch import Tensor

from implicit_rank.chain import LinearChain, initial_layer
from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Result, run_each
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear.deep import DeepEnsemble, DeepMember, train_deep
from implicit_rank.linear.loop import descend
from implicit_rank.linear.optimisers import GradientDescent
from implicit_rank.parameters import option
from implicit_rank.store import Spec
from implicit_rank.theory import effective as theory

__all__ = ["MEASURES", "EffectiveUpdate", "presets", "run"]

STEP_SIZES = (1e-3, 3e-4, 1e-4, 3e-5)


@dataclass(frozen=True)
class EffectiveUpdate(Spec):
    """One generic chain: a width, a depth and a seed."""

    experiment: ClassVar[str] = "effective_update"

    depth: int = option(3, "number N of square linear layers", least=1, most=64)
    width: int = option(6, "width d", least=2, most=32)
    alpha: float = option(3.0, "re-parameterisation W = alpha What", above=0, most=100)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[EffectiveUpdate]:
    """The depths 1, 2, 3, 5, 8 of chapter 1 over five seeds (one at smoke)."""
    seeds = seeds or ((0,) if profile == "smoke" else (0, 1, 2, 3, 4))
    return [EffectiveUpdate(profile=profile, depth=depth, seed=seed) for depth in (1, 2, 3, 5, 8) for seed in seeds]


def run(
    specs: Sequence[EffectiveUpdate],
    device: str = "cpu",
    progress: Callable[[float, str], None] | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Evaluate every check on every chain, in float64 on the CPU whatever `device` says: nothing here is large."""

    def evaluate(spec: EffectiveUpdate) -> tuple[dict[str, float], dict]:
        generator = torch.Generator().manual_seed(spec.seed)
        scalars = {
            **update_checks(spec, generator),
            **coefficient_checks(spec, generator),
            **start_checks(spec, generator),
            **alpha_checks(spec),
        }
        return scalars, {}

    return run_each(specs, evaluate, progress, on_done)


def draw_chain(spec: EffectiveUpdate, generator: torch.Generator) -> tuple[list[Tensor], Tensor]:
    """Draw a balanced chain with a generic, non-flat spectrum and a generic gradient, both of width d."""
    W_e, gradient = torch.randn(2, spec.width, spec.width, generator=generator, dtype=torch.float64)
    return theory.balanced_chain(W_e / spec.width**0.5, spec.depth, generator), gradient


def stepped(layers: Sequence[Tensor], gradient: Tensor, lr: float) -> list[Tensor]:
    """The layers after one step of gradient descent on each."""
    return [layer - lr * g for layer, g in zip(layers, theory.layer_gradients(layers, gradient), strict=True)]


def update_error(layers: Sequence[Tensor], gradient: Tensor, lr: float) -> float:
    """The relative error of equation 2 against one actual step of gradient descent on the layers."""
    W_e = theory.effective_matrix(layers)
    actual = theory.effective_matrix(stepped(layers, gradient, lr)) - W_e
    predicted = theory.predicted_update(W_e, gradient, len(layers), lr)
    return ((actual - predicted).norm() / actual.norm()).item()


def first_order_error(layers: Sequence[Tensor], gradient: Tensor) -> float:
    """The relative error of equation 2 against the exact first order of a step: zero for balanced chains."""
    actual = theory.first_order_update(layers, gradient, 1.0)
    predicted = theory.predicted_update(theory.effective_matrix(layers), gradient, len(layers), 1.0)
    return ((actual - predicted).norm() / actual.norm()).item()


def update_checks(spec: EffectiveUpdate, generator: torch.Generator) -> dict[str, float]:
    """Check equations 1 to 4, 6 and 7, the exact change of the balance, and that a wrong vec convention would show."""
    layers, gradient = draw_chain(spec, generator)
    W_e = theory.effective_matrix(layers)
    errors = [update_error(layers, gradient, lr) for lr in STEP_SIZES]
    P = theory.preconditioner(W_e, spec.depth)
    vec = gradient.T.reshape(-1)  # columns stacked
    modes = theory.predicted_update(W_e, gradient, spec.depth, 1.0).T.reshape(-1)
    wrong = P @ gradient.reshape(-1)  # rows stacked against a column-major P
    unbalanced = [layer + 0.3 * torch.randn(layer.shape, generator=generator, dtype=torch.float64) for layer in layers]
    lr = 0.1  # large: the identity for the balance is exact at any step
    after = theory.imbalance(stepped(unbalanced, gradient, lr))
    expected = theory.imbalance_step(unbalanced, gradient, lr)
    change = [(a - b - e).abs().max() for a, b, e in zip(after, theory.imbalance(unbalanced), expected, strict=True)]
    outer, codes = torch.randn(2, 7, spec.width, generator=generator, dtype=torch.float64)
    target = torch.einsum("ni,nj->ij", outer, codes)
    means = len(codes) * torch.outer(outer.mean(0), codes.mean(0))
    return {
        # a single layer has no second order, so its error is rounding at every step and has no slope
        "update_slope": linregress(np.log(STEP_SIZES), np.log(errors)).slope if spec.depth > 1 else np.nan,
        "first_order_error": first_order_error(layers, gradient),
        "modes_error": ((P @ vec + modes).norm() / modes.norm()).item(),
        "wrong_vec_error": ((wrong + modes).norm() / modes.norm()).item(),
        "asymmetry": (P - P.T).abs().max().item() / P.abs().max().item(),
        "least_eigenvalue": torch.linalg.eigvalsh((P + P.T) / 2)[0].item(),
        "imbalance_step_error": max((c.item() for c in change), default=0.0),
        "batch_error": ((theory.batch_gradient(outer, codes) - target).norm() / target.norm()).item(),
        "batch_of_means_error": ((means - target).norm() / target.norm()).item(),
    }


def coefficient_checks(spec: EffectiveUpdate, generator: torch.Generator) -> dict[str, float]:
    """Check equation 5's eigenvalues, closed form and limit, and the largest coefficient against N sigma_1^2."""
    N = spec.depth
    W_e = torch.randn(spec.width, spec.width, generator=generator, dtype=torch.float64)
    sigma = torch.linalg.svdvals(W_e)
    mu = theory.coefficients(sigma, N)
    # straight from the proof, without a singular vector: matrix powers and Kronecker products
    P = sum(torch.kron(_power(W_e.T @ W_e, (j - 1) / N), _power(W_e @ W_e.T, (N - j) / N)) for j in range(1, N + 1))
    deep = theory.coefficients(sigma, 4000) / 4000
    return {
        "preconditioner_error": ((P - theory.preconditioner(W_e, N)).abs().max() / P.abs().max()).item(),
        "mu_eigenvalue_error": ((mu.flatten().sort().values - torch.linalg.eigvalsh(P)) / mu.max()).abs().max().item(),
        "mu_asymmetry": (mu - mu.T).abs().max().item(),
        "mu_closed_error": (mu / theory.coefficients_closed_form(sigma, N) - 1).abs().max().item(),
        "mu_limit_error": (deep / theory.coefficients_limit(sigma) - 1).abs().max().item(),
        "mu_top_error": abs(mu[0, 0].item() / (N * sigma[0].item() ** (2 * (N - 1) / N)) - 1),
        "mu_top_over_printed": theory.coefficients(torch.tensor([1e-3], dtype=torch.float64), N)[0, 0].item()
        / (N * 1e-6),
    }


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A positive semi-definite matrix to a power."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0) ** exponent) @ vectors.T


def start_checks(spec: EffectiveUpdate, generator: torch.Generator) -> dict[str, float]:
    """Check what balanced, orthogonal and merely small starts do to equation 2, fresh and in a trained autoencoder."""
    N, d = spec.depth, 16
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    gradient = normal(d, d)
    scale = 1e-3 ** (1 / N)
    orthogonal = [scale * initial_layer(d, "orthogonal", generator, torch.float64) for _ in range(N)]
    P = theory.preconditioner(theory.effective_matrix(orthogonal), N)
    flat = theory.coefficients(torch.tensor([1e-3], dtype=torch.float64), N)[0, 0] * torch.eye(
        d * d, dtype=torch.float64
    )
    small = [1e-3 * normal(d, d) / d**0.5 for _ in range(N)]
    relative = [
        (gap.norm() / (low @ low.T).norm()).item() for gap, low in zip(theory.imbalance(small), small[:-1], strict=True)
    ]
    # a chain of scaled orthogonal maps is c I with the decoder rotated, so its losses agree at every step
    X, encoder, decoder = normal(24, 3) @ normal(3, 20) + 0.1 * normal(24, 20), 0.2 * normal(d, 20), 0.2 * normal(20, d)
    turned = theory.effective_matrix([layer / scale for layer in orthogonal])
    eye = scale * torch.eye(d, dtype=torch.float64)
    steps = 400
    pair = [
        DeepMember(X, encoder, decoder, tuple(orthogonal), 2.0, 0.05, 0.05 / N),
        DeepMember(X, encoder, decoder @ turned, (eye,) * N, 2.0, 0.05, 0.05 / N),
    ]
    descent, _ = train_deep([replace_alpha(member) for member in pair], steps, range(0, steps + 1, 20))
    losses = descent.series["loss"]
    default = tuple(initial_layer(d, "default", generator, torch.float64) for _ in range(N))
    return {
        "orthogonal_flatness": ((P - flat).abs().max() / flat.max()).item(),
        "small_imbalance": max(relative, default=0.0),
        "small_update_error": first_order_error(small, gradient),
        "identity_error": (losses[0] / losses[1] - 1).abs().max().item(),
        "trained_error_orthogonal": trained_error(replace_alpha(pair[0]), steps),
        "trained_error_default": trained_error(DeepMember(X, encoder, decoder, default, 1.0, 0.05, 0.05), steps),
    }


def replace_alpha(member: DeepMember) -> DeepMember:
    """The member with its layers divided by alpha, so that alpha changes the pace and not the start."""
    layers = tuple(layer / member.alpha for layer in member.layers)
    return DeepMember(member.data, member.encoder, member.decoder, layers, member.alpha, member.lr, member.chain_lr)


def trained_error(member: DeepMember, steps: int) -> float:
    """The largest relative error of equation 2's first order at ten moments of a training run."""
    ensemble = DeepEnsemble([member], member.data.numel())
    moments = range(steps // 10, steps + 1, steps // 10)
    descent = descend(
        ensemble.parameters,
        ensemble.gradients,
        GradientDescent(ensemble.rates),
        steps,
        moments,
        lambda step, parameters, loss: {name: value.clone() for name, value in parameters.items()},
    )
    errors = []
    for t in range(len(moments)):
        weights = {name: series[0, t] for name, series in descent.series.items() if name != "loss"}
        layers = [member.alpha * value for name, value in weights.items() if name.startswith("layer_")]
        codes = member.data @ weights["encoder"].T
        output = codes @ theory.effective_matrix(layers).T @ weights["decoder"].T
        outer = 2 * (output - member.data) @ weights["decoder"] / member.data.numel()
        errors.append(first_order_error(layers, theory.batch_gradient(outer, codes)))
    return max(errors)


def alpha_checks(spec: EffectiveUpdate) -> dict[str, float]:
    """Check which learning rate alpha stands for, under SGD, momentum and Adam, and what weight decay has to become."""
    alpha, lr = spec.alpha, 0.01

    def gap(optimiser: Callable, plain: dict, **reparameterised) -> float:
        ends = []
        for a, options in ((alpha, reparameterised), (1.0, plain)):
            generator = torch.Generator().manual_seed(spec.seed)
            chain = LinearChain(spec.width, spec.depth, "orthogonal", alpha=a, generator=generator, dtype=torch.float64)
            X, Y = torch.randn(2, 9, spec.width, generator=generator, dtype=torch.float64)
            rule = optimiser(chain.parameters(), **options)
            start = chain.effective_matrix().detach()
            for _ in range(20):
                rule.zero_grad()
                (chain(X) - Y).square().mean().backward()
                rule.step()
            ends.append(chain.effective_matrix().detach())
        return ((ends[0] - ends[1]).norm() / (ends[1] - start).norm()).item()

    sgd, adam = torch.optim.SGD, torch.optim.Adam
    decay = 0.02
    return {
        "alpha_sgd": gap(sgd, {"lr": lr * alpha**2}, lr=lr),
        "alpha_momentum": gap(sgd, {"lr": lr * alpha**2, "momentum": 0.9}, lr=lr, momentum=0.9),
        "alpha_decay": gap(sgd, {"lr": lr * alpha**2, "weight_decay": decay / alpha**2}, lr=lr, weight_decay=decay),
        "alpha_adam": gap(adam, {"lr": lr * alpha, "eps": 1e-8 / alpha}, lr=lr),
        "alpha_adam_squared": gap(adam, {"lr": lr * alpha**2, "eps": 1e-8 / alpha}, lr=lr),
    }


MEASURES: dict[str, Measure] = scalars(
    (
        "update_slope",
        "first_order_error",
        "modes_error",
        "wrong_vec_error",
        "asymmetry",
        "least_eigenvalue",
        "imbalance_step_error",
        "batch_error",
        "batch_of_means_error",
        "preconditioner_error",
        "mu_eigenvalue_error",
        "mu_asymmetry",
        "mu_closed_error",
        "mu_limit_error",
        "mu_top_error",
        "mu_top_over_printed",
        "orthogonal_flatness",
        "small_imbalance",
        "small_update_error",
        "identity_error",
        "trained_error_orthogonal",
        "trained_error_default",
        "alpha_sgd",
        "alpha_momentum",
        "alpha_decay",
        "alpha_adam",
        "alpha_adam_squared",
    )
)

EXPERIMENT = Experiment(EffectiveUpdate, presets, run, MEASURES)
