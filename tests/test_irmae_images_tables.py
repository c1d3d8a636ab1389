"""The tables of chapter 4, and the numbers of its prose."""

from dataclasses import replace

import numpy as np
import pytest

from implicit_rank.claims import ledger
from implicit_rank.experiments.irmae_images import numbers, precision
from implicit_rank.experiments.irmae_images.experiment import presets
from implicit_rank.experiments.irmae_images.labels import PLACES, PROTOCOLS
from implicit_rank.figures.irmae_images import tables
from implicit_rank.store import Store, live_record

SIZES = (10, 100)


def record_of(spec, course=((0.1, 1.0), (0.01, 20.0)), **scalars):
    """A run of known errors and ranks; heads err 0.1 per place, 0.01 per protocol, 0.001 per number of labels."""
    errors, ranks = np.array(course, dtype=float).T
    place, protocol, size = np.ogrid[1 : len(PLACES) + 1, 1 : len(PROTOCOLS) + 1, 1 : len(SIZES) + 1]
    share = 0.1 * place + 0.01 * protocol + 0.001 * size
    arrays = {f"error_{name}": share[:, i, :, None] for i, name in enumerate(PROTOCOLS)}
    arrays |= {"label_sizes": np.array(SIZES), "error": errors, "rank_covariance": ranks, "rank_codes": 2 * ranks}
    ends = {"test_error": errors[-1], "test_rank_covariance": ranks[-1], "test_rank_codes": 2 * ranks[-1]}
    return live_record(spec, ends | scalars, arrays)


def lines_of(shown):
    return dict(line.split(": ", 1) for line in repr(shown).splitlines() if ": " in line)


@pytest.fixture(scope="module")
def core():
    return [record_of(spec, classifier_mixture=10.0 + i) for i, spec in enumerate(presets("paper")[:4])]


@pytest.fixture(scope="module")
def nothing_run(tmp_path_factory):
    return {j.claim.id: j for j in ledger(chapter="04", store=Store(tmp_path_factory.mktemp("empty")))}


def test_table_2_has_print_verdict_and_the_small_net_side_by_side(core, nothing_run):
    lines = lines_of(tables.table_2(nothing_run, core))
    assert lines["IRMAE, 10 labels"] == "paper 12.0 ± 0.9; not run; small net 11.1"  # before the maps, least
    assert lines["supervised, 100 labels"] == "paper 25.1 ± 0.6; not run; small net 11.2"
    assert lines["AE, 1,000 labels"] == "paper 10.6 ± 0.2; not run"  # not among the small net's numbers of labels
    assert lines["IRMAE ahead of AE, 100 labels"] == "paper 20.0; not run"
    assert lines["IRMAE ahead of AE, 10,000 labels"] == "–"  # there the table has it the other way round
    assert lines["VAE ahead of IRMAE, 10,000 labels"] == "paper 0.7; not run"
    assert lines["supervised ahead of VAE, 60,000 labels"] == "paper 0.3; not run"
    judged = lines_of(tables.table_2({j.claim.id: j for j in ledger(chapter="04")}, core))
    assert judged["IRMAE, 100 labels"].endswith("; one run; small net 11.2")


def test_table_1_sets_the_orders_below_the_models(core, nothing_run):
    lines = lines_of(tables.table_1(nothing_run, core))
    assert lines["VAE, MNIST, FID, mixture"] == "paper 30.8; not run"
    assert lines["IRMAE, CelebA, FID, mixture"] == "paper 36.4; not run"
    assert [lines[f"{name}, classifier features, mixture"] for name in ("AE", "IRMAE", "VAE")] == [
        "ours 10",
        "ours 11",
        "ours 12",
    ]
    assert lines["AE over IRMAE, classifier features, mixture"] == "paper 38.0 / 34.0; not run"
    assert lines["VAE over IRMAE, CelebA, FID, mixture"] == "paper 48.8 / 36.4; not run"


def test_what_is_printed_is_read_off_the_ledger(nothing_run):
    printed = tables.printed(nothing_run)
    assert list(printed) == ["AE", "VAE", "IRMAE", "supervised"]
    assert list(printed["AE"].values()) == [31.4, 30.2, 10.6, 3.7, 1.9]
    assert printed["supervised"][60_000] == 0.8


def test_one_line_of_the_script_is_replaced_at_a_time(core):
    lines = lines_of(tables.protocol(core[1:2]))
    errors = [text for name, text in lines.items() if name.endswith(", 100 labels")]
    assert errors == ["11.2", "12.2", "13.2", "23.2", "24.2"]  # least, final, drawn, after the maps, one scale
    assert "IRMAE, l = 4: error in %" in tables.protocol(core[1:2])._repr_html_()
    assert "11.2" not in repr(tables.protocol([]))


def test_live_rows_stand_below_stored_ones(core):
    ours = record_of(replace(presets("paper")[0], seed=5), ((0.1, 1), (0.05, 7)))
    lines = lines_of(tables.at_equal_error({"Stored: profile paper, 4 runs": core, "This build": [ours]}))
    assert lines["AE, count, covariance"] == "20"
    assert lines["AE (this build), count, codes"] == "14"
    assert lines["AE (this build), error"] == "0.05"
    assert not any(name.startswith("supervised") for name in lines)  # it reconstructs nothing


FAST = ((0.1, 1), (0.05, 10), (0.01, 20), (0.001, 50))
SLOW = ((0.1, 1), (0.05, 3), (0.01, 8))
AHEAD = ((0.1, 1), (0.05, 3), (0.02, 5), (0.005, 9))  # half of the way from 0.02 to 0.005, in logarithms, is 0.01


def test_ranks_are_compared_where_both_first_have_the_same_error():
    ae, irmae = presets("paper")[:2]
    groups = {"ae": [record_of(ae, FAST)], "irmae": [record_of(irmae, SLOW), record_of(replace(irmae, seed=1), FAST)]}
    assert numbers.equal_rank(groups, "ae", "irmae") == pytest.approx(20)
    assert numbers.equal_rank(groups, "irmae", "ae") == pytest.approx(8)  # the seed that has no partner is left out
    assert numbers.equal_rank({"ae": [], "irmae": groups["irmae"]}, "ae", "irmae") is None


def test_twins_are_held_against_the_runs_they_repeat():
    rounded = [spec for spec in precision.presets("paper") if spec.depth == 8]
    usual = [record_of(replace(presets("paper")[1], depth=8), SLOW), record_of(presets("paper")[3], SLOW)]
    found = [record_of(spec, AHEAD) for spec in rounded]
    groups = {"twins": found, "twins_of_eight": found, "usual": usual}
    assert numbers.twins_apart(groups) == pytest.approx(1)
    assert numbers.twins_ahead(groups) == 1  # of three twins one has its run
    shown = lines_of(tables.twins(found, usual))
    common = "count, covariance, at the pair's common error"
    assert shown[f"IRMAE, l = 8, seed 0, float32, {common}"] == "8"
    assert shown[f"IRMAE, l = 8, seed 0, bfloat16, {common}"] == "7"
    assert shown["IRMAE, l = 8, seed 0, bfloat16, count, covariance"] == "9"
    assert numbers.twins_apart(groups | {"usual": []}) is None
    assert repr(tables.twins(found, [])) == "No twin is stored."
