"""Chapter 9's parameters: one instance of the landscape, and the ways that descent takes on it."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from implicit_rank.data.moments import SecondMoments, moments_with
from implicit_rank.experiments.landscape.descent import descend_from_random_starts, plane_descent, root_checks
from implicit_rank.linear.regularised import RegularisedDescent, train_regularised
from implicit_rank.parameters import LARGEST_SEED, ParameterError, Parameters, option
from implicit_rank.spectra import axis_distance, ordered_axis_distance
from implicit_rank.theory import landscape as theory


@dataclass(frozen=True)
class LandscapeChapter(Parameters):
    """What a reader may change in chapter 9."""

    profile: str = option("quick", "how much is run", choices=("smoke", "quick", "paper"))
    eigenvalues: tuple[float, ...] = option((4.0, 2.5, 1.2, 0.5), "all eigenvalues, descending", least=0.01, most=100)
    penalties: tuple[float, ...] = option((0.2, 0.8), "lambda_a of the units, ascending", above=0, most=100)
    starts: int = option(20, "random starts of gradient descent", least=1, most=500)
    seed: int = option(0, "seed of the starts and of the axes", least=0, most=LARGEST_SEED)

    def __post_init__(self):
        super().__post_init__()
        if len(self.eigenvalues) > 8 or len(self.penalties) > 4:
            raise ParameterError("at most 8 eigenvalues and 4 penalties are taken: every class of points is looked at.")
        if len(self.penalties) >= len(self.eigenvalues):
            raise ParameterError("penalties must be fewer than eigenvalues: the code is narrower than the data.")
        if any(b >= a for a, b in itertools.pairwise(self.eigenvalues)):
            raise ParameterError("eigenvalues must descend strictly, or their axes are not identifiable.")
        if any(b <= a for a, b in itertools.pairwise(self.penalties)):
            raise ParameterError("penalties must ascend strictly: equal ones leave a rotation free.")

    def instance(self) -> tuple[SecondMoments, Tensor, Tensor]:
        """The moments with random axes, the eigenvalues `(D,)` and the penalties `(k,)`."""
        generator = torch.Generator().manual_seed(self.seed)
        s, lam = (torch.tensor(x, dtype=torch.float64) for x in (self.eigenvalues, self.penalties))
        return moments_with(s, generator), s, lam

    def minimum(self) -> tuple[int | None, ...]:
        """The component that each unit carries at the global minimum, None for a dead unit.

        Penalties that kill units are welcome here, so nothing warns of them.
        """
        _, s, lam = self.instance()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return theory.optimal_assignment(s, lam)

    def roots(self) -> dict[str, float]:
        """What Newton's method finds from random starts, held against Theorems 1 and 2; fewer starts at smoke."""
        moments, _, lam = self.instance()
        return root_checks(moments, lam, 30 if self.profile == "smoke" else 100, self.seed)

    def uniform(self) -> tuple[float, float]:
        """How far decoders trained with one penalty for all are from the axes, by columns and by singular vectors."""
        moments, s, _ = self.instance()
        k = len(self.penalties)
        penalties = torch.full((k,), 0.3 * s[k - 1].item(), dtype=torch.float64)
        trained = train_regularised(
            moments,
            "uniform_l2",
            "gd",
            k,
            lr=0.1 / s[0].item(),
            steps=4000,
            record_at=[4000],
            seeds=range(8),
            penalties=penalties,
            start=0.3,
        )
        axes = moments.U[:, :k]
        singular = theory.axes_by_svd(trained.decoder)
        return axis_distance(trained.decoder, axes).mean().item(), ordered_axis_distance(singular, axes).max().item()

    def descents(self) -> RegularisedDescent:
        """Gradient descent from the random starts; shorter at smoke."""
        moments, _, lam = self.instance()
        lengths = 10 if self.profile == "smoke" else 25
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return descend_from_random_starts(moments, lam, self.starts, self.seed, lengths=lengths)

    def arrived(self, trained: RegularisedDescent) -> int:
        """How many descents have come to the global minimum, up to signs and a tenth in every entry."""
        moments, s, lam = self.instance()
        goal, _ = theory.stationary_point(moments.U, s, lam, self.minimum())
        shares = (trained.encoder @ moments.U).abs() - (goal @ moments.U).abs()
        return int((shares.abs().amax((1, 2)) < 0.1).sum())

    def plane(self) -> tuple[Tensor, np.ndarray, np.ndarray]:
        """Two weak penalties for Figure 1, and steps `(t,)` and paths `(3, t, 2)` of descent on its plane."""
        _, s, _ = self.instance()
        pair = s[1] * torch.tensor([0.05, 0.2], dtype=torch.float64)
        most = 600 if self.profile == "smoke" else 20_000
        return pair, *plane_descent(s, pair, [(0.12, 1.3), (1.22, 2.2), (0.9, -1.2)], most, records=160)
