"""Learners of principal axes that have one matrix, all members at once: Sanger's rule, Oja's two, EigenGame.

Each moves rows W (m, k, D) along a direction that is no gradient of a loss. `train_hebbian` runs them through the
loop that trains the autoencoders, with W^T in the place of the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from implicit_rank.data.moments import SecondMoments
from implicit_rank.linear.loop import Descent, Parameters, descend
from implicit_rank.linear.operators import DiagonalMoments, Moments
from implicit_rank.linear.optimisers import GradientDescent
from implicit_rank.spectra import axis_distance, ordered_axis_distance, subspace_distance
from implicit_rank.theory.rotation import oja_weights


def generalised_hebbian(W: Tensor, moments: Moments) -> Tensor:
    """The direction `W C - lower_0(W C W^T) W`, `(m, k, D)`: Oja's rule with deflation (Sanger 1989).

    Book: eq-bao-gha
    """
    codes = moments.times(W)
    return codes - (codes @ W.mT).tril() @ W


def oja_subspace(W: Tensor, moments: Moments) -> Tensor:
    """The direction `W C - W C W^T W`, `(m, k, D)`, which finds the principal subspace and no axes in it (Oja 1989).

    Book: eq-bao-oja
    """
    codes = moments.times(W)
    return codes - codes @ W.mT @ W


def oja_weighted(W: Tensor, moments: Moments) -> Tensor:
    """The direction `W C - Theta W C W^T W`, `(m, k, D)`, Theta = diag(1 + (i - 1) / k) (Oja 1992).

    Book: eq-bao-oja-weighted
    """
    codes = moments.times(W)
    return codes - oja_weights(W.shape[1]).to(W).unsqueeze(1) * (codes @ W.mT @ W)


def eigengame(W: Tensor, moments: Moments) -> Tensor:
    """The direction of every player's utility on the sphere, `(m, k, D)`, for rows of length one (Gemp 2021).

    Player i ascends `2 C (v_i - sum over j < i of (v_i^T C v_j) / (v_j^T C v_j) v_j)`, less its part along v_i.

    Book: eq-bao-eigengame
    """
    codes = moments.times(W)
    M = codes @ W.mT
    parents = (M / M.diagonal(dim1=1, dim2=2).unsqueeze(1)).tril(-1)
    slope = 2 * (codes - parents @ codes)
    return slope - (slope * W).sum(2, keepdim=True) * W


LEARNERS: dict[str, Callable[[Tensor, Moments], Tensor]] = {
    "gha": generalised_hebbian,
    "oja": oja_subspace,
    "weighted_oja": oja_weighted,
    "eigengame": eigengame,
}


class _OnSpheres(GradientDescent):
    """Gradient descent whose every row is brought back to length one."""

    def _move(self, name: str, parameter: Tensor, direction: Tensor) -> None:
        super()._move(name, parameter, direction)
        parameter.div_(parameter.norm(dim=2, keepdim=True))


def train_hebbian(
    moments: SecondMoments,
    learner: str,
    start: Tensor,
    *,
    lr: float | Sequence[float],
    steps: int,
    record_at: Sequence[int],
    stop_at: float = 0.0,
    blow_up: float = 1e3,
) -> Descent:
    """Run m members of one learner on the full batch, from rows `start` (m, k, D) in the basis of the data.

    `lr` is a rate or (m,) of them. The series are d_align, d_align_ordered and d_sub of W^T and the reconstruction
    error `loss` of `W^T W`, each (m, t); the parameters returned are rows in the eigenbasis of C, in which all
    learners run: they commute with rotations of the data. The run ends early once every member has d_align <=
    `stop_at`; a member whose loss exceeds `blow_up` times its start is stopped. EigenGame's rows are brought to
    length one first. float64. Raises ValueError for an unknown learner or rows of another width.
    """
    if learner not in LEARNERS:
        raise ValueError(f"unknown learner {learner!r}; allowed: {', '.join(LEARNERS)}.")
    if start.ndim != 3 or start.shape[2] != moments.width:
        raise ValueError(f"start must be (m, k, {moments.width}), not {tuple(start.shape)}.")
    m, k, D = start.shape
    operator = DiagonalMoments(moments.eigenvalues.clamp(min=0))
    rows = (start.double() @ moments.U).clone()
    if learner == "eigengame":
        rows /= rows.norm(dim=2, keepdim=True)
    axes = torch.eye(D, dtype=torch.float64)[:, :k]

    def step(parameters: Parameters) -> tuple[Tensor, Parameters]:
        W = parameters["rows"]
        codes = operator.times(W)
        gram, M = W @ W.mT, codes @ W.mT
        loss = operator.trace - 2 * M.diagonal(dim1=1, dim2=2).sum(1) + (gram * M).sum((1, 2))
        return loss, {"rows": -LEARNERS[learner](W, operator)}

    def observe(_: int, parameters: Parameters, loss: Tensor) -> dict[str, Tensor]:
        decoder = parameters["rows"].mT
        return {
            "d_align": axis_distance(decoder, axes),
            "d_align_ordered": ordered_axis_distance(decoder, axes),
            "d_sub": subspace_distance(decoder, axes),
        }

    rates = torch.as_tensor(lr, dtype=torch.float64).expand(m).contiguous()
    return descend(
        {"rows": rows},
        step,
        (_OnSpheres if learner == "eigengame" else GradientDescent)(rates),
        steps,
        record_at,
        observe,
        finished=(lambda seen: seen["d_align"] <= stop_at) if stop_at > 0 else None,
        blow_up=blow_up,
    )
