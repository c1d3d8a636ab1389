"""How a folder of pictures is laid out: splits, classes, links, odd names, and what is passed over with the reason."""

import json
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from implicit_rank import data, tree
from implicit_rank.data.splits import ROLES


def paint(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 6), grey).save(path)


def fill(folder, **counts):
    """Pictures by sub-folder ("a__b" is a/b, "_" the folder itself); each has a grey value of its own."""
    grey = 0
    for place, count in counts.items():
        for _ in range(count):
            grey += 1
            paint(folder.joinpath(*place.strip("_").split("__")) / f"{grey:03d}.png", grey)
    return folder


def loaded(folder, split="train", **options):
    found = data.load(f"folder:{folder}", split, **{"size": 4} | options)
    json.dumps(found.provenance, ensure_ascii=False).encode()
    return found


def greys(images):
    return images.images[:, 0, 0, 0].tolist()


TRAINING, VALIDATION, TEST = (names for names in ROLES.values())


@pytest.mark.parametrize("train", [*TRAINING, "Train", "TRAINING"])
@pytest.mark.parametrize("held_out", [*VALIDATION, *TEST, "Val", "TEST"])
def test_held_out_images_are_never_trained_on(tmp_path, train, held_out):
    fill(tmp_path, **{f"{train}__cat": 2, f"{train}__dog": 2, f"{held_out}__cat": 1, f"{held_out}__dog": 1})
    assert greys(loaded(tmp_path)) == [1, 2, 3, 4]
    test = loaded(tmp_path, "test")
    assert greys(test) == [5, 6]
    assert loaded(tmp_path).labels.tolist() == [0, 0, 1, 1]
    assert test.labels.tolist() == [0, 1]
    assert test.provenance["classes"] == ["cat", "dog"]
    assert f"the folder {train} for training, {held_out} for testing" in test.provenance["source"]
    assert ("since there is no folder of test images" in test.provenance["source"]) == (
        held_out.casefold() in VALIDATION
    )
    moments = data.second_moments(f"folder:{tmp_path}", size=4)
    assert moments.n == len(data.samples(f"folder:{tmp_path}", size=4)) == 4
    assert moments.mean[0].item() == pytest.approx(2.5 / 255)
    assert "4 for training are taken" in moments.provenance


def test_validation_images_beside_test_images_are_used_for_nothing(tmp_path):
    fill(tmp_path, train=3, val=2, test=1, extra__more=4, _=1)
    train, test = loaded(tmp_path), loaded(tmp_path, "test")
    assert (greys(train), greys(test)) == ([1, 2, 3], [6])
    assert train.provenance["source"].endswith("train for training, test for testing, val (validation) unused")
    assert train.provenance["skipped"] == [
        "011.png: beside the split's folders",
        "extra/: 4 images, beside the split's folders",
        "val/: 2 images, validation images, neither trained nor tested on",
    ]


def test_a_stray_file_changes_neither_split_nor_labels(tmp_path):
    fill(tmp_path, train__a=2, train__b=1, test__b=1)
    before = loaded(tmp_path)
    paint(tmp_path / "thumbnail.png", 200)
    (tmp_path / "README.md").write_text("about these pictures")
    (tmp_path / "empty").mkdir()
    after = loaded(tmp_path)
    assert torch.equal(before.images, after.images)
    assert before.labels.tolist() == after.labels.tolist() == [0, 0, 1]
    assert after.provenance["skipped"] == [
        "README.md: not an image that Pillow can read",
        "thumbnail.png: beside the split's folders",
    ]


