"""Rows of chapter 11 have teeth: with a factor, sign or index wrong in the theory they are no longer reproduced."""

import pytest
import torch
from teeth import Tooth, bite, times

from implicit_rank.experiments.rotation import experiment, limits

THEORY = "implicit_rank.theory.rotation"
SMALL = ({"D": 5, "k": 3, "matrices": 300, "rotations": 20_000},)
FEW = ({"D": 5, "k": 3, "starts": 5},)
GENERIC = ({"D": 5, "k": 2, "starts": 5},)  # one pair: its rate is alone at once


def of_limits(spec):
    return limits.evaluate(spec)[0]


def of_rotation(spec):
    return experiment.evaluate(spec)[0]


def faster(right):
    """Twice the rate."""
    return lambda M, t: right(M, 2 * torch.as_tensor(t, dtype=torch.float64))


def slower(right):
    """Half the rate."""
    return lambda M, t: right(M, torch.as_tensor(t, dtype=torch.float64) / 2)


def backwards(right):
    """The wrong sign of the generator."""
    return lambda M, t: right(M, -torch.as_tensor(t, dtype=torch.float64))


def both_alike(right):
    """The decoder turned the same way as the encoder."""

    def step(W1, W2, C, lr, *, exact=False):
        W1_after, W2_after = right(W1, W2, C, lr, exact=exact)
        return W1_after, 2 * W2 - W2_after

    return step


def without_the_square(right):
    """Theorem 5 with half the rate and nothing more."""
    from implicit_rank.theory.rotation import non_diagonality, smallest_gap

    return lambda M: -smallest_gap(M) * non_diagonality(M) / 2


def upper_alone(right):
    """GHA's triangle in the place of a skew matrix."""
    return lambda M: M.triu(1)


def rags_term(right):
    """The skew matrix in the place of GHA's triangle."""
    return lambda W, C: (lambda M: (M.triu(1) - M.tril(-1)) @ W / 2)(W @ C @ W.mT)


def units_mixed_up(right):
    """The columns of the decoder in another order."""
    return lambda W1, W2: right(W1, W2.flip(-1))


def decoder_longer(right):
    return lambda *arguments: (lambda pair: (pair[0], 1.01 * pair[1]))(right(*arguments))


def with_k_plus_1(right):
    """(k - 1)(k + 1) where (k - 1)(k + 2) stands."""
    return lambda s, B0: right(s, B0) * (len(s) + 2) / (len(s) + 1)


def gaps_for_sums(right):
    """S_i - s_j where s_i + s_j stands."""

    def wrong(s, k):
        i, j = torch.triu_indices(k, k, 1)
        return (s[i] - s[j]) / 2

    return wrong


def tooth(row, name, wrong, instances=FEW):
    return Tooth(f"bao2020-{row}", f"{THEORY}.{name}", wrong, of_rotation, instances)


def new_tooth(row, name, wrong):
    return Tooth(f"bao2020-{row}", f"{THEORY}.{name}", wrong, of_limits, SMALL)


TEETH = [
    tooth("alg1", "steps.rotation_generator", times(-1)),
    tooth("alg1", "steps.rotation_generator", times(2)),
    tooth("s62-first-order", "steps.rotation_step", both_alike),
    tooth("s62-exact", "steps.rotation_step", both_alike),
    tooth("s61-gha-corrected", "hebbian.gha_step", times(1.001)),
    tooth("s61-gha-corrected", "steps.rotation_generator", times(-1)),
    tooth("fn3-gap", "steps.gradient_gap", times(-1)),
    tooth("fn3-gap", "steps.gradient_gap", times(0.5)),
    tooth("fn3-imbalance", "steps.imbalance", units_mixed_up),
    tooth("alg1-orientation", "flow.toda_flow", backwards),
    tooth("thm4-sorts", "flow.toda_flow", backwards),
    tooth("thm4-lyapunov", "flow.toda_flow", backwards),
    tooth("thm4-toda", "flow.toda_flow", faster),
    tooth("thm4-toda", "flow.toda_flow", backwards),
    tooth("thm5-rate-corrected", "steps.rotation_generator", times(2)),
    tooth("thm5-rate-corrected", "steps.rotation_generator", times(1.05)),
    tooth("thm5-flow", "flow.toda_flow", slower, GENERIC),
    tooth("thm5-spectrum", "ends.rag_decay_rates", times(2)),
    tooth("thm5-spectrum", "ends.rag_decay_rates", times(1.001)),
    tooth("s8-spurious", "ends.spurious_fixed_point", decoder_longer),
    new_tooth("thm5-finite-corrected", "flow.non_diagonality_rate_bound", without_the_square),
    new_tooth("thm5-finite-corrected", "flow.non_diagonality_rate_bound", times(2)),
    new_tooth("thm5-finite-rate", "flow.non_diagonality_rate", times(2)),
    new_tooth("thm5-finite-rate", "steps.rotation_generator", times(-1)),
    new_tooth("s8-haar", "ends.expected_misalignment", with_k_plus_1),
    new_tooth("s8-haar", "ends.misalignment", times(0.9)),
    new_tooth("s61-gha-loss-formula", "hebbian.gha_loss_rate", times(-1)),
    new_tooth("s61-gha-loss-formula", "hebbian.gha_loss_rate", times(0.5)),
    new_tooth("s61-gha-loss", "hebbian.gha_extra", rags_term),
    new_tooth("s61-rag-loss", "steps.rotation_generator", upper_alone),
    new_tooth("s3-no-loss-formula", "hebbian.field_asymmetry", gaps_for_sums),
    new_tooth("s3-no-loss-formula", "hebbian.field_asymmetry", times(2)),
    new_tooth("s61-local-rates", "hebbian.gha_decay_rates", times(0.5)),
    new_tooth("s61-local-rates", "hebbian.eigengame_decay_rates", times(0.5)),
    new_tooth("s61-local-rates", "hebbian.weighted_oja_decay_rates", times(1.001)),
]


@pytest.mark.parametrize("tooth", TEETH, ids=lambda tooth: f"{tooth.claim}-{tooth.target.rpartition('.')[2]}")
def test_a_wrong_formula_costs_the_row_its_verdict(tooth, tmp_path):
    right, wrong = bite(tooth, tmp_path)
    assert right == "reproduced"
    assert wrong in ("not reproduced", "partly")
