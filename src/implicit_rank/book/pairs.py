"""The directive `{pair}`: the figures that `page.show` drew under one name, in tabs, with one number and one caption.

    ```{pair} greedy-figure-1
    :alt: What a reader who cannot see it must know.
    :alt-live: The same of this build, where it differs; so for every tab.
    :tabs: stored, live, samples

    The caption.
    ```

Tabs that were not drawn are left out, and a single one stands by itself, as does a figure of no run that
`page.figure` drew. References use the label `fig-NAME`.
"""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from myst_nb.ext.glue.utils import RetrievalError, retrieve_glue_data
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from implicit_rank.book.page import TABS

log = logging.getLogger(__name__)


class _Options(dict):
    """The options of a pair: `alt`, `tabs`, and an `alt-TAB` for whatever tab there is."""

    def __missing__(self, name: str):
        if name.startswith("alt-"):
            return directives.unchanged
        raise KeyError(name)


class Pair(SphinxDirective):
    """One numbered figure out of one picture a tab."""

    required_arguments = 1
    has_content = True
    option_spec = _Options(alt=directives.unchanged_required, tabs=directives.unchanged)

    def run(self):
        name, wanted = self.arguments[0], self.options.get("tabs", ", ".join(TABS))
        tabs = [tab.strip() for tab in wanted.split(",")]
        drawn = [tab for tab in tabs if self._is_drawn(f"fig-{name}-{tab}")]
        alone = not drawn and self._is_drawn(f"fig-{name}")
        if not (drawn or alone) or "alt" not in self.options or not self.content:
            seen = drawn or alone
            what = "needs :alt: and a caption" if seen else "was not drawn: no page.show or page.figure of this name"
            log.warning("the pair %r %s", name, what, location=self.get_location())
            return []
        figure = nodes.figure("", classes=["pair"])
        self.set_source_info(figure)
        self.options["name"] = f"fig-{name}"
        self.add_name(figure)
        self._parse(self._picture(name, "") if alone else self._tab_set(name, drawn), figure)
        caption, *rest = self._parse("\n".join(self.content), nodes.Element())
        figure += nodes.caption(caption.rawsource, "", *caption.children)
        if rest:
            figure += nodes.legend("", *rest)
        return [figure]

    def _is_drawn(self, key: str) -> bool:
        try:
            retrieve_glue_data(self.state.document, key)
        except RetrievalError:
            return False
        return True

    def _tab_set(self, name: str, tabs: list[str]) -> str:
        pictures = {tab: self._picture(name, tab) for tab in tabs}
        if len(tabs) == 1:
            return pictures[tabs[0]]
        items = [
            f":::{{tab-item}} {TABS.get(tab, tab.replace('-', ' ').capitalize())}\n:sync: {tab}\n\n{picture}\n:::"
            for tab, picture in pictures.items()
        ]
        return "::::{tab-set}\n" + "\n".join(items) + "\n::::"

    def _picture(self, name: str, tab: str) -> str:
        alt = self.options.get(f"alt-{tab}", self.options["alt"])
        key = f"fig-{name}-{tab}" if tab else f"fig-{name}"
        picture = f"```{{glue:figure}} {key}\n:figwidth: 100%\n:alt: {alt}\n```"
        return picture + f"\n\n{{glue:text}}`runs-{name}-{tab}`" if tab in TABS else picture

    def _parse(self, text: str, into: nodes.Element) -> list[nodes.Node]:
        self.state.nested_parse(StringList(text.splitlines(), self.get_source_info()[0]), self.content_offset, into)
        return into.children
