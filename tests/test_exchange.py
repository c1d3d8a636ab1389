"""Runs that travel: packed into zips of limited size, taken in unchanged, refused if anything is off."""

import io
import json
import zipfile
from typing import ClassVar

import numpy as np
import pytest

from implicit_rank.__main__ import main
from implicit_rank.experiments import register
from implicit_rank.store import Store, StoreError, files, pack_runs, take_in

SPECS = register.experiment("rag_start").presets("smoke", seeds=(0, 1, 2))[:3]


@pytest.fixture
def home(tmp_path):
    """A store with three runs, of random arrays that do not compress."""
    store = Store(tmp_path / "there")
    for i, spec in enumerate(SPECS):
        store.save(spec, {"value": i, "never": float("inf")}, {"noise": np.random.default_rng(i).random(2000)})
    return store


def runs(store):
    return [record for name in store.experiments() for record in store.scan(name)[0]]


def contents(store):
    return {path.relative_to(store.root): path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def test_runs_come_home_byte_for_byte_and_a_second_time_change_nothing(home, tmp_path):
    (archive,) = pack_runs(runs(home), tmp_path / "out")
    here = Store(tmp_path / "here")
    assert len(take_in([archive], here).added) == len(SPECS)
    assert contents(here) == contents(home)
    again = take_in([archive], here)
    assert (len(again.added), len(again.same), len(again.replaced)) == (0, len(SPECS), 0)
    assert contents(here) == contents(home)


def test_the_same_runs_make_the_same_bytes_and_none_is_larger_than_allowed(home, tmp_path):
    parts = pack_runs(runs(home), tmp_path / "out", most=25_000)
    assert len(parts) == 3
    assert all(path.stat().st_size <= 25_000 for path in parts)
    before = [path.read_bytes() for path in parts]
    assert [path.read_bytes() for path in pack_runs(runs(home), tmp_path / "out", most=25_000)] == before
    here = Store(tmp_path / "here")
    take_in(parts[1:], here)
    take_in(parts, here)
    assert contents(here) == contents(home)
    assert [path.name for path in pack_runs(runs(home), tmp_path / "out")] == ["runs-1.zip"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["runs-1.zip"]  # parts of before are gone
    with pytest.raises(StoreError, match="an archive may have 10,000"):
        pack_runs(runs(home), tmp_path / "out", most=10_000)


def test_a_stored_run_is_replaced_only_when_asked(home, tmp_path, capsys):
    (archive,) = pack_runs(runs(home), tmp_path / "out")
    here = Store(tmp_path / "here")
    here.save(SPECS[1], {"value": 99}, {"noise": np.zeros(3)})
    before = contents(here)
    line = ["import", str(archive), "--results", str(here.root)]
    assert main(line) == 1
    said = capsys.readouterr().err
    assert "so nothing was stored" in said
    assert said.count("\n") == 1
    assert contents(here) == before
    assert main([*line, "--replace"]) == 0
    assert "1 in the place of another" in capsys.readouterr().out
    assert contents(here) == contents(home)


def test_a_restamp_here_does_not_make_a_run_another(home, tmp_path):
    (archive,) = pack_runs(runs(home), tmp_path / "out")
    here = Store(tmp_path / "here")
    take_in([archive], here)
    here.restamp(here.load(SPECS[0]), {"members": 1})
    before = contents(here)
    assert len(take_in([archive], here).same) == len(SPECS)
    assert contents(here) == before


def rewritten(archive, change):
    """The bytes of an archive whose entries, a dictionary, `change` has changed."""
    with zipfile.ZipFile(archive) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    change(entries)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in entries.items():
            new.writestr(name, content)
    return stream.getvalue()


def listing(entries):
    """Make the manifest list what there is."""
    own = {name: files.sha256(content) for name, content in entries.items() if name != "manifest.json"}
    entries["manifest.json"] = json.dumps({"format": 1, "files": own}).encode()


def changed_array(entries):
    name = next(name for name in entries if name.endswith(".npz"))
    entries[name] = entries[name][:-1] + b"?"


def pickled_array(entries):
    name = next(name for name in entries if name.endswith(".npz"))
    stream = io.BytesIO()
    np.savez(stream, noise=np.array([Bomb()], dtype=object))
    entries[name] = stream.getvalue()
    record = name.rpartition("-")[0] + ".json"
    content = json.loads(entries[record])
    content["arrays"]["sha256"] = files.sha256(entries[name])
    del content["checksum"]
    entries[record] = files.encode_record(content)
    listing(entries)


class Bomb:
    """Whoever unpickles it notices."""

    went_off: ClassVar[bool] = False

    def __reduce__(self):
        return exec, ("raise AssertionError('unpickled')",)


def unlisted(entries):
    entries["rag_start/more.json"] = b"{}"


def outside(entries):
    entries["../../evil.json"] = b"{}"
    listing(entries)


def foreign(entries):
    entries["mine/paper-s0-0123456789ab.json"] = b"{}"
    listing(entries)


def no_run(entries):
    entries["rag_start/paper-s0-0123456789ab.json"] = b"{}"
    listing(entries)


def orphan(entries):
    entries["rag_start/orphan.npz"] = b"?"
    listing(entries)


def renamed(entries):
    name = next(name for name in entries if name.endswith(".json") and "/" in name)
    entries[name[:-6] + "x.json"] = entries.pop(name)
    listing(entries)


def unknown_setting(entries):
    from implicit_rank.store.spec import hash_of

    name = next(name for name in entries if name.endswith(".json") and "/" in name)
    content = json.loads(entries.pop(name))
    content["spec"]["colour"] = "blue"
    del content["checksum"]
    entries[f"rag_start/smoke-s0-{hash_of('rag_start', content['spec'])}.json"] = files.encode_record(content)
    listing(entries)


@pytest.mark.parametrize(
    "change",
    [changed_array, pickled_array, unlisted, outside, foreign, no_run, orphan, renamed, unknown_setting, dict.clear],
)
def test_damaged_and_foreign_content_is_refused_in_one_sentence(home, tmp_path, capsys, change):
    (archive,) = pack_runs(runs(home), tmp_path / "out")
    bad = tmp_path / "bad.zip"
    bad.write_bytes(rewritten(archive, change))
    here = tmp_path / "here"
    assert main(["import", str(bad), "--results", str(here)]) == 1
    said = capsys.readouterr().err
    assert f"{bad} cannot be taken in: " in said
    assert said.endswith("nothing was stored.\n")
    assert said.count("\n") == 1
    assert not here.exists()
    assert not list(tmp_path.glob("**/evil.json"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_an_archive_that_is_cut_off_is_refused(home, tmp_path, capsys, share):
    (archive,) = pack_runs(runs(home), tmp_path / "out")
    content = archive.read_bytes()
    archive.write_bytes(content[: int(share * len(content))])
    assert main(["import", str(archive), "--results", str(tmp_path / "here")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "here").exists()


def test_what_is_not_there_or_no_file_is_said(tmp_path, capsys):
    for path, words in ((tmp_path / "none.zip", "there is no archive"), (tmp_path, "a folder and not a file")):
        assert main(["import", str(path), "--results", str(tmp_path / "here")]) == 1
        assert words in capsys.readouterr().err
