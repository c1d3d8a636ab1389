"""Where each experiment's `run` and Spec class stand: names alone, so that nothing is imported to look one up.

An experiment is known by its name, which is in the hash of every run; its module may move.
"""

_FOLDER = "implicit_rank.experiments"

MODULES: dict[str, str] = {
    name: f"{_FOLDER}.{place}"
    for name, place in {
        "ablations": "ablations.experiment",
        "ablations_full": "ablations.full",
        "ablations_registered": "ablations.registered",
        "balance": "effective_matrix.balance",
        "brockett": "conditioning.brockett",
        "conditioning": "conditioning.experiment",
        "curvature": "conditioning.curvature",
        "deep_linear": "greedy_rank.deep_linear",
        "effective_operator": "effective_matrix.operator",
        "effective_update": "effective_matrix.effective_update",
        "emergence_clock": "greedy_rank.clock",
        "figure_4_data": "recovery.figure_4_data",
        "greedy_images": "greedy_images.experiment",
        "greedy_images_alpha": "greedy_images.alpha",
        "greedy_images_bias": "greedy_images.bias",
        "greedy_images_full": "greedy_images.full",
        "greedy_images_gpu": "greedy_images.gpu",
        "greedy_images_registered": "greedy_images.registered",
        "greedy_images_twins": "greedy_images.twins",
        "irmae_images": "irmae_images.experiment",
        "irmae_images_celeba": "irmae_images.celeba",
        "irmae_images_epoch": "irmae_images.first_epoch",
        "irmae_images_full": "irmae_images.full",
        "irmae_images_gpu": "irmae_images.gpu",
        "irmae_images_precision": "irmae_images.precision",
        "irmae_images_protocol": "irmae_images.protocol",
        "irmae_images_registered": "irmae_images.registered",
        "known_dimension": "known_dimension.experiment",
        "known_dimension_full": "known_dimension.full",
        "known_dimension_registered": "known_dimension.registered",
        "landscape": "landscape.experiment",
        "minima": "landscape.minima",
        "pace": "conditioning.pace",
        "rag_start": "rotation.rag_start",
        "rank_visibility": "greedy_rank.visibility",
        "recovery": "recovery.experiment",
        "recovery_new_starts": "recovery.new_starts",
        "recovery_registered": "recovery.registered",
        "rivals": "rotation.rivals",
        "rotation": "rotation.experiment",
        "rotation_limits": "rotation.limits",
        "rotation_prediction": "rotation.prediction",
        "stability": "conditioning.stability",
        "transients": "greedy_rank.transients",
    }.items()
}


def module_of(experiment: str, otherwise: str | None = None) -> str | None:
    """The module of one of the package's own experiments, else `otherwise`."""
    return MODULES.get(experiment, otherwise)
