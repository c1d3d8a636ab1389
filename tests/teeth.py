"""Wrong formulas that a row of the ledger must notice: a row that stays reproduced tests nothing.

A `Tooth` names a row, a function of the theory and a wrong version of it (a factor, a sign, an index). `bite` computes
the row's experiment on tiny instances, once as it is and once with the wrong version in every module that uses it, and
returns both verdicts. A test module keeps a list of them and asserts that the first is "reproduced" and the second is
not:

    TEETH = [Tooth("sun2021-eq1-step", "implicit_rank.theory.effective.imbalance_step", times(-1), compute=update)]
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from implicit_rank import claims
from implicit_rank.claims.grammar import Claim
from implicit_rank.experiments import register
from implicit_rank.store import Spec, Store


@dataclasses.dataclass(frozen=True)
class Tooth:
    """A wrong version of a function, and the row that must notice.

    `target` is the function's dotted name, `wrong` makes the wrong version from the right one. `compute` gives the
    scalars of an instance (None: the experiment's own run); `instances` are the spec fields of the instances, each
    for every seed. With `stored` nothing is computed: the row's measure reads the stored runs again.
    """

    claim: str
    target: str
    wrong: Callable[[Callable], Callable]
    compute: Callable[[Any], Mapping[str, float]] | None = None
    instances: Sequence[Mapping[str, Any]] = ({},)
    seeds: Sequence[int] = (0, 1)
    stored: bool = False


def times(factor: float) -> Callable[[Callable], Callable]:
    """A wrong factor, or with -1 a wrong sign."""

    def wrong(right):
        def product(*args, **options):
            found = right(*args, **options)
            return [factor * one for one in found] if isinstance(found, list) else factor * found

        return product

    return wrong


def bite(tooth: Tooth, folder: Path) -> tuple[str, str]:
    """The row's verdict as it is, and with the wrong function in its place."""
    claim = next(claim for claim in claims.load_claims() if claim.id == tooth.claim)
    before = _verdict(tooth, claim, folder / "right")
    with pytest.MonkeyPatch.context() as patch:
        replace_everywhere(patch, tooth.target, tooth.wrong)
        return before, _verdict(tooth, claim, folder / "wrong")


def replace_everywhere(patch: pytest.MonkeyPatch, target: str, wrong: Callable[[Callable], Callable]) -> None:
    """Put the wrong version of a function into every module of the package that holds the right one by its name."""
    module, _, name = target.rpartition(".")
    right = getattr(importlib.import_module(module), name)
    replacement = wrong(right)
    for key, holder in list(sys.modules.items()):
        if key.partition(".")[0] == "implicit_rank" and getattr(holder, name, None) is right:
            patch.setattr(holder, name, replacement)


def _verdict(tooth: Tooth, claim: Claim, folder: Path) -> str:
    experiment = register.experiment(claim.experiment)
    if tooth.stored:
        return claims.judge(claim, Store(), {experiment.name: experiment}).verdict
    store = Store(folder)
    specs: list[Spec] = [
        experiment.spec(profile="paper", seed=seed, **fields) for fields in tooth.instances for seed in tooth.seeds
    ]
    if tooth.compute is None:
        for spec, result in zip(specs, experiment.run(specs), strict=True):
            store.save(spec, result.scalars, result.arrays)
    else:
        for spec in specs:
            store.save(spec, dict(tooth.compute(spec)), {"none": np.zeros(1)})
    free = dataclasses.replace(experiment, presets=lambda profile, seeds=None: [])
    tiny = dataclasses.replace(
        claim, select={}, cases={}, values=[], least_seeds=min(claim.least_seeds, len(tooth.seeds))
    )
    return claims.judge(tiny, store, {experiment.name: free}).verdict