def test_a_split_may_lie_in_a_folder_that_holds_nothing_else(tmp_path):
    fill(tmp_path, set__images__train__a=2, set__images__val__a=1)
    (tmp_path / "set" / "labels" / "train").mkdir(parents=True)
    (tmp_path / "set" / "labels" / "train" / "001.txt").write_text("0 0.5 0.5 1 1")
    train, test = loaded(tmp_path), loaded(tmp_path, "test")
    assert (greys(train), greys(test)) == ([1, 2], [3])
    assert train.provenance["classes"] == ["a"]
    assert "the folder set/images/train for training, set/images/val for testing" in train.provenance["source"]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"cat": 2, "test": 1}, "has the folder test but none called train or training"),
        ({"val": 2, "test": 1}, "has the folder val, test but none called train|has the folder test, val but none"),
        ({"train": 2, "eval": 1}, "has the folder train beside eval, which may be a split or classes"),
        ({"car": 2, "plane": 1, "train": 1}, "has the folder train beside car, plane, which may be a split or classes"),
        ({"train": 2, "Training": 1}, "has the folders Training and train, which both mean training images"),
        ({"train": 2, "dev": 1, "val": 1}, "has the folders dev and val, which both mean validation images"),
        ({"cat__train": 2, "cat__test": 1, "dog__train": 1}, "apart in its sub-folder cat, beside other images"),
        ({"a__x__train": 2, "a__x__val": 1, "b": 1}, "apart in its sub-folder a/x"),
        ({"train__a": 2, "train__b": 2, "test__c": 1}, "test images of the class c and no training images of it"),
        ({"train__a": 2, "test__A": 1}, "test images of the class A and no training images"),
    ],
)
def test_what_is_not_certain_is_refused_in_one_sentence(tmp_path, counts, message):
    fill(tmp_path, **counts)
    for split in ("train", "test"):
        with pytest.raises(ValueError, match=message) as raised:
            loaded(tmp_path, split)
        assert "\n" not in str(raised.value)
        assert str(tmp_path) in str(raised.value)


def test_training_images_alone_have_no_test_images(tmp_path):
    fill(tmp_path, Train=3, _=1)
    assert greys(loaded(tmp_path)) == [1, 2, 3]
    with pytest.raises(ValueError, match="none for the split 'test': its folder test is empty or not there"):
        loaded(tmp_path, "test")
    (tmp_path / "test").mkdir()
    with pytest.raises(ValueError, match="its folder test is empty"):
        loaded(tmp_path, "test")


def test_why_there_are_no_labels_is_said(tmp_path):
    assert loaded(fill(tmp_path / "flat", _=3)).provenance["labels"] == "none: there are no sub-folders"
    found = loaded(fill(tmp_path / "mixed", a=2, b=2, _=1))
    assert found.labels is None
    assert found.provenance["labels"] == "none: 1 images lie in no sub-folder, such as 005.png"
    kaggle = fill(tmp_path / "kaggle", train__a=2, train__b=2, test=2)
    assert loaded(kaggle).labels is None
    assert "2 images lie in no sub-folder" in loaded(kaggle, "test").provenance["labels"]
    assert loaded(fill(tmp_path / "classes", a=2, b=2)).provenance["labels"] == "the sub-folders are the classes"


def test_links_are_followed_once(tmp_path):
    store = fill(tmp_path / "store", cats=2, dogs=2)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, target in {
        "cat": store / "cats",
        "dog": store / "dogs",
        "dog_again": store / "dogs",
        "loop": folder,
        "up": tmp_path,
        "gone": tmp_path / "nowhere",
        "self": folder / "self",
    }.items():
        (folder / name).symlink_to(target)
    (store / "cats" / "back").symlink_to(folder)
    (store / "cats" / "round").symlink_to(store)
    paint(folder / "bird" / "own.png", 77)
    (folder / "bird" / "linked.png").symlink_to(store / "cats" / "001.png")
    (folder / "another.png").symlink_to(folder / "bird" / "own.png")
    images = data.folder_images(folder, 4)
    assert images.read == ("bird/linked.png", "bird/own.png", "cat/002.png", "dog/003.png", "dog/004.png")
    found = dict(images.skipped)
    assert found.pop("another.png") == "read already as bird/own.png"
    assert found.pop("dog_again") == "read already as dog"
    assert found.pop("gone") == found.pop("self") == "a link to nothing"
    assert found.pop("cat/001.png") == "read already as bird/linked.png"
    assert set(found) == {"loop", "up", "cat/back", "cat/round"}
    assert set(found.values()) == {"a link back to a folder above it"}
    assert loaded(folder).provenance["classes"] == ["bird", "cat", "dog"]


