"""Machines that lack something: characters in the terminal's encoding, a home folder, docstrings, a checkout."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from implicit_rank import __main__ as program
from implicit_rank.book import members
from implicit_rank.book.progress import Progress
from implicit_rank.data import data_root
from implicit_rank.folders import expanded, home
from implicit_rank.store import checkpoints, places

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src")}


@pytest.fixture
def no_home(monkeypatch):
    """A process whose user has no entry in the system's list, and no HOME."""
    import pwd

    def unknown(user):
        raise KeyError(f"getpwuid(): uid not found: {user}")

    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "IMPLICIT_RANK_DATA", "IMPLICIT_RANK_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("IMPLICIT_RANK_CHECKPOINTS", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


# ---- encodings ----
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_command_prints_in_any_encoding(encoding, monkeypatch):
    written, errors = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(errors, encoding=encoding, errors="strict"))
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)
    assert program.main(["claims", "--chapter", "09"]) == 0
    assert program.main(["book", "--only", "Ω"]) == 1
    sys.stdout.flush()
    sys.stderr.flush()
    sign = "✔" if encoding == "utf-8" else "?"
    assert f"{sign} reproduced" in written.getvalue().decode(encoding)
    assert "no chapter starts with 'Ω'".replace("Ω", "Ω" if encoding == "utf-8" else "?") in errors.getvalue().decode(
        encoding
    )


def test_a_closed_output_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    program.speak_any_encoding()
    with Progress() as progress:
        progress(0.5, "half")


# ---- no home ----
def test_every_folder_has_a_place_without_a_home(no_home, monkeypatch, tmp_path):
    monkeypatch.setattr(places, "checkout", lambda: None)
    monkeypatch.setattr(checkpoints, "checkout", lambda: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert home().parent == tmp_path
    for folder in (data_root(), places.default_root(), checkpoints.checkpoint_folder()):
        assert home() in folder.parents
        assert "~" not in str(folder)


def test_a_home_that_nobody_knows_is_one_sentence(no_home, monkeypatch, capsys):
    with pytest.raises(FileNotFoundError, match="~/images: there is no such home folder on this machine"):
        expanded("~/images")
    monkeypatch.setenv("IMPLICIT_RANK_DATA", "~/data")
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)
    assert program.main(["fetch"]) == 1
    assert capsys.readouterr().err == "~/data: there is no such home folder on this machine; write the path out.\n"


def test_the_doctor_works_without_a_home(no_home):
    from implicit_rank.book import doctor

    assert str(home()) in doctor.data_lines()[0]


# ---- no docstrings ----
@pytest.mark.parametrize("words", [["--help"], ["run"], ["claims", "--chapter", "09"], ["pair", "--check"]])
def test_commands_work_without_docstrings_and_asserts(words):
    command = [sys.executable, "-OO", "-m", "implicit_rank", *words]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# ---- no checkout ----
def test_without_a_checkout_claims_ends_like_the_other_commands(monkeypatch, capsys):
    for module in ("implicit_rank.store.checkout", "implicit_rank.claims.grammar.library"):
        monkeypatch.setattr(module, lambda: None)
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)
    assert program.main(["claims"]) == 1
    assert "inside a checkout" in capsys.readouterr().err


# ---- words of the command line ----
def test_results_are_stored_where_the_shell_would_have_put_them(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert members.place("~/x") == tmp_path / "x"
    assert members.place("here") == Path("here")


@pytest.mark.parametrize("words", [["--results", ""], ["--results= "], ["--part", "9" * 200_000], ["--" + "x" * 9999]])
def test_a_refusal_is_short(words, monkeypatch, capsys):
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        program.main(["run", "deep_linear", *words])
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert len(said) < 700
    assert ("must name a place" in said) == words[0].startswith("--results")


@pytest.mark.parametrize(
    "words",
    [
        ["book", "--only", "x" * 200_000],
        ["book", "-p", "=" * 200_000],
        ["run", "x" * 200_000],
        ["claims", "--paper", "x" * 200_000],
        ["run", "deep_linear", "--seeds", "9" * 4000],
    ],
    ids=["chapter", "parameter", "experiment", "paper", "seed"],
)
def test_a_refused_word_is_not_repeated_at_length(words, monkeypatch, capsys):
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)
    assert program.main(words) in (1, 2)
    said = capsys.readouterr()
    assert len(said.err) < 1500
    assert said.err.count("\n") == 1


def test_a_seed_given_twice_counts_once():
    module = members.load("deep_linear")
    assert members.wanted(module, "smoke", [3, 3, 3]) == members.wanted(module, "smoke", [3])
