"""Checkpoints that nobody wrote: StoreError and nothing else, and the file stays as it is."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
from hostile import ARRAYS, EDITS, HOSTILE, ZEROS, Toy, edited, npz, sentence_of
from hostile import never_waiting as never_waiting  # a fixture of every test here
from hypothesis import given, settings

from implicit_rank.store import Checkpoints, StoreError, checkpoints_with, discard_checkpoints


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return Checkpoints(tmp_path_factory.mktemp("whole") / "toy" / "toy.npz", {"lr": 0.1})


@settings(max_examples=100, deadline=None)
@given(edits=EDITS)
def test_no_accident_to_a_checkpoint_passes_or_raises_anything_else(file, edits):
    file.save(ARRAYS)
    content = edited(file.path.read_bytes(), edits)
    file.path.write_bytes(content)
    said = sentence_of(file.load)
    assert said is None or "\n" not in said
    if said is None:  # dates and the like may change
        found = file.load()
        assert found.keys() == ARRAYS.keys()
        assert all((found[name] == value).all() for name, value in ARRAYS.items())
    assert file.path.read_bytes() == content
    assert checkpoints_with([Toy()], file.path.parent.parent) == {}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_checkpoint_is_refused_in_little_memory(tmp_path, name):
    file = Checkpoints(tmp_path / "x.npz", "mine")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, zipfile.ZipFile(io.BytesIO(npz(a=ZEROS))) as bomb:
        archive.writestr("identity.json", "mine")
        archive.writestr("a.npy", bomb.read("a.npy"), zipfile.ZIP_DEFLATED)
    for content in (HOSTILE[name][0], stream.getvalue()):
        file.path.write_bytes(content)
        with pytest.raises(StoreError, match=r"is a file of another kind and no checkpoint|cut off or damaged"):
            file.load()
        assert file.path.read_bytes() == content


def test_a_folder_a_pipe_and_anothers_file_are_not_told_to_be_deleted(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "thesis.txt").write_text("PK, but not a checkpoint")
    np.savez(tmp_path / "data.npz", a=np.arange(3))
    sentences = {
        "folder": "is a folder and not a file: give it the name of a file",
        "pipe": "is no file but a pipe, a socket or a device: give it the name of a file",
        "thesis.txt": "is a file of another kind and no checkpoint, so it is left as it is; give the",
        "data.npz": "is a file of another kind and no checkpoint",
    }
    for name, sentence in sentences.items():
        with pytest.raises(StoreError, match=sentence) as refused:
            Checkpoints(tmp_path / name).load()
        assert "delete" not in str(refused.value)


@pytest.mark.parametrize(
    "identity",
    [
        "[" * 100_000,
        {"members": 5, "fingerprint": ""},
        {"members": [[]], "fingerprint": ""},
        {"members": [], "code": 1},
    ],
)
def test_an_identity_that_somebody_made_up_belongs_to_nobody(tmp_path, identity):
    (tmp_path / "toy").mkdir()
    text = identity if isinstance(identity, str) else json.dumps(identity)
    Checkpoints(tmp_path / "toy" / "x.npz", text).save(ARRAYS)
    os.mkfifo(tmp_path / "toy" / "pipe.npz")
    assert checkpoints_with([Toy()], tmp_path) == {}
    assert discard_checkpoints([Toy()], tmp_path) == 0
    with pytest.raises(StoreError, match="belongs to another run"):
        Checkpoints(tmp_path / "toy" / "x.npz", {"lr": 0.1}).load()
