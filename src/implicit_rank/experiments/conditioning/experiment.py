"""Bao 2020, 4.3 and 5: exact condition numbers at the optimum against the printed bounds and ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from implicit_rank.data import second_moments
from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Progress, Result, run_each
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import option
from implicit_rank.store import Spec
from implicit_rank.theory import landscape as theory
from implicit_rank.theory.landscape.hessian import pair_block
from implicit_rank.theory.rotation import rag_decay_rates

__all__ = ["MEASURES", "Conditioning", "presets", "run"]

SPECTRA = ("equal", "geometric", "clustered", "random", "adversarial", "near_tie", "mnist")


@dataclass(frozen=True)
class Conditioning(Spec):
    """One spectrum of one latent width: the k x k head of the Hessian, which no input width can improve."""

    experiment: ClassVar[str] = "conditioning"

    spectrum: str = option("equal", "shape of the top k eigenvalues", choices=SPECTRA)
    k: int = option(6, "latent width", least=2, most=128)


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Conditioning]:
    """The spectra over widths; random and adversarial ones over the seeds, the others once."""
    if profile != "paper":
        widths = (3, 4) if profile == "smoke" else (2, 3, 4, 6, 8)
        drawn = seeds or ((0,) if profile == "smoke" else (0, 1))
        fixed, searched, tied = ("equal",), (3,) if profile == "smoke" else (3, 6), (3,)
    else:
        widths, drawn = (2, 3, 4, 6, 8, 12, 16, 20, 32), seeds or (0, 1, 2, 3, 4)
        fixed, searched = ("equal", "geometric", "clustered", "mnist"), (3, 4, 6, 8, 10, 12)
        tied = (2, 3, 4, 6, 8, 12)
    return [
        *(Conditioning(profile=profile, spectrum=name, k=k) for name in fixed for k in widths),
        *(Conditioning(profile=profile, spectrum="random", k=k, seed=seed) for k in widths for seed in drawn),
        *(Conditioning(profile=profile, spectrum="adversarial", k=k, seed=seed) for k in searched for seed in drawn),
        *(Conditioning(profile=profile, spectrum="near_tie", k=k, seed=seed) for k in tied for seed in drawn),
    ]


def run(
    specs: Sequence[Conditioning],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Compute every member's condition numbers and bounds, in float64 on the CPU whatever `device` says."""
    return run_each(specs, evaluate, progress, on_done)


def evaluate(spec: Conditioning) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """A member's condition numbers and bounds, and its eigenvalues."""
    s = eigenvalues(spec)
    scalars, arrays = condition_numbers(s)
    return scalars, {"s": s.numpy(), **arrays}


def eigenvalues(spec: Conditioning) -> Tensor:
    """The top k eigenvalues `(k,)` of a member, descending and distinct."""
    k, generator = spec.k, torch.Generator().manual_seed(spec.seed)
    if spec.spectrum == "equal":
        return torch.arange(k, 0, -1, dtype=torch.float64)
    if spec.spectrum == "geometric":
        return torch.logspace(1, 0, k, dtype=torch.float64)
    if spec.spectrum == "clustered":
        return torch.cat([torch.linspace(10, 9.5, k - 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)])
    if spec.spectrum == "mnist":
        return second_moments("mnist").eigenvalues[:k].clone()
    if spec.spectrum in ("random", "near_tie"):
        gaps = 0.1 + torch.rand(k, generator=generator, dtype=torch.float64)
        if spec.spectrum == "near_tie":  # gaps[0] is s_k itself: one of the others shrinks 10 to 10,000 times
            pair = 1 + int(torch.randint(k - 1, (), generator=generator))
            gaps[pair] *= 10 ** -(1 + 3 * torch.rand((), generator=generator, dtype=torch.float64))
        return 10 * (gaps.cumsum(0) / gaps.sum()).flip(0)
    return adversarial_eigenvalues(k, generator)


