"""`python -m implicit_rank fetch`: checks what is there, and says in one sentence what could not be had."""

import sys

import pytest

from implicit_rank.__main__ import main
from implicit_rank.book import doctor, fetch
from implicit_rank.data import load as load_function
from implicit_rank.data.download import missing
from implicit_rank.evaluate.inception import WEIGHTS

LOADER = sys.modules["implicit_rank.data.load"]  # the name implicit_rank.data.load is the function


def test_it_says_what_is_there(monkeypatch, capsys):
    asked = []

    def load(name, split, download):
        asked.append((name, split, download))
        return load_function("digits", split)

    monkeypatch.setattr(LOADER, "load", load)
    assert main(["fetch", "mnist"]) == 0
    assert asked == [("mnist", "train", True), ("mnist", "test", True)]
    assert "mnist, train: 1,442 images of 32 x 32" in capsys.readouterr().out


@pytest.mark.parametrize("problem", [ConnectionError("MNIST could not be had (no network)."), FileNotFoundError("x")])
def test_a_failure_is_one_sentence(monkeypatch, capsys, problem):
    def load(*args, **options):
        raise problem

    monkeypatch.setattr(LOADER, "load", load)
    assert main(["fetch", "cifar10"]) == 1
    assert capsys.readouterr().err.strip() == str(problem)


def test_the_weights_of_fid_are_fetched_by_their_own_way(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("implicit_rank.evaluate.inception.inception_network", lambda **options: asked.append(options))
    assert main(["fetch", "fid-weights"]) == 0
    assert asked == [{"download": True}]
    assert "checksum is right" in capsys.readouterr().out


def test_without_a_name_it_lists_what_there_is(monkeypatch, capsys, tmp_path):
    """The sentence of a missing data set names the bare command."""
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert "python -m implicit_rank fetch, " in str(missing("a.gz", tmp_path, "MNIST"))
    (tmp_path / "cifar10.npz").touch()
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "torch" / "hub" / "checkpoints" / WEIGHTS).touch()
    assert main(["fetch"]) == 0
    said = capsys.readouterr().out
    assert str(tmp_path) in said.splitlines()[0]
    assert {line.split()[0] for line in said.splitlines() if line.startswith("  ")} == {*fetch.SETS, fetch.WEIGHTS}
    assert [line.split()[0] for line in said.splitlines() if line.endswith(": found")] == ["cifar10"]
    assert WEIGHTS in said
    assert set(fetch.SETS.values()) == set(doctor.DATA)


def test_only_known_names_are_fetched(capsys):
    with pytest.raises(SystemExit):
        main(["fetch", "imagenet"])
    assert "mnist" in capsys.readouterr().err
