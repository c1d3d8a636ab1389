"""Regularised linear autoencoders: losses, stationary points, exact Hessians and bounds (Bao 2020, 2, 4 and 5)."""

from implicit_rank.theory.landscape.bounds import (
    best_penalties,
    l2_bound_gap,
    l2_bound_near_tie,
    l2_bound_printed,
    l2_bound_quadratic,
    l2_bound_rotation,
    l2_bound_sharp,
    linear_penalties,
)
from implicit_rank.theory.landscape.brockett import brockett_cost, brockett_curvature, brockett_generator, vae_optimum
from implicit_rank.theory.landscape.hessian import (
    class_hessian_eigenvalues,
    l2_condition_number,
    l2_hessian_eigenvalues,
    rotation_curvature,
    scaling_curvature,
)
from implicit_rank.theory.landscape.losses import l2_gradients, l2_loss, reconstruction_gradients, reconstruction_loss
from implicit_rank.theory.landscape.nested_dropout import (
    best_prior,
    nested_dropout_bound_printed,
    nested_dropout_bound_sharp,
    nested_dropout_condition_number,
    nested_dropout_gradients,
    nested_dropout_hessian_eigenvalues,
    nested_dropout_loss,
    nested_dropout_prior,
    stationarity_gap,
)
from implicit_rank.theory.landscape.pace import best_momentum, factor_per_step, largest_stable_rate
from implicit_rank.theory.landscape.plane import plane_gradient, plane_loss, plane_point, ring_radius, valley_ratio
from implicit_rank.theory.landscape.stationary import (
    class_index,
    class_loss,
    optimal_assignment,
    printed_stationary_point,
    stationary_classes,
    stationary_point,
)
from implicit_rank.theory.landscape.symmetry import axes_by_svd, rotation_cosine

__all__ = [
    "axes_by_svd",
    "best_momentum",
    "best_penalties",
    "best_prior",
    "brockett_cost",
    "brockett_curvature",
    "brockett_generator",
    "class_hessian_eigenvalues",
    "class_index",
    "class_loss",
    "factor_per_step",
    "l2_bound_gap",
    "l2_bound_near_tie",
    "l2_bound_printed",
    "l2_bound_quadratic",
    "l2_bound_rotation",
    "l2_bound_sharp",
    "l2_condition_number",
    "l2_gradients",
    "l2_hessian_eigenvalues",
    "l2_loss",
    "largest_stable_rate",
    "linear_penalties",
    "nested_dropout_bound_printed",
    "nested_dropout_bound_sharp",
    "nested_dropout_condition_number",
    "nested_dropout_gradients",
    "nested_dropout_hessian_eigenvalues",
    "nested_dropout_loss",
    "nested_dropout_prior",
    "optimal_assignment",
    "plane_gradient",
    "plane_loss",
    "plane_point",
    "printed_stationary_point",
    "reconstruction_gradients",
    "reconstruction_loss",
    "ring_radius",
    "rotation_cosine",
    "rotation_curvature",
    "scaling_curvature",
    "stationarity_gap",
    "stationary_classes",
    "stationary_point",
    "vae_optimum",
    "valley_ratio",
]
