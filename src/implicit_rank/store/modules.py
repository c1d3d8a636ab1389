"""Where each experiment's ``run`` and Spec class stand: names alone, so that nothing is imported to look one up.

An experiment is known by its name, which is in the hash of every run; its module may move.
"""

_FOLDER = "implicit_rank.experiments"

MODULES: dict[str, str] = {
    name: f"{_FOLDER}.{place}"
    for name, place in {
        "ablations": "ablations",
        "ablations_full": "ablations_full",
        "conditioning": "conditioning",
        "curvature": "curvature",
        "deep_linear": "deep_linear",
        "effective_update": "effective_update",
        "greedy_images": "greedy_images",
        "greedy_images_alpha": "greedy_images_alpha",
        "greedy_images_full": "greedy_images_full",
        "irmae_images": "irmae_images",
        "irmae_images_celeba": "irmae_images_celeba",
        "irmae_images_full": "irmae_images_full",
        "irmae_images_precision": "irmae_images_precision",
        "irmae_images_protocol": "irmae_images_protocol",
        "known_dimension": "known_dimension",
        "known_dimension_full": "known_dimension_full",
        "landscape": "landscape",
        "rag_start": "rag_start",
        "recovery": "recovery",
        "rotation": "rotation",
    }.items()
}


def module_of(experiment: str, otherwise: str | None = None) -> str | None:
    """The module of one of the package's own experiments, else `otherwise`."""
    return MODULES.get(experiment, otherwise)