def condition_numbers(s: Tensor) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Exact condition numbers, for the best and for plain penalties and priors, and all bounds; `s` (k,)."""
    k = len(s)
    best, linear = theory.best_penalties(s), theory.linear_penalties(s)
    prior = theory.best_prior(s)
    uniform, geometric = (theory.nested_dropout_prior(kind, k) for kind in ("uniform", "geometric"))
    rates = rag_decay_rates(s, k)
    scalars = {
        "l2_best": theory.l2_condition_number(s, best),
        "l2_linear": theory.l2_condition_number(s, linear),
        "l2_printed": theory.l2_bound_printed(s),
        "l2_quadratic": theory.l2_bound_quadratic(s),
        "l2_rotation": theory.l2_bound_rotation(s),
        "l2_gap": theory.l2_bound_gap(s),
        "l2_near_tie": theory.l2_bound_near_tie(s),
        "l2_sharp": theory.l2_bound_sharp(s),
        "l2_steepest_over_scaling": theory.l2_hessian_eigenvalues(s, best)[-1] / theory.scaling_curvature(s, best)[0],
        "nested_best": theory.nested_dropout_condition_number(s, prior),
        "nested_uniform": theory.nested_dropout_condition_number(s, uniform),
        "nested_geometric": theory.nested_dropout_condition_number(s, geometric),
        "nested_printed": theory.nested_dropout_bound_printed(s),
        "nested_sharp": theory.nested_dropout_bound_sharp(s),
        "rag": rates[-1] / rates[rates > 1e-12 * rates[-1]][0],
    }
    return {name: float(value) for name, value in scalars.items()}, {"penalties": best.numpy(), "prior": prior.numpy()}


def adversarial_eigenvalues(k: int, generator: torch.Generator) -> Tensor:
    """Search for the spectrum on which the exact condition number exceeds the printed l2 bound by the least factor.

    Spectrum and penalties are descended together (L-BFGS on soft maxima, from a random start).
    """
    first, second = torch.triu_indices(k, k, 1)

    def parts(z: Tensor) -> tuple[Tensor, Tensor]:
        gaps = z[:k].clamp(-12, 12).exp()
        s = 1 + gaps[1:].flip(0).cumsum(0).flip(0)
        s = torch.cat([s, torch.ones(1, dtype=torch.float64)]) * gaps[0]
        return s, s[-1] * torch.softmax(z[k:], 0).cumsum(0)[:-1]

    def excess(z: Tensor, beta: float) -> Tensor:
        s, lam = parts(z)
        blocks = pair_block(s[first], s[second], lam[first], lam[second])
        values = torch.cat([4 * (s - lam), 4 * lam, torch.linalg.eigvalsh(blocks).flatten()]).clamp(min=1e-300).log()
        condition = (torch.logsumexp(beta * values, 0) + torch.logsumexp(-beta * values, 0)) / beta
        bound = 2 * (k - 1) * (s[0] - s[-1]) * (s[1:-1] - s[-1]).sum() / (s[0] * s[-1])
        return condition - bound.log()

    def value_and_slope(z: np.ndarray, beta: float) -> tuple[float, np.ndarray]:
        z = torch.from_numpy(z).requires_grad_()
        value = excess(z, beta)
        (slope,) = torch.autograd.grad(value, z)
        return float(value.detach()), slope.nan_to_num().numpy()

    z = torch.randn(2 * k + 1, generator=generator, dtype=torch.float64).numpy()
    for beta in (10.0, 40.0, 160.0, 640.0):
        z = minimize(value_and_slope, z, args=(beta,), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return parts(torch.from_numpy(z))[0]


def _ratio(above: str, below: str) -> Callable:
    def measure(run) -> float:
        return run.scalars[above] / run.scalars[below] if run.scalars[below] else np.inf

    return measure


SCALARS = (
    "l2_best",
    "l2_linear",
    "l2_printed",
    "l2_quadratic",
    "l2_rotation",
    "l2_gap",
    "l2_near_tie",
    "l2_sharp",
    "l2_steepest_over_scaling",
    "nested_best",
    "nested_uniform",
    "nested_geometric",
    "nested_printed",
    "nested_sharp",
    "rag",
)
MEASURES: dict[str, Measure] = scalars(SCALARS) | {
    "l2_over_printed": _ratio("l2_best", "l2_printed"),
    "l2_over_sharp": _ratio("l2_best", "l2_sharp"),
    "nested_over_sharp": _ratio("nested_best", "nested_sharp"),
    "l2_printed_over_exact": _ratio("l2_printed", "l2_best"),
    "l2_sharp_over_exact": _ratio("l2_sharp", "l2_best"),
    "l2_near_tie_over_exact": _ratio("l2_near_tie", "l2_best"),
    "l2_printed_over_sharp": _ratio("l2_printed", "l2_sharp"),
    "nested_printed_over_exact": _ratio("nested_printed", "nested_best"),
    "nested_sharp_over_exact": _ratio("nested_sharp", "nested_best"),
    "nested_geometric_over_uniform": _ratio("nested_geometric", "nested_uniform"),
    "rag_over_l2": _ratio("rag", "l2_best"),
    "rag_over_nested": _ratio("rag", "nested_best"),
}

EXPERIMENT = Experiment(Conditioning, presets, run, MEASURES)