def test_what_lies_in_the_folder_itself_comes_before_links_to_it(tmp_path):
    fill(tmp_path, real=2)
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    found = data.folder_images(tmp_path, 4)
    assert found.read == ("real/001.png", "real/002.png")
    assert found.skipped == (("alias", "read already as real"),)


def test_a_folder_that_cannot_be_listed_is_skipped(tmp_path, monkeypatch):
    fill(tmp_path, open=2, closed=2)
    whole = os.scandir

    def refuse(path):
        if Path(path).name in ("closed", refuse.top):
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    refuse.top = ""
    monkeypatch.setattr(tree.os, "scandir", refuse)
    found = loaded(tmp_path)
    assert greys(found) == [1, 2]
    assert found.provenance["skipped"] == ["closed: a folder that cannot be listed (Permission denied)"]
    refuse.top = tmp_path.name
    with pytest.raises(ValueError, match=r"cannot be listed .Permission denied"):
        loaded(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    fill(tmp_path, _=2)
    os.mkfifo(tmp_path / "pipe.png")
    assert loaded(tmp_path).provenance["skipped"] == ["pipe.png: neither a file nor a folder"]


def test_odd_names_are_kept_apart_and_can_be_stored(tmp_path):
    odd = [b"caf\xe9", "café".encode(), rb"caf\xe9", b"two\nlines", "日本".encode()]
    try:
        for i, name in enumerate(odd):
            os.mkdir(os.path.join(os.fsencode(tmp_path), name))
            paint(Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))) / "a.png", i)
            with open(os.path.join(os.fsencode(tmp_path), name + b".png"), "wb") as file:
                file.write(b"no picture")
    except OSError:
        pytest.skip("this file system takes no such names")
    found = loaded(tmp_path)
    assert sorted(found.provenance["classes"]) == sorted([r"caf\xe9", "café", r"caf\xe9", r"two\nlines", "日本"])
    assert len(loaded(tmp_path, "test").labels) + len(found.labels.unique()) == 5
    assert len(found.provenance["skipped"]) == 5
    assert all(entry.endswith(": not an image that Pillow can read") for entry in found.provenance["skipped"])
    everything = json.dumps(found.provenance, ensure_ascii=False)
    assert r"caf\\xe9.png" in everything
    with pytest.raises(ValueError, match=r"no folder .*/caf\\xe8"):
        loaded(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe8")))


def test_a_path_may_begin_at_home_and_becomes_absolute(tmp_path, monkeypatch):
    fill(tmp_path / "mine", _=3)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert loaded("~/mine").n == loaded("mine").n == 3
    assert tree.absolute_folder("folder:mine") == tree.absolute_folder("folder:~/mine") == f"folder:{tmp_path}/mine"
    assert tree.absolute_folder(f"folder:{tmp_path}") == f"folder:{tmp_path}"
    assert [tree.absolute_folder(name) for name in ("mnist", "folder:")] == ["mnist", "folder:"]


def test_what_is_kept_of_a_folder_goes_when_its_files_change(tmp_path):
    name = f"folder:{tmp_path}"
    missing = tree.folder_state(name)
    fill(tmp_path, _=3)
    before, state = data.second_moments(name, size=4), tree.folder_state(name)
    assert data.second_moments(name, size=4) is before
    paint(tmp_path / "004.png", 90)
    added, now = data.second_moments(name, size=4), tree.folder_state(name)
    assert (before.n, added.n) == (3, 4)
    paint(tmp_path / "004.png", 200)
    assert data.second_moments(name, size=4).mean[0] > added.mean[0]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "link.png").symlink_to(tmp_path.parent / "elsewhere.png")
    assert len({missing, state, now, tree.folder_state(name)}) == 4
    assert tree.folder_state("mnist") == ""
