"""Records that nobody wrote: StoreError and nothing else, and nothing is lost."""

import errno
import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import toy_sweep
from hostile import ARRAYS, EDITS, HOSTILE, Toy, edited, sentence_of
from hostile import never_waiting as never_waiting  # a fixture of every test here
from hypothesis import given, settings
from hypothesis import strategies as st

from implicit_rank.store import Store, StoreError, files
from implicit_rank.store.spec import hash_of, spec_hash
from implicit_rank.sweep import sweep

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two stored runs; each example works on a copy of its own."""
    place = tmp_path_factory.mktemp("whole")
    for seed in (0, 1):
        Store(place).save(Toy(seed=seed), {"rank": 5, "never": np.inf}, ARRAYS, {"device": "cpu"})
    return place


@pytest.fixture(scope="module")
def copied(folder, tmp_path_factory):
    """A function that gives the folder's copy, as it was at first."""
    place = tmp_path_factory.mktemp("copies") / "copy"

    def copy():
        shutil.rmtree(place, ignore_errors=True)
        return Path(shutil.copytree(folder, place))

    return copy


def parts(place: Path) -> tuple[Path, dict, Path]:
    """The JSON file of seed 0, its content without the checksum, and its array file."""
    (path,) = (place / "toy").glob(f"*{spec_hash(Toy(seed=0))}.json")
    content = files.read_record(path)
    return path, content, path.parent / content["arrays"]["file"]


def attempt(place: Path, path: Path) -> str | None:
    """Read all there is; the sentence for `path`, None where it was read. No file and no neighbour suffers."""
    before = {file: file.read_bytes() for file in place.rglob("*") if file.is_file()}
    store = Store(place)
    records, problems = store.scan("toy")
    assert set(problems) <= {path}
    assert next(record.scalars for record in records if record.path != path) == {"rank": 5, "never": np.inf}
    assert store.missing([Toy(seed=1)]) == []
    for read in (lambda: store.select("toy"), lambda: store.load(Toy(seed=0))):
        said = sentence_of(read)
        assert said in (None, problems.get(path))
        assert said is None or ("\n" not in said and len(said) < 500 + len(str(path)))
    assert {file: file.read_bytes() for file in place.rglob("*") if file.is_file()} == before
    return problems.get(path)


def signed(path: Path, content: dict) -> Path:
    """Write a record that somebody made up: its checksum is right, and so is the hash in its name."""
    path.unlink()
    path = path.with_name(f"smoke-seed0-{hash_of(content['experiment'], content['spec'])}.json")
    path.write_bytes(files.encode_record(content))
    return path


# ---- records ----
@settings(max_examples=100, deadline=None)
@given(edits=EDITS, which=st.integers(0, 1))
def test_no_accident_to_a_record_passes_or_raises_anything_else(copied, edits, which):
    place = copied()
    path, _, packed = parts(place)
    target = (path, packed)[which]
    content = target.read_bytes()
    target.write_bytes(edited(content, edits))
    if attempt(place, path) is None and target.read_bytes() != content:
        # white space, say: then it says what it said
        assert which == 0
        (record,) = Store(place).select("toy", seed=0)
        assert record.scalars == {"rank": 5, "never": np.inf}


@settings(max_examples=100, deadline=None)
@given(edits=EDITS)
def test_arrays_under_a_forged_checksum_are_read_or_refused(copied, edits):
    place = copied()
    path, content, packed = parts(place)
    packed.write_bytes(edited(packed.read_bytes(), edits))
    content["arrays"]["sha256"] = files.sha256(packed.read_bytes())
    path.write_bytes(files.encode_record(content))
    attempt(place, path)


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(["arrays", "experiment", "module", "provenance", "scalars", "spec", "format"]),
    inner=st.sampled_from([None, "file", "sha256", "fingerprint", "seed", "rank"]),
    value=JSON,
)
def test_a_record_that_somebody_made_up_is_read_or_refused(copied, name, inner, value):
    place = copied()
    path, content, _ = parts(place)
    if inner is not None and isinstance(content[name], dict):
        content[name][inner] = value
    else:
        content[name] = value
    try:
        path = signed(path, content)
    except ValueError:  # text that is no UTF-8 cannot be written
        return
    attempt(place, path)


NESTED = "[" * 200_000


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (NESTED, "it is cut off or not JSON"),
        (NESTED + "]" * 200_000, "it is cut off or not JSON|it is not a stored run"),
        ('{"format": 1, "scalars": ' + "[" * 900 + "]" * 900 + "}", "was edited or damaged|cut off or not JSON"),
        ('{"format": 1, "scalars": NaN}', "it was edited or damaged"),
        ('{"format": "' + "9" * 100_000 + '"}', r"has format 9{40}, this"),
        ('{"format": 1' + "0" * 5000 + "}", "it is cut off or not JSON"),
        (b"\xff\xfe{}", "it is cut off or not JSON"),
    ],
)
def test_json_beyond_measure_is_one_sentence(copied, content, sentence):
    place = copied()
    path, _, _ = parts(place)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StoreError, match=sentence):
        Store(place).select("toy")
    attempt(place, path)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_array_file_is_refused_in_little_memory(copied, monkeypatch, name):
    monkeypatch.setattr(files, "LARGEST", 1_000_000)
    place, (hostile, sentence) = copied(), HOSTILE[name]
    path, content, packed = parts(place)
    packed.write_bytes(hostile)
    content["arrays"]["sha256"] = files.sha256(hostile)
    path.write_bytes(files.encode_record(content))
    tracemalloc.start()
    with pytest.raises(StoreError, match=sentence):
        Store(place).select("toy")
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    attempt(place, path)


def test_more_than_can_be_read_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 1000)
    with pytest.raises(ValueError, match="the arrays of a run may hold 500 bytes together, not 800"):
        Store(tmp_path).save(Toy(), {}, {"a": np.zeros(100)})
    record = Store(tmp_path).save(Toy(), {}, {"a": np.zeros(50)})
    assert record.arrays["a"].shape == (50,)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("which", ["json", "npz"])
def test_a_pipe_is_not_waited_for(copied, which):
    place = copied()
    path, _, packed = parts(place)
    target = path if which == "json" else packed
    target.unlink()
    os.mkfifo(target)
    with pytest.raises(StoreError, match="it is no file but a pipe, a socket or a device"):
        Store(place).select("toy")
    attempt(place, path)


# ---- before anything is computed ----
@pytest.mark.parametrize("trouble", ["read-only", "in the way"])
def test_a_folder_that_takes_nothing_is_noticed_before_the_first_step(tmp_path, monkeypatch, trouble):
    results, place = tmp_path / "results", tmp_path / "diary_here"
    results.mkdir()
    place.mkdir()
    if trouble == "read-only":
        (results / "toy_sweep").mkdir()

        def refuse(dir, **_):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS)) if Path(dir).name == "toy_sweep" else AssertionError

        monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    else:
        (results / "toy_sweep").write_text("no folder")
    with pytest.raises(StoreError, match=r"toy_sweep is read-only; make it|could not be stored in .*toy_sweep"):
        sweep([toy_sweep.Toy(folder=str(place))], store=results)
    assert list(place.iterdir()) == []  # nobody has written a diary
