"""Bao 2020, 7: which linear autoencoders find the ordered principal axes, and after how many steps (Figures 2-4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from implicit_rank.experiments.kit.result import Result
from implicit_rank.experiments.kit.shares import weighted
from implicit_rank.experiments.recovery.measures import MEASURES
from implicit_rank.experiments.recovery.run import cost, run_batch
from implicit_rank.experiments.register import Experiment
from implicit_rank.linear.optimisers import OPTIMISERS
from implicit_rank.linear.regularised import MODELS
from implicit_rank.parameters import ParameterError, option, resolve_device, unknown_name
from implicit_rank.store import Spec

__all__ = ["MEASURES", "Recovery", "presets", "run"]

DATA = ("mnist", "digits", "synthetic-paper", "synthetic-official")


@dataclass(frozen=True)
class Recovery(Spec):
    """One member of Figures 2-4: the defaults are Figure 2's (MNIST, k = 20, 30,000 steps)."""

    experiment: ClassVar[str] = "recovery"

    data: str = option("mnist", "mnist, digits, synthetic-paper, synthetic-official or folder:PATH")
    width: int = option(1000, "input width of the synthetic data", least=3)
    k: int = option(20, "latent width", least=1)
    model: str = option("rag", "which autoencoder", choices=MODELS)
    optimiser: str = option("nesterov", "gd, nesterov or adam", choices=tuple(OPTIMISERS))
    lr: float | str = option("paper", "learning rate: 'paper' or a number", above=0, choices=("paper",))
    steps: int = option(30_000, "full-batch steps", least=1)
    penalties: tuple[float, ...] | str = option(
        "paper",
        "lambda_i: 'paper', 'admissible', 'linear' or a list",
        above=0,
        choices=("paper", "admissible", "linear"),
    )
    prior: tuple[float, ...] | str = option(
        "paper", "prior of nested dropout: 'paper', 'uniform' or a list", above=0, choices=("paper", "uniform")
    )
    dtype: str = option("float64", "precision of the weights", choices=("float64", "float32"))
    start: float = option(1e-4, "standard deviation of the starting weights", above=0)
    stop_at: float = option(0.0, "end the run when d_align gets here; 0 for never", least=0, below=1)
    mask_batch: int = option(0, "samples that carry the mask noise of nested dropout; 0 for all", least=0)
    batch: int = option(0, "mini-batch size; 0 for the full batch", least=0)
    images: bool = option(False, "keep U^T W2 and the decoder at steps 0, 1000, 5000, 10000")

    def __post_init__(self):
        super().__post_init__()
        if self.data not in DATA and not self.data.startswith("folder:"):
            raise ParameterError(unknown_name("data", self.data, [*DATA, "folder:PATH"]))


def presets(profile: str = "quick", seeds: Sequence[int] | None = None) -> list[Recovery]:
    """The members of Figures 2-4 and of the chapter's own questions, at a profile's size."""
    if profile == "paper":
        members = [*figure_2("paper", seeds or (0, 1, 2)), *figure_4(seeds), *rate_grid(seeds or (0, 1, 2))]
        # times to alignment vary severalfold between starts: five seeds for the three models that race
        race = ("rag", "deterministic_nested_dropout", "nested_dropout")
        more = figure_2("paper", (3, 4)) if seeds is None else []
        members += [spec for spec in more if spec.model in race and spec.optimiser == "nesterov"]
        return list(dict.fromkeys(members + own_questions(seeds)))
    seeds = seeds or ((0, 1) if profile == "quick" else (0,))
    return figure_2(profile, seeds, "digits", 10 if profile == "quick" else 4)


def figure_2(profile: str, seeds: Iterable[int], data: str = "mnist", k: int = 20) -> list[Recovery]:
    """Six models under two optimisers at the paper's rates, and non-uniform l2 with admissible penalties."""
    steps = {"smoke": 200, "quick": 3000, "paper": 30_000}[profile]
    base = Recovery(profile=profile, data=data, k=k, steps=steps, images=True)
    cheap = 256 if data == "mnist" else 0  # exact mask noise where all samples are few
    return [
        replace(
            base,
            model=model,
            optimiser=optimiser,
            seed=seed,
            penalties=penalties,
            mask_batch=cheap if model == "nested_dropout" else 0,
        )
        for optimiser in ("nesterov", "adam")
        for model in MODELS
        for penalties in (("paper", "admissible") if model == "nonuniform_l2" else ("paper",))
        for seed in seeds
    ]


