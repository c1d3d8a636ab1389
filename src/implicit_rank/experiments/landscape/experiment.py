"""Bao 2020, 4.1 and 4.2 and Figure 1: all stationary points of the non-uniform l2 loss, on generic instances."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from implicit_rank.data.moments import SecondMoments, moments_with
from implicit_rank.experiments.kit.measures import Measure, scalars
from implicit_rank.experiments.kit.result import Progress, Result, run_each
from implicit_rank.experiments.landscape.descent import descent_checks, plane_checks, root_checks
from implicit_rank.experiments.register import Experiment
from implicit_rank.parameters import ParameterError, option
from implicit_rank.store import Spec
from implicit_rank.theory import landscape as theory

__all__ = ["MEASURES", "Landscape", "presets", "run"]

CLASSES_CHECKED = 40  # whose full Hessian is also built by autograd


@dataclass(frozen=True)
class Landscape(Spec):
    """One generic instance: a spectrum, axes and admissible penalties drawn from the seed."""

    experiment: ClassVar[str] = "landscape"

    D: int = option(5, "input width", least=2, most=12)
    k: int = option(3, "latent width", least=1, most=6)
    starts: int = option(20, "random starts of gradient descent", least=1, most=500)
    roots: int = option(300, "random starts of the root finder", least=1, most=5000)

    def __post_init__(self):
        super().__post_init__()
        if self.k >= self.D:
            raise ParameterError(f"k must be smaller than D = {self.D}, not {self.k}.")


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Landscape]:
    """Instances of three shapes over the seeds (one small shape at smoke)."""
    if profile == "smoke":
        return [Landscape(profile=profile, D=4, k=2, starts=6, roots=60, seed=seed) for seed in seeds or (0,)]
    shapes = ((4, 2), (5, 3), (6, 3)) if profile == "paper" else ((5, 3),)
    seeds = seeds or ((0, 1, 2, 3, 4) if profile == "paper" else (0, 1))
    return [Landscape(profile=profile, D=D, k=k, seed=seed) for D, k in shapes for seed in seeds]


def run(
    specs: Sequence[Landscape],
    device: str = "cpu",
    progress: Progress | None = None,
    on_done: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Check every statement on every instance, in float64 on the CPU whatever `device` says."""
    return run_each(specs, evaluate, progress, on_done)


def evaluate(spec: Landscape) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Draw a member's instance and check every statement on it."""
    moments, s, lam = draw(spec)
    scalars = {
        **symmetry_checks(moments.C, spec),
        **class_checks(moments, s, lam),
        **root_checks(moments, lam, spec.roots, spec.seed),
        **descent_checks(moments, s, lam, spec.starts, spec.seed),
        **plane_checks(s, lam),
    }
    arrays = {"s": s.numpy(), "penalties": lam.numpy()}
    return scalars, arrays


def draw(spec: Landscape) -> tuple[SecondMoments, Tensor, Tensor]:
    """Draw distinct eigenvalues, axes, and penalties below the k-th eigenvalue, none of them close to another."""
    generator = torch.Generator().manual_seed(spec.seed)
    uniform = lambda n: torch.rand(n, generator=generator, dtype=torch.float64)  # noqa: E731
    s = 0.5 + (0.4 + uniform(spec.D)).cumsum(0).flip(0)
    shares = (0.3 + uniform(spec.k + 1)).cumsum(0)
    return moments_with(s, generator), s, s[spec.k - 1] * shares[:-1] / shares[-1]


def flat_hessian(loss: Callable[[Tensor, Tensor], Tensor], W1: Tensor, W2: Tensor) -> Tensor:
    """The whole Hessian `(2 k D, 2 k D)` of a loss of (W1, W2) by autograd."""
    k, D = W1.shape
    start = torch.cat([W1.flatten(), W2.flatten()])
    return torch.autograd.functional.hessian(lambda v: loss(v[: k * D].view(k, D), v[k * D :].view(D, k)), start)


