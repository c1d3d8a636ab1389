"""Sun 2021, equations 2 to 7 against autograd: the operator of real steps, nonlinear autoencoders, AdamW, float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from implicit_rank.chain import LinearChain, initial_layer
from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Result, run_each
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option
from implicit_rank.store import Spec
from implicit_rank.theory import effective as theory

__all__ = ["MEASURES", "EffectiveOperator", "presets", "run"]

F64 = torch.float64
DEEPEST_TRAINED = 16


@dataclass(frozen=True)
class EffectiveOperator(Spec):
    """One generic chain, one nonlinear autoencoder around it, and one seed."""

    experiment: ClassVar[str] = "effective_operator"

    depth: int = option(3, "number N of square linear layers", least=1, most=512)
    width: int = option(5, "width d", least=2, most=16)
    alpha: float = option(3.0, "re-parameterisation W = alpha What", above=0, most=100)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[EffectiveOperator]:
    """The depths 1, 2, 3, 5, 8 over six seeds (one below paper) and, for the limit of deep chains, narrow ones."""
    paper = profile == "paper"
    seeds = seeds or (tuple(range(6)) if paper else (0,))
    members = [
        EffectiveOperator(profile=profile, depth=depth, seed=seed) for depth in (1, 2, 3, 5, 8) for seed in seeds
    ]
    deep = (32, 128) if paper else ()
    return members + [
        EffectiveOperator(profile=profile, depth=depth, width=3, seed=seed) for depth in deep for seed in seeds[:3]
    ]


def run(
    specs: Sequence[EffectiveOperator],
    device: str = "cpu",
    progress: Callable[[float, str], None] | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Evaluate every check in float64 on the CPU (but what is about float32); nothing here is large."""

    def evaluate(spec: EffectiveOperator) -> tuple[dict[str, float], dict]:
        generator = torch.Generator().manual_seed(spec.seed)
        return {
            **operator_checks(spec, generator),
            **autoencoder_checks(spec, generator),
            **start_checks(spec, generator),
            # about optimisers, of which very deep chains tell nothing new
            **(decay_checks(spec) | precision_checks(spec) if spec.depth <= DEEPEST_TRAINED else {}),
        }, {}

    return run_each(specs, evaluate, progress, on_done)


def product(layers: Sequence[Tensor]) -> Tensor:
    """`W_N ... W_1`, differentiable."""
    result = layers[0]
    for layer in layers[1:]:
        result = layer @ result
    return result


def step_direction(layers: Sequence[Tensor], loss: Callable[[Sequence[Tensor]], Tensor]) -> Tensor:
    """The derivative (d, d) of W_e along one step of gradient descent on every layer, its gradients by autograd."""
    leaves = [layer.detach().clone().requires_grad_() for layer in layers]
    gradients = torch.autograd.grad(loss(leaves), leaves)
    # a step of imaginary size: the imaginary part is the derivative, without the rounding of a difference
    stepped = [leaf.detach() - 1e-100j * gradient for leaf, gradient in zip(leaves, gradients, strict=True)]
    return product(stepped).imag / 1e-100


def step_operator(layers: Sequence[Tensor]) -> Tensor:
    """The operator (d*d, d*d) that turns vec(dL/dW_e) into minus the step of vec(W_e), one basis gradient at a time."""
    width = len(layers[0])
    columns = []
    for entry in torch.eye(width * width, dtype=F64):
        gradient = entry.reshape(width, width).T  # vec stacks columns
        columns.append(-step_direction(layers, lambda leaves, G=gradient: (G * product(leaves)).sum()).T.reshape(-1))
    return torch.stack(columns, dim=1)


def operator_checks(spec: EffectiveOperator, generator: torch.Generator) -> dict[str, float]:
    """Compare P with the operator of real steps, whose symmetry and signs nothing in its making ensures."""
    W_e = torch.randn(spec.width, spec.width, generator=generator, dtype=F64) / spec.width**0.5
    layers = theory.balanced_chain(W_e, spec.depth, generator)
    found, P = step_operator(layers), theory.preconditioner(W_e, spec.depth)
    mu = theory.coefficients(torch.linalg.svdvals(W_e), spec.depth)
    values = torch.linalg.eigvalsh((found + found.T) / 2)
    small = [
        1e-3 ** (1 / spec.depth) * initial_layer(spec.width, "orthogonal", generator, F64) for _ in range(spec.depth)
    ]
    top = torch.linalg.matrix_norm(step_operator(small), 2).item()
    return {
        "operator_error": ((found - P).norm() / P.norm()).item(),
        "operator_asymmetry": ((found - found.T).norm() / found.norm()).item(),
        "operator_least": (values[0] / values.abs().max()).item(),
        "operator_spectrum_error": ((values - mu.flatten().sort().values).abs().max() / mu.max()).item(),
        "operator_top_over_printed": top / (spec.depth * 1e-6),
        "operator_top_error": abs(top / (spec.depth * 1e-3 ** (2 - 2 / spec.depth)) - 1),
    }


