"""`python -m implicit_rank fetch`: checks what is there, and says in one sentence what could not be had."""

import sys

import pytest

from implicit_rank.__main__ import main
from implicit_rank.data import load as load_function

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


def test_only_known_names_are_fetched(capsys):
    with pytest.raises(SystemExit):
        main(["fetch", "imagenet"])
    assert "mnist" in capsys.readouterr().err
