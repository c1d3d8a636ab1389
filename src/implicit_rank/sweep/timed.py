"""A plan of ensembles until the time is up: what will not fit is not begun, what is cut off goes on another time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from implicit_rank.experiments import register
from implicit_rank.experiments.kit.autoencoder_pace import Pace, pace_of, share_done
from implicit_rank.experiments.kit.autoencoder_spec import AutoencoderSpec
from implicit_rank.parameters import resolve_device
from implicit_rank.store import Store
from implicit_rank.sweep.ensembles import device_memory, ensembles_of
from implicit_rank.sweep.run import sweep
from implicit_rank.sweep.work import settled

LEAST = 20.0  # seconds: what does not fit is not begun for less, not even where it may be cut off


@dataclass(frozen=True)
class Group:
    """One entry of a plan: members to be trained together, and a first guess at one member's evaluation in seconds."""

    specs: tuple[AutoencoderSpec, ...]
    evaluation: float


@dataclass
class Timed:
    """What became of a plan's members, and the pace of each experiment."""

    stored: list[AutoencoderSpec] = field(default_factory=list)
    left: list[AutoencoderSpec] = field(default_factory=list)
    failed: dict[AutoencoderSpec, str] = field(default_factory=dict)
    paces: dict[str, Pace] = field(default_factory=dict)


class TimeUp(KeyboardInterrupt):
    """The time is up in the middle of a training; a run is left as after Ctrl-C, and its checkpoint stays."""


def until(
    plan: Sequence[Group],
    seconds: float,
    *,
    device: str,
    store: Store,
    others: Sequence[Store] = (),
    steps: int = 200,
    partly: bool = False,
    clock: Callable[[], float] = time.monotonic,
    say: Callable[[str], None] = print,
    after: Callable[[], None] = lambda: None,
) -> Timed:
    """Run a plan's members in its order for so many seconds at most, and store each.

    Members that `store` or one of `others` has are passed over. First `steps` steps of each experiment are timed, and
    it is said how many members fit. An ensemble is begun if it should end in time, by its pace and by what the
    evaluation of its experiment's members took (at first: the plan's guess); with `partly` what does not fit is begun
    as well. A training that is still going on at the end is cut off. `after()` is called whenever members were
    stored. Ctrl-C and what the store raises go through.
    """
    end, kind, done = clock() + seconds, str(resolve_device(device)), Timed()
    settled(kind)
    memory = device_memory(device)[1]
    parts = _parts(plan, [store, *others], kind, memory)
    guess = {group.specs[0].experiment: group.evaluation for group in reversed(plan)}
    costs: dict[str, float] = {}
    seen: dict[str, list[float]] = {}
    for part in list(parts):
        name = part[0].experiment
        if name in done.paces or name in costs:
            continue
        costs[name] = _cost(part)
        try:
            done.paces[name] = pace_of(part, device, steps)
        except (ValueError, OSError) as error:  # its data are not there, say
            lost = [spec for other in parts if other[0].experiment == name for spec in other]
            done.failed |= dict.fromkeys(lost, str(error))
            parts = [other for other in parts if other[0].experiment != name]
            say(f"{name}: {error}")

    def training(part: Sequence[AutoencoderSpec]) -> float:
        pace = done.paces[part[0].experiment]
        left = 1 - share_done(part, pace.steps)
        return pace.seconds * left * _cost(part) / costs[part[0].experiment]

    def needed(part: Sequence[AutoencoderSpec]) -> float:
        return training(part) + len(part) * guess[part[0].experiment]

    for line in forecast(parts, done.paces, {id(part): needed(part) for part in parts}, end - clock()):
        say(line)
    for number, part in enumerate(parts, start=1):
        remaining, wanted, name = end - clock(), needed(part), describe(part)
        if wanted > remaining and not (partly and remaining > LEAST):
            say(
                f"{number}/{len(parts)} {name}: not begun, it needs {wanted:.0f} s and {max(remaining, 0):.0f} are left"
            )
            done.left += part
            continue
        say(f"{number}/{len(parts)} {name}: begun, {wanted:.0f} s of {remaining:.0f}")
        began, own = clock(), training(part)

        def watch(share: float, text: str) -> None:
            if clock() > end:
                raise TimeUp

        try:
            swept = sweep(part, device=device, store=store, progress=watch, memory=memory)
        except TimeUp:
            say(f"{number}/{len(parts)} {name}: the time is up; its checkpoint stays")
            done.left += part
            continue
        done.stored += swept.stored
        done.failed |= swept.failed
        for why in dict.fromkeys(swept.failed.values()):
            say(f"{number}/{len(parts)} {name}: failed: {why}")
        if swept.stored:
            took = clock() - began
            seen.setdefault(part[0].experiment, []).append(max(took - own, 0.0) / len(part))
            guess[part[0].experiment] = max(seen[part[0].experiment])  # a member that diverged is not evaluated
            say(f"{number}/{len(parts)} {name}: stored after {took:.0f} s")
            after()
    return done


def forecast(parts, paces: dict[str, Pace], needed: dict[int, float], remaining: float) -> list[str]:
    """Lines that say how fast each experiment's ensembles are, and how many members fit into `remaining` seconds."""
    lines, fitting, everyone = [], 0, sum(map(len, parts))
    for name, pace in paces.items():
        own = [part for part in parts if part[0].experiment == name]
        together = len(own[0])
        lines.append(
            f"{name}: {1e3 * pace.step:.2f} ms a step of {together} together, {pace.steps:,} steps; {pace.entry:.2f} s "
            f"an entry of the log, {pace.entries} entries; {needed[id(own[0])]:.0f} s with evaluation"
        )
    for part in parts:
        if needed[id(part)] <= remaining:
            remaining -= needed[id(part)]
            fitting += len(part)
    return [*lines, f"{fitting} of {everyone} members should fit into the time that is left."]


def describe(part: Sequence[AutoencoderSpec]) -> str:
    """An ensemble in a few words: its experiment, depths, alphas and seeds."""
    words = [part[0].experiment]
    for field_name, word in (("depth", "N"), ("alpha", "alpha"), ("seed", "seed")):
        values = list(dict.fromkeys(getattr(spec, field_name) for spec in part))
        words.append(f"{word} {', '.join(f'{value:g}' for value in values)}")
    return "; ".join(words)


def _parts(plan: Sequence[Group], stores: Sequence[Store], kind: str, memory: int) -> list[list[AutoencoderSpec]]:
    parts = []
    for group in plan:
        specs = list(group.specs)
        for store in stores:
            specs = store.missing(specs)
        if specs:
            experiment = register.experiment(specs[0].experiment)
            parts += ensembles_of(experiment, specs, memory=memory, device=kind)
    return parts


def _cost(part: Sequence[AutoencoderSpec]) -> float:
    cost = register.experiment(part[0].experiment).cost
    return sum(map(cost, part)) if cost else float(len(part))