def autoencoder_checks(spec: EffectiveOperator, generator: torch.Generator) -> dict[str, float]:
    """Check equations 6 and 7 through an encoder, a decoder and a loss that are not linear, over a batch."""
    d, D, batch = spec.width, 9, 7

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=F64)

    A, B, C, X = normal(d, D), normal(6, d), normal(D, 6), normal(batch, D)
    layers = theory.balanced_chain(normal(d, d) / d**0.5, spec.depth, generator)
    codes = torch.tanh(X @ A.T)

    def loss_of(outputs: Tensor) -> Tensor:
        return (nn.functional.softplus(outputs @ B.T) @ C.T - X).cosh().log().mean()

    def loss(leaves: Sequence[Tensor]) -> Tensor:
        return loss_of(codes @ product(leaves).T)

    W_e = product(layers).requires_grad_()
    outputs = codes @ W_e.T
    outputs.retain_grad()
    loss_of(outputs).backward()
    target, outer = W_e.grad, outputs.grad
    means = batch * torch.outer(outer.mean(0), codes.mean(0))
    U, sigma, Vh = torch.linalg.svd(W_e.detach())
    mu = theory.coefficients(sigma, spec.depth)
    # equation 7 as printed: mode by mode, inner products with u_r and v_r', here summed over the batch
    pushes = torch.einsum("br,bq->rq", outer @ U, codes @ Vh.T)
    swapped = torch.einsum("br,bq->rq", outer @ Vh.T, codes @ U)
    actual = step_direction(layers, loss)

    def by_modes(table: Tensor) -> float:
        return ((-U @ (mu * table) @ Vh - actual).norm() / actual.norm()).item()

    return {
        "eq6_error": ((theory.batch_gradient(outer, codes) - target).norm() / target.norm()).item(),
        "eq6_means_error": ((means - target).norm() / target.norm()).item(),
        "eq7_error": by_modes(pushes),
        "eq7_swapped_error": by_modes(swapped),
    }


def start_checks(spec: EffectiveOperator, generator: torch.Generator) -> dict[str, float]:
    """Measure the spectrum of P at the standard start (Sun 2021, 2.3): its largest eigenvalue over its median one."""

    def spread(init: str) -> float:
        layers = [initial_layer(16, init, generator, F64) for _ in range(spec.depth)]
        # of 128 layers from the standard start nothing is left that float64 can hold: scale them as a whole
        W_e = layers[0]
        for layer in layers[1:]:
            W_e = layer @ W_e
            W_e = W_e / W_e.norm()
        mu = theory.coefficients(torch.linalg.svdvals(W_e), spec.depth)
        return (mu.max() / mu.median()).item()

    return {"spread_default": spread("default"), "spread_orthogonal": spread("orthogonal")}


def train(spec: EffectiveOperator, optimiser: type, alpha: float, steps: int, scale: float = 1.0, **options) -> tuple:
    """W_e before and after some steps on random regression, for `alpha` and `options` of the optimiser."""
    dtype = options.pop("dtype", F64)
    generator = torch.Generator().manual_seed(spec.seed)
    # drawn in float64 and rounded, so that both precisions start alike
    chain = LinearChain(spec.width, spec.depth, "orthogonal", alpha=alpha, generator=generator, dtype=F64).to(dtype)
    X, Y = torch.randn(2, 9, spec.width, generator=generator, dtype=F64).to(dtype)
    rule = optimiser(chain.parameters(), **options)
    start = chain.effective_matrix().detach().double()
    for _ in range(steps):
        rule.zero_grad()
        (scale * (chain(X) - Y).square().mean()).backward()
        rule.step()
    return start, chain.effective_matrix().detach().double()


def decay_checks(spec: EffectiveOperator) -> dict[str, float]:
    """Check what AdamW's decoupled decay has to become when alpha is taken into the learning rate."""
    alpha, lr, decay = spec.alpha, 0.01, 0.5
    _, ours = train(spec, torch.optim.AdamW, alpha, 20, lr=lr, weight_decay=decay)

    def gap(divided_by: float) -> float:
        options = {"lr": lr * alpha, "eps": 1e-8 / alpha, "weight_decay": decay / divided_by}
        start, plain = train(spec, torch.optim.AdamW, 1.0, 20, **options)
        return ((ours - plain).norm() / (plain - start).norm()).item()

    return {"alpha_adamw": gap(alpha), "alpha_adamw_squared": gap(alpha**2), "alpha_adamw_unchanged": gap(1.0)}


def precision_checks(spec: EffectiveOperator) -> dict[str, float]:
    """Compare training What with training W at the equivalent rate (Sun 2021, 2.4): rounding, and Adam's epsilon."""
    alpha, lr = spec.alpha, 0.01

    def rounding(a: float, rate: float) -> float:
        start, exact = train(spec, torch.optim.SGD, a, 200, lr=rate)
        _, rounded = train(spec, torch.optim.SGD, a, 200, lr=rate, dtype=torch.float32)
        return ((rounded - exact).norm() / (exact - start).norm()).item()

    def travel(a: float, rate: float) -> float:
        # gradients of the order of Adam's epsilon, 1e-8
        start, end = train(spec, torch.optim.Adam, a, 20, scale=1e-8, lr=rate)
        return (end - start).norm().item()

    return {
        "rounding_over_plain": rounding(alpha, lr) / rounding(1.0, lr * alpha**2),
        "adam_travel_over_plain": travel(alpha, lr) / travel(1.0, lr * alpha),
    }


MEASURES: dict[str, Measure] = scalars(
    (
        "operator_error",
        "operator_asymmetry",
        "operator_least",
        "operator_spectrum_error",
        "operator_top_over_printed",
        "operator_top_error",
        "eq6_error",
        "eq6_means_error",
        "eq7_error",
        "eq7_swapped_error",
        "spread_default",
        "spread_orthogonal",
        "alpha_adamw",
        "alpha_adamw_squared",
        "alpha_adamw_unchanged",
        "rounding_over_plain",
        "adam_travel_over_plain",
    )
)

EXPERIMENT = Experiment(EffectiveOperator, presets, run, MEASURES)