FIGURE_4 = {  # k with three seeds, k with one
    ("rag", "nesterov"): ((2, 5, 10, 20, 50, 100), (200, 300, 400, 500)),
    ("nonuniform_l2", "nesterov"): ((2, 5, 10, 20), (50, 100)),
    ("deterministic_nested_dropout", "nesterov"): ((2, 5, 10, 20), (50, 100)),
    ("nested_dropout", "nesterov"): ((2, 5, 10), (20,)),
    ("vae", "nesterov"): ((), (2, 5)),
    ("rag", "adam"): ((2, 5), (10,)),
    ("nonuniform_l2", "adam"): ((2, 5, 10, 20), (50,)),
    ("deterministic_nested_dropout", "adam"): ((2, 5, 10, 20, 50, 100), (200, 300)),
    ("nested_dropout", "adam"): ((2, 5, 10), (20,)),
    ("vae", "adam"): ((), (2, 5)),
}


def synthetic(**fields) -> Recovery:
    """A member of Figure 4: m = 1000, at most 50,000 steps, stopped at d_align = 0.3."""
    base = Recovery(profile="paper", data="synthetic-official", steps=50_000, dtype="float32", stop_at=0.3)
    cheap = 256 if fields.get("model") == "nested_dropout" else 0
    return replace(base, mask_batch=cheap, **fields)


def figure_4(seeds: Sequence[int] | None = None) -> list[Recovery]:
    """The members of Figure 4 at the paper's rates, as far as a processor allows, small widths first."""
    members = [
        synthetic(model=model, optimiser=optimiser, k=k, seed=seed)
        for (model, optimiser), (often, once) in FIGURE_4.items()
        for k in (*often, *once)
        for seed in (seeds or (0, 1, 2))[: 3 if k in often else 1]
    ]
    return sorted(members, key=lambda spec: spec.k)


RATE_GRID = {"nesterov": (0.003, 0.006, 0.01, 0.03, 0.06), "adam": (0.003, 0.01, 0.03)}


def rate_grid(seeds: Iterable[int]) -> list[Recovery]:
    """The grid from which every model's own best rate on MNIST is taken: 10,000 steps each."""
    base = Recovery(profile="paper", steps=10_000)
    settings = [
        {"model": "deterministic_nested_dropout"},
        {"model": "deterministic_nested_dropout", "prior": "uniform"},
        {"model": "nonuniform_l2"},
        {"model": "nonuniform_l2", "penalties": "linear"},
    ]
    extra = {"nesterov": {"model": "rag"}, "adam": {"model": "vae"}}  # RAG cannot use Adam, the VAE needs it
    return [
        replace(base, optimiser=optimiser, lr=lr, seed=seed, **setting)
        for optimiser, rates in RATE_GRID.items()
        for setting in (extra[optimiser], *settings)
        for lr in rates
        for seed in seeds
    ]


def own_questions(seeds: Sequence[int] | None = None) -> list[Recovery]:
    """What the paper does not have: fair settings on the synthetic data, and the text's own spectrum."""
    chosen = seeds or (0, 1, 2)
    fair = [
        synthetic(k=k, seed=seed, lr=lr, **setting)
        for k in (2, 10, 20, 50, 100)
        for setting, lr in (
            ({"model": "rag"}, 2e-4),
            ({"model": "deterministic_nested_dropout", "prior": "uniform"}, 0.002),
            ({"model": "nonuniform_l2", "penalties": "linear"}, 0.002),
        )
        for seed in chosen
    ]
    at_the_letter = [
        replace(synthetic(model=model, k=k, seed=seed), data="synthetic-paper")
        for k in (2, 5, 10, 20, 50)
        for model in ("rag", "deterministic_nested_dropout", "nonuniform_l2")
        for seed in chosen
    ]
    return fair + at_the_letter


_SHARED = (
    "data",
    "width",
    "k",
    "model",
    "optimiser",
    "steps",
    "dtype",
    "start",
    "stop_at",
    "mask_batch",
    "batch",
    "images",
)


def run(
    specs: Sequence[Recovery],
    device: str = "cpu",
    progress: Callable[[float, str], None] | None = None,
    on_done: Callable[[Result], None] | None = None,
    batch: int = 6,
) -> list[Result]:
    """Train all members, those of one shape together, and return their results in the order given.

    `progress(share, text)` reports along the way; `on_done(result)` is called as soon as a batch of at most
    `batch` members is finished. Members of stochastic nested dropout and of mini-batches need the samples of
    their data set, see `implicit_rank.data.samples`.
    """
    target = str(resolve_device(device))
    groups: dict[tuple, list[Recovery]] = {}
    for spec in specs:
        groups.setdefault(tuple(getattr(spec, name) for name in _SHARED), []).append(spec)
    batches = [group[i : i + batch] for group in groups.values() for i in range(0, len(group), batch)]
    results = {}
    for members, within in weighted(batches, cost, progress):

        def report(step: int, members=members, within=within) -> None:
            within(
                step / members[0].steps, f"{members[0].model}, {members[0].optimiser}, k = {members[0].k}: step {step}"
            )

        for result in run_batch(members, target, report):
            results[result.spec] = result
            if on_done is not None:
                on_done(result)
    return [results[spec] for spec in specs]


EXPERIMENT = Experiment(Recovery, presets, run, MEASURES, cost=cost)
