"""The page that a chapter begins with."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from implicit_rank.book import page as page_module
from implicit_rank.book.groups import Groups
from implicit_rank.book.page import Page
from implicit_rank.book.pairs import Pair
from implicit_rank.claims import ledger
from implicit_rank.experiments import register
from implicit_rank.experiments.kit.result import Result
from implicit_rank.experiments.register import Experiment
from implicit_rank.figures.kit.captions import runs_shown
from implicit_rank.parameters import Parameters, option
from implicit_rank.store import Spec, Store


@dataclasses.dataclass(frozen=True)
class Toy(Spec):
    experiment: ClassVar[str] = "toy"


@dataclasses.dataclass(frozen=True)
class Settings(Parameters):
    device: str = option("cpu", "device")


def run(specs, device):
    """A result for every member, whatever is asked for."""
    asked.append((list(specs), device))
    return [Result(spec, {"x": 1.0 * spec.seed}, {"y": np.ones(2)}, seconds=0.5) for spec in specs]


asked: list = []
EXPERIMENT = Experiment(Toy, lambda profile, seeds=None: [], run, {})


@pytest.fixture
def page(tmp_path, monkeypatch):
    asked.clear()
    monkeypatch.setitem(register._ADDED, "toy", EXPERIMENT)
    shown = []
    monkeypatch.setattr(page_module, "glue", lambda name, value: shown.append((name, value)))
    store = Store(tmp_path)
    for seed in (0, 1):
        store.save(Toy(profile="paper", seed=seed), {"x": 5.0})
    found = Page(
        "02_x", Settings(), Groups("02_x", {"experiment": "toy", "all": {}, "none": {"seed": 9}}, store), runs_shown
    )
    found.shown = shown
    return found


def test_members_run_once_each_on_the_pages_device_and_are_live(page):
    records = page.run([Toy(seed=3), Toy(seed=4), Toy(seed=3)])
    assert [record.seed for record in records] == [3, 4]
    assert page.live == records
    assert asked == [([Toy(seed=3), Toy(seed=4)], "cpu")]
    assert records[0].provenance["seconds"] == 0.5
    assert page.run([]) == []


def test_members_are_run_in_their_experiments_batches_and_come_back_as_asked_for(page, monkeypatch):
    def batches(specs, memory=None, device="cpu"):
        return [[spec for spec in specs if spec.seed % 2 == rest] for rest in (0, 1)]

    monkeypatch.setitem(register._ADDED, "toy", dataclasses.replace(EXPERIMENT, batches=batches))
    assert [record.seed for record in page.run([Toy(seed=seed) for seed in (3, 4, 5, 6)])] == [3, 4, 5, 6]
    assert [[spec.seed for spec in specs] for specs, _ in asked] == [[3, 5], [4, 6]]


def test_a_figure_of_no_run_has_no_words(page):
    page.figure("scheme", "a scheme")
    assert page.shown == [("fig-scheme", "a scheme")]


def test_a_figure_is_drawn_of_stored_and_live_runs_and_says_which(page, capsys):
    page.run([Toy(seed=3)])
    page.show("cats", lambda records: f"drawn of {[r.seed for r in records]}", "all", samples="a sample")
    assert [value for name, value in page.shown if name.startswith("fig-")] == [
        "drawn of [0, 1]",
        "drawn of [3]",
        "a sample",
    ]
    assert [name for name, _ in page.shown if name.startswith("fig-")] == [
        "fig-cats-stored",
        "fig-cats-live",
        "fig-cats-samples",
    ]
    words = dict(page.shown)
    assert words["runs-cats-stored"].startswith("Profile paper, 2 runs, seeds 0 and 1")
    assert words["runs-cats-live"].startswith("Profile quick, 1 run, seed 3")
    assert "Stored run. Profile paper" in capsys.readouterr().out


def test_what_is_not_there_is_left_out_or_said(page):
    page.show("dogs", lambda records: records[0], "none", [])
    assert [name for name, _ in page.shown] == ["fig-dogs-stored", "runs-dogs-stored"]
    assert "No stored run" in page.shown[0][1].axes[0].texts[0].get_text()


def test_its_claims_are_those_of_the_ledger_by_name(tmp_path):
    page = Page("02_greedy_rank", None, Groups("02_greedy_rank", {}, Store(tmp_path)), runs_shown)
    assert page.ledger == {judgement.claim.id: judgement for judgement in ledger(chapter="02")}
    assert "sun2021-fig1d-codes" in page.ledger


def test_blocks_of_a_table_are_headed_by_their_runs(page):
    assert list(page.blocks("none")) == []
    page.run([Toy(seed=3)])
    assert [len(records) for records in page.blocks("all").values()] == [2, 1]
    assert [len(records) for records in page.blocks("all", []).values()] == [2]
    assert page.blocks(page["none"], page.live[:1]) == {"This build": page.live[:1]}
    stored, live = page.blocks("all")
    assert stored.startswith("Stored: Profile paper")
    assert live == "This build"


def test_a_pair_takes_alternative_text_for_whatever_tab_it_has():
    known = Pair.option_spec
    assert known["alt-samples"]("a cat ") == known["alt-live"]("a cat ") == "a cat "
    with pytest.raises(KeyError):
        known["alternative"]


def test_an_axis_without_a_number_is_no_reason_to_fail(page):
    """A folder of a hundred pictures may be too small for a measure: its panel is empty then, and the others stand."""
    from implicit_rank.figures.kit.style import canvas, house, plain_numbers

    def draw(records):
        with house():
            figure, axes = canvas(1, 2, sharex=True)
            for axis, values in zip(axes, ([np.nan, np.nan], [3.0, 4.0]), strict=True):
                axis.plot([1, 2], values)
                axis.set(xscale="log", yscale="log")
                plain_numbers(axis.yaxis)
        return figure

    page.show("mice", draw, "all", [])
    figure = page.shown[0][1]
    figure.draw_without_rendering()
    assert [axis.get_yscale() for axis in figure.axes] == ["linear", "log"]
    assert [axis.get_xscale() for axis in figure.axes] == ["log", "log"]
