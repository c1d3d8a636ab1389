"""Named groups of stored runs: one file a chapter, `book/runs/<chapter>.toml`, read by pages and by cells alike.

    experiment = "irmae_images"              # whose runs these are, unless a group names another
    numbers = "irmae_images.numbers"         # a module of implicit_rank.experiments with functions of the groups

    [ae]                                     # spec fields and the values that runs must have;
    depth = 0                                # a list means one of these
    kind = "ae"

    [shown]
    join = ["ae", "irmae"]                   # all runs of other groups, each once

Every group is of the profile "paper" unless it says otherwise.
"""

from __future__ import annotations

import functools
import importlib
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from implicit_rank.book.layout import BookError
from implicit_rank.experiments import register
from implicit_rank.parameters import unknown_name
from implicit_rank.store import Record, Store, filter_records

_OF_THE_FILE = ("experiment", "numbers")


class Groups(Mapping):
    """The groups of one chapter, by name: lists of stored runs, read when they are asked for.

    BookError, one sentence, for a name that the chapter's file does not have and for a spec field that no run has.
    """

    def __init__(self, chapter: str, content: Mapping[str, Any], store: Store | None = None):
        self.chapter, self.store = chapter, store or _store()
        self.experiment, self._numbers = content.get("experiment"), content.get("numbers")
        self._content = {name: value for name, value in content.items() if name not in _OF_THE_FILE}

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __getitem__(self, name: str) -> list[Record]:
        fields = dict(self._of(name))
        if "join" in fields:
            found = {record.hash: record for other in fields["join"] for record in self[other]}
            return list(found.values())
        experiment = self.experiment_of(name)
        fields.pop("experiment", None)
        one_of = {key: value for key, value in fields.items() if isinstance(value, list)}
        same = {key: value for key, value in fields.items() if key not in one_of}
        try:
            records = self.store.select(experiment, **({"profile": "paper"} | same))
            for key, values in one_of.items():
                several = [record for value in values for record in filter_records(records, **{key: value})]
                records = filter_records(several)
        except ValueError as error:
            raise BookError(f"book/runs/{self.chapter}.toml, group {name!r}: {error}") from error
        return records

    def experiment_of(self, name: str) -> str:
        """The experiment whose runs a group has."""
        fields = self._of(name)
        if "join" in fields:
            return self.experiment_of(fields["join"][0])
        found = fields.get("experiment", self.experiment)
        if not found:
            raise BookError(f"book/runs/{self.chapter}.toml: group {name!r} names no experiment")
        return found

    def measure(self, name: str, measure: str) -> Callable[[Record], float]:
        """A measure of a group's runs: one of its experiment's MEASURES, or else a stored scalar of that name."""
        measures = register.experiment(self.experiment_of(name)).measures
        if measure in measures:
            return measures[measure]
        records = self[name]
        if records and all(measure not in record.scalars for record in records):
            raise BookError(unknown_name("measure", measure, sorted(measures)))
        return lambda record: record.scalars.get(measure)

    def number(self, name: str) -> Callable | None:
        """The function of that name in the module that the chapter's file calls `numbers`; None if it has none."""
        if not self._numbers:
            return None
        module = importlib.import_module(f"implicit_rank.experiments.{self._numbers}")
        found = getattr(module, name, None)
        return found if callable(found) and getattr(found, "__module__", "") == module.__name__ else None

    def _of(self, name: str) -> Mapping[str, Any]:
        if name not in self._content:
            raise BookError(unknown_name(f"group of runs in book/runs/{self.chapter}.toml", name, sorted(self)))
        return self._content[name]


def groups_of(book: Path, chapter: str, store: Store | None = None) -> Groups:
    """The groups of a chapter ("02_greedy_rank"); none where it has no file. BookError when that is not TOML."""
    path = book / "runs" / f"{chapter}.toml"
    if not path.is_file():
        return Groups(chapter, {}, store)
    try:
        return Groups(chapter, tomllib.loads(path.read_text(encoding="utf-8-sig")), store)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BookError(f"book/runs/{path.name} cannot be read: {error}") from error


@functools.cache
def _store() -> Store:
    return Store()  # one for all pages: it remembers what it has read
