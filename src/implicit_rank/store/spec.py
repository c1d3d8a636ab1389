"""The specification of one run, its canonical form and its hash."""

import dataclasses
import hashlib
import json
from typing import Any, ClassVar

from implicit_rank.parameters import LARGEST_SEED, Parameters, option
from implicit_rank.store.fingerprint import fingerprint
from implicit_rank.store.modules import module_of

PROFILES = ("smoke", "quick", "paper")  # ascending


@dataclasses.dataclass(frozen=True)
class Spec(Parameters):
    """One member: one seed of one setting of one experiment. Subclasses set `experiment` and add fields."""

    experiment: ClassVar[str] = ""

    profile: str = option("quick", "how much is run: smoke, quick or paper", choices=PROFILES)
    seed: int = option(0, "random seed of this member", least=0, most=LARGEST_SEED)

    def __post_init__(self):
        super().__post_init__()
        code_of(self)  # before the run: the code this process started with counts


def code_of(spec: Spec) -> str | None:
    """The fingerprint of the code that computes a member; None where there is no source to read."""
    return fingerprint(module_of(spec.experiment, type(spec).__module__))


def canonical_json(value: Any) -> str:
    """The one JSON text of a plain value: sorted keys, no spaces, no NaN (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_of(experiment: str, fields: dict[str, Any]) -> str:
    """The 12 hex digits that identify a run by its experiment's name and its spec fields (plain values)."""
    return hashlib.sha256(canonical_json([experiment, fields]).encode()).hexdigest()[:12]


def spec_hash(spec: Spec) -> str:
    """The 12 hex digits that identify a run; equal specs of equal experiments have equal hashes."""
    return hash_of(spec.experiment, spec.to_dict())
