"""Chapter 11's parameters: one instance, a rotation to start the flow from, and RAG from several starts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from implicit_rank.experiments.rotation import rag_start
from implicit_rank.experiments.rotation.experiment import random_rotation_of
from implicit_rank.parameters import LARGEST_SEED, ParameterError, Parameters, option


@dataclass(frozen=True)
class RotationChapter(Parameters):
    """What a reader may change in chapter 11."""

    profile: str = option("quick", "how much is run", choices=("smoke", "quick", "paper"))
    eigenvalues: tuple[float, ...] = option(
        (5.0, 4.0, 3.2, 2.0, 1.0), "top eigenvalues, descending", least=0.01, most=20
    )
    seed: int = option(0, "seed of the rotation to start from", least=0, most=LARGEST_SEED)
    time: float = option(24.0, "length of the animated flow", above=0, most=1000)
    frames: int = option(40, "frames of the animation", least=2, most=120)

    def __post_init__(self):
        super().__post_init__()
        if len(self.eigenvalues) < 2 or any(b >= a for a, b in pairwise(self.eigenvalues)):
            raise ParameterError("eigenvalues must be two or more numbers that descend strictly.")

    def instance(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The top eigenvalues `(k,)`, second moments C `(D, D)`, top axes U `(D, k)`, and weights (W1, W2) at random.

        C has three more and smaller eigenvalues, so D = k + 3; axes and weights are drawn.
        """
        s = torch.tensor(self.eigenvalues, dtype=torch.float64)
        k, D = len(s), len(s) + 3
        normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
        tail = s[-1] * torch.tensor([0.7, 0.4, 0.2], dtype=torch.float64)
        basis = torch.linalg.qr(normal(D, D))[0]
        C = (basis * torch.cat([s, tail])) @ basis.T
        return s, (C + C.T) / 2, basis[:, :k], normal(k, D) / 2, normal(D, k) / 2

    def start(self) -> Tensor:
        """The second moments of the codes `(k, k)` at a random rotation of the right subspace."""
        return random_rotation_of(torch.tensor(self.eigenvalues, dtype=torch.float64), self.seed)

    def moments_in_time(self) -> Tensor:
        """The times `(frames,)` of the animation, close together at first; 8 frames at smoke."""
        frames = 8 if self.profile == "smoke" else self.frames
        return torch.linspace(0, 1, frames, dtype=torch.float64) ** 2 * self.time

    def rag_starts(self) -> list[rag_start.RagStart]:
        """The members of the chapter's live run: RAG from several starts, never longer than at quick."""
        return rag_start.presets("smoke" if self.profile == "smoke" else "quick")
