"""What a chapter begins with: its checked parameters, the runs they ask for, the stored runs, and its figures.

    page = chapter("02_greedy_rank", GreedyRankChapter, globals())
    live = page.run(page.settings.figure_1())
    page.show("figure-1", figures.figure_1, stored="figure_1")

A `{pair}` directive of the same name puts the figures on the page, the stored run first.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from implicit_rank import claims
from implicit_rank.book.groups import Groups, groups_of
from implicit_rank.book.layout import BookError, find_layout
from implicit_rank.claims.judging import Judgement
from implicit_rank.experiments import register
from implicit_rank.figures.kit import captions, cost
from implicit_rank.figures.kit.style import nothing, settle
from implicit_rank.glue import glue
from implicit_rank.parameters import Parameters, resolve_device
from implicit_rank.store import Record, Spec, library, live_record, provenance
from implicit_rank.sweep.ensembles import portions

TABS = {"stored": "Stored run", "live": "This build"}
Draw = Callable[[Sequence[Record]], Any]


def chapter(
    name: str, parameters: type[Parameters] | None, namespace: dict[str, Any], tell: Draw | None = None
) -> Page:
    """The page of a chapter ("02_greedy_rank") whose notebook's `globals()` hold the parameters.

    `tell` says in words which runs a figure shows (default: `figures.captions.runs_shown`). ParameterError, one
    sentence, for a parameter that is misspelt or out of range.
    """
    settings = parameters.from_namespace(namespace) if parameters else None
    return Page(
        name, settings, groups_of((library() or find_layout().root) / "book", name), tell or captions.runs_shown
    )


class Page:
    """A chapter while it runs: `settings`, the runs of this build in `live`, and stored groups by `page[name]`."""

    def __init__(self, name: str, settings: Parameters | None, groups: Groups, tell: Draw):
        self.name, self.settings, self.groups, self._tell = name, settings, groups, tell
        self.live: list[Record] = []
        self._began = time.perf_counter()

    @property
    def device(self) -> str:
        """The device that the parameters name, "cpu" where they name none."""
        return getattr(self.settings, "device", "cpu")

    def __getitem__(self, group: str) -> list[Record]:
        return self.groups[group]

    def run(self, specs: Iterable[Spec]) -> list[Record]:
        """Run members on the page's device and add them to `live`; returns their records in the order asked for."""
        specs = list(dict.fromkeys(specs))
        if not specs:
            return []
        experiment, device = register.experiment(specs[0].experiment), str(resolve_device(self.device))
        parts = portions(experiment, specs, device)
        found = {result.spec: result for part in parts for result in experiment.run(part, device=device)}
        results = [found[spec] for spec in specs]
        records = [live_record(r.spec, r.scalars, r.arrays, provenance(device, r.seconds)) for r in results]
        self.live += records
        return records

    def show(
        self,
        name: str,
        draw: Draw,
        stored: str | Sequence[Record] | None = None,
        live: Sequence[Record] | None = None,
        **others: Any,
    ) -> None:
        """Draw one figure of stored runs (a group or records) and of this build's (default: all of `live`).

        `others` are figures that are drawn already, by the name of their tab. What is shown here goes to the
        page's `{pair}` of the same name, with a sentence on which runs it shows. An empty `live` leaves it out.
        """
        pools = {
            "stored": self[stored] if isinstance(stored, str) else stored,
            "live": self.live if live is None else live,
        }
        for tab, records in pools.items():
            if records is not None and (records or tab == "stored"):
                figure = draw(records) if records else nothing("No stored run of this figure is there.")
                self._put(name, tab, figure, self._tell(records))
        for tab, figure in others.items():
            self._put(name, tab, figure, "")

    def figure(self, name: str, figure: Any) -> None:
        """Put a figure that shows no run, a scheme for one, under the page's `{pair}` of that name."""
        glue(f"fig-{name}", figure)

    def blocks(self, stored: str | Sequence[Record], live: Sequence[Record] | None = None) -> dict[str, list[Record]]:
        """Stored runs and this build's (default: all of `live`) by the words that head their rows in a table.

        The empty ones are left out.
        """
        records = self[stored] if isinstance(stored, str) else list(stored)
        ours = list(self.live if live is None else live)
        pools = {f"Stored: {self._tell(records)}" if records else "": records, "This build": ours}
        return {words: pool for words, pool in pools.items() if pool}

    @functools.cached_property
    def ledger(self) -> dict[str, Judgement]:
        """The chapter's claims as they are judged now, by name."""
        return {judgement.claim.id: judgement for judgement in claims.ledger(chapter=self.name)}

    def badges(self) -> Any:
        """The chapter's claims in short, for its head."""
        return claims.badges(self._number)

    def verdicts(self) -> Any:
        """The table of the chapter's claims."""
        return claims.rows_for(self._number)

    def cost(self) -> Any:
        """What the live runs cost on this machine."""
        return cost.cost_card(self._began, self.device)

    @property
    def _number(self) -> str:
        number = self.name.partition("_")[0]
        if not number.isdigit():
            raise BookError(f"{self.name!r} is no chapter: its name begins with no number")
        return number

    def _put(self, name: str, tab: str, figure: Any, words: str) -> None:
        print(f"{TABS.get(tab, tab)}. {words}".rstrip())  # for a notebook; a page takes figure and words by name
        if hasattr(figure, "axes"):
            settle(figure)
        glue(f"fig-{name}-{tab}", figure)
        glue(f"runs-{name}-{tab}", words)