def symmetry_checks(C: Tensor, spec: Landscape) -> dict[str, float]:
    """Check the moment form, and which symmetries losses (1) and (2) have."""
    g = torch.Generator().manual_seed(spec.seed + 1)
    normal = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    D, k, n = spec.D, spec.k, 3 * spec.D
    W1, W2, A, X = normal(k, D), normal(D, k), normal(k, k) + 2 * torch.eye(k), normal(D, n)
    O = torch.linalg.qr(A)[0]  # noqa: E741
    lam = torch.linspace(0.2, 1.0, k, dtype=torch.float64)
    direct = (X - W2 @ W1 @ X).square().sum() / n
    weighted = direct + (lam.sqrt()[:, None] * W1).square().sum() + (W2 * lam.sqrt()).square().sum()
    relative = lambda a, b: (a / b - 1).abs().item()  # noqa: E731
    loss, uniform = theory.reconstruction_loss(W1, W2, C), theory.l2_loss(W1, W2, C, 0.3)
    s, _ = torch.linalg.eigh(C)
    zeros = theory.class_hessian_eigenvalues(s.flip(0), torch.full((k,), 0.3 * s[-k].item()), tuple(range(k)))
    return {
        "moment_error": max(
            relative(theory.reconstruction_loss(W1, W2, X @ X.T / n), direct),
            relative(theory.l2_loss(W1, W2, X @ X.T / n, lam), weighted),
        ),
        "invariance_error": relative(theory.reconstruction_loss(A @ W1, W2 @ A.inverse(), C), loss),
        "uniform_orthogonal_error": relative(theory.l2_loss(O @ W1, W2 @ O.T, C, 0.3), uniform),
        "uniform_linear_change": relative(theory.l2_loss(A @ W1, W2 @ A.inverse(), C, 0.3), uniform),
        "uniform_zero_modes_off": float(int((zeros.abs() < 1e-9 * zeros[-1]).sum()) - k * (k - 1) // 2),
    }


def class_checks(moments: SecondMoments, s: Tensor, lam: Tensor) -> dict[str, float]:
    """Check the form of Theorem 2 as printed and as corrected, losses, Hessian spectra, indices, and Theorem 3."""
    k, U, C = len(lam), moments.U, moments.C
    classes = list(theory.stationary_classes(s, lam))
    step = max(1, len(classes) // CLASSES_CHECKED)
    ordered = tuple(range(k))
    gradient, loss_error, spectrum_error, index_error = 0.0, 0.0, 0.0, 0
    for n, assignment in enumerate(classes):
        W1, W2 = theory.stationary_point(U, s, lam, assignment)
        gradient = max(gradient, max(x.abs().max().item() for x in theory.l2_gradients(W1, W2, C, lam)))
        gap = theory.class_loss(s, lam, assignment) - theory.l2_loss(W1, W2, C, lam)
        loss_error = max(loss_error, gap.abs().item())
        if n % step == 0 or assignment == ordered:
            exact = torch.linalg.eigvalsh(flat_hessian(lambda a, b: theory.l2_loss(a, b, C, lam), W1, W2))
            blocks = theory.class_hessian_eigenvalues(s, lam, assignment)
            spectrum_error = max(spectrum_error, ((blocks - exact).abs().max() / exact[-1]).item())
            index_error += abs(theory.class_index(s, lam, assignment) - int((exact < -1e-9 * exact[-1]).sum()))
    minima = [a for a in classes if theory.class_index(s, lam, a) == 0]
    others = [theory.class_loss(s, lam, a).item() for a in classes if a != ordered]
    printed = [
        torch.cat([x.flatten() for x in theory.l2_gradients(*theory.printed_stationary_point(U, s, lam, p), C, lam)])
        for p in itertools.permutations(range(k))
        if p != ordered
    ]
    beyond = [a for a in classes if any(i is not None and i >= k for i in a)]
    return {
        "classes": float(len(classes)),
        "classes_beyond_top": float(len(beyond)),
        "corrected_gradient": gradient,
        "printed_gradient": min((x.norm().item() for x in printed), default=np.nan),
        "class_loss_error": loss_error,
        "spectrum_error": spectrum_error,
        "index_disagreements": float(index_error),
        "minima": float(len(minima)),
        "minimum_is_ordered": float(minima == [ordered]),
        # negative if another class had the least loss
        "loss_margin": min(others) - theory.class_loss(s, lam, ordered).item(),
        "sorted_but_wrong": float(sorted_but_wrong(s, lam)),
    }


def sorted_but_wrong(s: Tensor, lam: Tensor) -> bool:
    """Say whether two units in the wrong order can have magnitudes in the right one and still be a saddle.

    The two strongest components and penalties chosen for it serve as the witness; the proof sketch of
    Theorem 3 takes sorted magnitudes for the right order.
    """
    if len(lam) < 2:
        return True
    pair = torch.stack([0.1 * s[1], 0.9 * s[1]])
    swapped = (1, 0)
    sizes = 1 - pair / s[list(swapped)]
    return bool(sizes[0] > sizes[1]) and theory.class_index(s, pair, swapped) > 0


SCALARS = (
    "moment_error",
    "invariance_error",
    "uniform_orthogonal_error",
    "uniform_linear_change",
    "uniform_zero_modes_off",
    "classes",
    "classes_beyond_top",
    "corrected_gradient",
    "printed_gradient",
    "class_loss_error",
    "spectrum_error",
    "index_disagreements",
    "minima",
    "minimum_is_ordered",
    "loss_margin",
    "sorted_but_wrong",
    "roots_found",
    "transpose_error",
    "form_error",
    "classes_found",
    "descents_to_optimum",
    "norm_error",
    "final_transpose",
    "ring_radius_error",
    "valley_ratio",
    "steps_to_ring",
    "steps_to_axes",
)

MEASURES: dict[str, Measure] = scalars(SCALARS) | {
    "roots_share": lambda run: run.scalars["roots_found"] / run.spec["roots"],
    "classes_missed": lambda run: run.scalars["classes"] - run.scalars["classes_found"],
    "stage_ratio": lambda run: run.scalars["steps_to_axes"] / run.scalars["steps_to_ring"],
}

EXPERIMENT = Experiment(Landscape, presets, run, MEASURES)
