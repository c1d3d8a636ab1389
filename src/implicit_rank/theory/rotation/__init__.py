"""RAG of Bao 2020 (6): Algorithm 1, the Toda flow it contains, where it ends, and its Hebbian kin."""

from implicit_rank.theory.rotation.ends import (
    expected_gaussian_misalignment,
    expected_misalignment,
    misalignment,
    rag_decay_rates,
    spurious_fixed_point,
)
from implicit_rank.theory.rotation.flow import (
    leading_sums_rate,
    non_diagonality,
    non_diagonality_rate,
    non_diagonality_rate_bound,
    smallest_gap,
    toda_flow,
    toda_path,
)
from implicit_rank.theory.rotation.hebbian import (
    eigengame_decay_rates,
    field_asymmetry,
    gha_decay_rates,
    gha_extra,
    gha_loss_rate,
    gha_step,
    oja_weights,
    rag_as_gha_step,
    weighted_oja_decay_rates,
)
from implicit_rank.theory.rotation.steps import (
    code_moments,
    gradient_gap,
    imbalance,
    rag_step,
    rotation_generator,
    rotation_step,
)

__all__ = [
    "code_moments",
    "eigengame_decay_rates",
    "expected_gaussian_misalignment",
    "expected_misalignment",
    "field_asymmetry",
    "gha_decay_rates",
    "gha_extra",
    "gha_loss_rate",
    "gha_step",
    "gradient_gap",
    "imbalance",
    "leading_sums_rate",
    "misalignment",
    "non_diagonality",
    "non_diagonality_rate",
    "non_diagonality_rate_bound",
    "oja_weights",
    "rag_as_gha_step",
    "rag_decay_rates",
    "rag_step",
    "rotation_generator",
    "rotation_step",
    "smallest_gap",
    "spurious_fixed_point",
    "toda_flow",
    "toda_path",
    "weighted_oja_decay_rates",
]
