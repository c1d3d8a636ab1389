"""The ledger bites: a verdict follows the region, and a wrong formula costs a row its "reproduced"."""

import dataclasses
import math

import pytest
import torch
from teeth import Tooth, bite, times

from implicit_rank import claims
from implicit_rank.experiments import register
from implicit_rank.experiments.effective_matrix import effective_update
from implicit_rank.store import Store


# ---- the judge: real rows with another region or the other sign ----
def failing(claim, judgement):
    """The row with a region that its numbers miss, or asked the other way round."""
    values = [value for case in judgement.cases for value in case.values.values()]
    ends = [end for case in judgement.cases for end in case.numbers.interval]
    low, high = min(values + ends), max(values + ends)
    if claim.kind == "identity":
        return dataclasses.replace(claim, at_most=low / 2 if low > 0 else low - 1)
    if claim.kind == "ordering":
        if claim.region[0] >= (1 if claim.ratio else 0):
            return dataclasses.replace(claim, lower=claim.upper, upper=claim.lower)
        return dataclasses.replace(claim, margin=high * 1.01)
    if claim.kind == "equivalence":
        return dataclasses.replace(claim, within=1 + 1e-12 if claim.ratio else 1e-12)
    if claim.expected is not None:
        return dataclasses.replace(claim, expected=high + claim.tolerance + 1)
    if claim.at_least is not None:
        return dataclasses.replace(claim, at_least=high + 1, at_most=None)
    return dataclasses.replace(claim, at_most=low - 1)


def one_of_each(verdict):
    """The first row with a verdict of every kind in every experiment."""
    found = {}
    for judgement in claims.ledger():
        if judgement.verdict == verdict:
            found.setdefault((judgement.claim.kind, judgement.claim.experiment), judgement)
    return list(found.values())


def judged_again(claims_now):
    store = Store()
    return {
        claim.id: claims.judge(claim, store, {claim.experiment: register.experiment(claim.experiment)}).verdict
        for claim in claims_now
    }


def test_no_row_stays_reproduced_when_its_region_moves_off():
    rows = one_of_each("reproduced")
    assert {judgement.claim.kind for judgement in rows} >= {"identity", "value", "threshold", "ordering", "trend"}
    found = judged_again([failing(judgement.claim, judgement) for judgement in rows])
    assert [name for name, verdict in found.items() if verdict in ("reproduced", "not run")] == []


def test_every_failing_row_is_reproduced_when_its_region_takes_in_everything():
    rows = one_of_each("not reproduced")
    assert len(rows) > 5
    whole = {"at_least": -math.inf, "at_most": math.inf, "expected": None, "margin": -math.inf, "within": 1e300}
    found = judged_again([dataclasses.replace(judgement.claim, **whole) for judgement in rows])
    assert [name for name, verdict in found.items() if verdict != "reproduced"] == []


# ---- rows without seeds ----
@pytest.mark.parametrize("spectrum", ["equal", "geometric", "mnist"])
def test_what_is_said_to_draw_nothing_at_random_does_not(spectrum):
    rows = [claim for claim in claims.load_claims() if claim.seeds == "none" and claim.experiment == "conditioning"]
    fixed = [value for claim in rows for value in (claim.select.get("spectrum"), *claim.cases.get("spectrum", []))]
    assert spectrum in fixed
    assert set(fixed) <= {None, "equal", "geometric", "mnist"}
    experiment = register.experiment("conditioning")
    one, other = experiment.run(
        [experiment.spec(profile="smoke", spectrum=spectrum, k=3, seed=seed) for seed in (0, 1)]
    )
    assert one.scalars == other.scalars


# ---- the theory: chapters 1 and 2 ----
def update(spec):
    return effective_update.update_checks(spec, torch.Generator().manual_seed(spec.seed))


def coefficients(spec):
    return effective_update.coefficient_checks(spec, torch.Generator().manual_seed(spec.seed))


EFFECTIVE, GREEDY = "implicit_rank.theory.effective", "implicit_rank.theory.greedy"
THREE = ({"depth": 3},)
TEETH = {
    "eq. 2, a factor": Tooth("sun2021-eq2-first-order", f"{EFFECTIVE}.coefficients", times(1.01), update, THREE),
    "eq. 2, an index": Tooth(  # the sum over j begins one layer too high
        "sun2021-eq2-first-order",
        f"{EFFECTIVE}.coefficients",
        lambda right: lambda sigma, depth: right(sigma, depth) * sigma[:, None] ** (2 / depth),
        update,
        THREE,
    ),
    "eq. 2, a sign": Tooth("sun2021-eq2-first-order", f"{EFFECTIVE}.predicted_update", times(-1), update, THREE),
    "eq. 2, a side": Tooth(
        "sun2021-eq2-first-order",
        f"{EFFECTIVE}.predicted_update",
        lambda right: lambda W_e, gradient, depth, lr: right(W_e.T, gradient, depth, lr),
        update,
        THREE,
    ),
    "eq. 2, its order": Tooth("sun2021-eq2-slope", f"{EFFECTIVE}.predicted_update", times(1.01), update, THREE),
    "eq. 3, a side": Tooth(
        "sun2021-eq3-preconditioner",
        f"{EFFECTIVE}.preconditioner",
        lambda right: lambda W_e, depth: right(W_e.T, depth),
        coefficients,
        THREE,
    ),
    "eq. 5, a factor": Tooth("sun2021-eq5-eigenvalues", f"{EFFECTIVE}.coefficients", times(1.01), coefficients, THREE),
    "eq. 5 closed, an index": Tooth(
        "sun2021-eq5-closed-form",
        f"{EFFECTIVE}.coefficients_closed_form",
        lambda right: lambda sigma, depth: right(sigma, depth + 1),
        coefficients,
        THREE,
    ),
    "eq. 5 in the limit, a factor": Tooth(
        "sun2021-eq5-limit", f"{EFFECTIVE}.coefficients_limit", times(2), coefficients, THREE
    ),
    "eq. 1 in a step, a sign": Tooth("sun2021-eq1-step", f"{EFFECTIVE}.imbalance_step", times(-1), update, THREE),
    "the top of mu, an index": Tooth(
        "sun2021-s25-top",
        f"{EFFECTIVE}.coefficients",
        lambda right: lambda sigma, depth: right(sigma, depth + 1),
        coefficients,
        THREE,
    ),
    "the time to emerge, an exponent": Tooth(
        "sun2021-law-time",
        f"{GREEDY}.growth_time",
        lambda right: lambda start, depth: right(start, 2 * depth),
        stored=True,
    ),
}


@pytest.mark.parametrize("name", TEETH)
def test_a_wrong_formula_costs_its_row_the_verdict(name, tmp_path):
    right, wrong = bite(TEETH[name], tmp_path)
    assert right == "reproduced"
    assert wrong not in ("reproduced", "not run"), name
