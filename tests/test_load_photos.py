"""CIFAR-10 and CelebA from small files in the published forms."""

import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from implicit_rank import data
from implicit_rank.data import celeba, cifar


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def everything(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Whoever asks for a host has gone too far."""
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: pytest.fail("the network was touched"))


def cifar_arrays(seed=1):
    generator = np.random.default_rng(seed)
    arrays = {}
    for split, n in (("train", 15), ("test", 6)):
        arrays[f"x_{split}"] = generator.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        arrays[f"y_{split}"] = np.arange(n) % 10
        arrays[f"exact_{split}"] = np.arange(n) % 5 != 2
    return arrays


def test_cifar_comes_from_an_npz_with_the_mask_of_exact_images(tmp_path):
    arrays = cifar_arrays()
    np.savez_compressed(tmp_path / "cifar10.npz", **arrays)
    for split, inexact in (("train", [2, 7, 12]), ("test", [2])):
        found = data.load("cifar10", split, root=tmp_path)
        assert np.array_equal(found.images.permute(0, 2, 3, 1), arrays[f"x_{split}"])
        assert found.images.is_contiguous()
        assert found.labels.tolist() == arrays[f"y_{split}"].tolist()
        assert found.exact.tolist() == arrays[f"exact_{split}"].tolist()
        assert found.provenance["inexact"] == inexact
        assert found.provenance["resize"] == "none"
    assert "15 of CIFAR-10's 50,000" in data.load("cifar10", root=tmp_path).provenance["source"]
    part = data.load("cifar10", root=tmp_path, count=8, size=16)
    assert part.images.shape == (8, 3, 16, 16)
    assert part.provenance["inexact"] == [2, 7]
    strict = part.subset(part.exact)
    assert strict.n == 6
    assert strict.provenance["inexact"] == []
    np.savez_compressed(tmp_path / "cifar10.npz", **{k: v for k, v in arrays.items() if "exact" not in k})
    assert data.load("cifar10", root=tmp_path).exact is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": None}, "lacks the arrays x_train and y_train"),
        ({"x_train": np.zeros((15, 32, 32), np.uint8)}, r"x_train in .* must be uint8 \(n, 32, 32, 3\)"),
        ({"x_train": np.zeros((15, 32, 32, 3))}, "not float64"),
        ({"y_train": np.arange(14) % 10}, "y_train in .* must hold one class from 0 to 9 for each of 15 images"),
        ({"y_train": np.arange(15)}, "one class from 0 to 9"),
        ({"y_train": np.arange(15) / 20}, "one class from 0 to 9"),
        ({"exact_train": np.ones(15, int)}, "exact_train in .* must hold one boolean"),
        ({"y_train": np.array([str] * 15, dtype=object)}, "no npz of plain arrays"),
    ],
)
def test_a_wrong_npz_is_refused(tmp_path, changes, message):
    arrays = {name: array for name, array in (cifar_arrays() | changes).items() if array is not None}
    np.savez_compressed(tmp_path / "cifar10.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        data.load("cifar10", root=tmp_path)


def test_a_cut_off_npz_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "cifar10.npz", **cifar_arrays())
    whole = (tmp_path / "cifar10.npz").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"text", whole[:200] + bytes(200) + whole[400:]):
        (tmp_path / "cifar10.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match="is cut off, damaged or no npz of plain arrays"):
            data.load("cifar10", root=tmp_path)


def python2_pickle(rows, labels):
    """A batch as Python 2 wrote it: {"data": uint8 array (n, 3072), "labels": list}, text as 8-bit strings."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def number(value):
        return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)

    kind = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN" + b"J\xff\xff\xff\xff" * 2
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R(K\x01"
    array += number(rows.shape[0]) + number(rows.shape[1]) + b"\x86" + kind + b"K\x00tb\x89"
    array += b"T" + struct.pack("<I", rows.size) + rows.tobytes() + b"tb"
    listed = b"](" + b"".join(map(number, labels)) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + listed + b"u."


@pytest.fixture
def batches(monkeypatch):
    """Six small batches with checksums to match: name -> bytes, and the arrays in them."""
    arrays = cifar_arrays()
    rows = {split: arrays[f"x_{split}"].transpose(0, 3, 1, 2).reshape(-1, 3072) for split in ("train", "test")}
    files = {f"data_batch_{i + 1}": python2_pickle(rows["train"][3 * i : 3 * i + 3], range(i, i + 3)) for i in range(4)}
    last = {"data": rows["train"][12:], "labels": [4, 5, 6]}
    files["data_batch_5"] = pickle.dumps(last, protocol=2)
    files["test_batch"] = python2_pickle(rows["test"], range(6))
    for split in cifar.BATCH_MD5:
        for name in cifar.BATCH_MD5[split]:
            monkeypatch.setitem(cifar.BATCH_MD5[split], name, md5(files[name]))
    return files, arrays


def test_cifar_comes_from_torchvisions_folder_or_the_archive(batches, tmp_path, monkeypatch):
    files, arrays = batches
    (tmp_path / "a" / cifar.FOLDER).mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / "a" / cifar.FOLDER / name).write_bytes(content)
    (tmp_path / "b").mkdir()
    with tarfile.open(tmp_path / "b" / cifar.ARCHIVE, "w:gz") as archive:
        archive.add(tmp_path / "a" / cifar.FOLDER, cifar.FOLDER)
    with pytest.raises(ValueError, match=f"{cifar.ARCHIVE} is not the published archive"):
        data.load("cifar10", root=tmp_path / "b")
    monkeypatch.setattr(cifar, "ARCHIVE_MD5", md5((tmp_path / "b" / cifar.ARCHIVE).read_bytes()))
    for place in ("a", "b"):
        train, test = (data.load("cifar10", split, root=tmp_path / place) for split in ("train", "test"))
        assert np.array_equal(train.images.permute(0, 2, 3, 1), arrays["x_train"])
        assert np.array_equal(test.images.permute(0, 2, 3, 1), arrays["x_test"])
        assert train.labels.tolist() == [0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6]
        assert train.exact is None
        assert "as published" in train.provenance["checksum"]


def test_nothing_is_unpickled_before_its_checksum_holds(batches, tmp_path, monkeypatch):
    class Nasty:
        def __reduce__(self):
            return (pytest.fail, ("a foreign pickle was opened",))

    folder = tmp_path / cifar.FOLDER
    folder.mkdir()
    for name, content in batches[0].items():
        (folder / name).write_bytes(content)
    nasty = pickle.dumps(Nasty())
    (folder / "data_batch_2").write_bytes(nasty)
    with pytest.raises(ValueError, match=r"data_batch_2 is not the published file: .*; it was not opened"):
        data.load("cifar10", root=tmp_path)
    monkeypatch.setitem(cifar.BATCH_MD5["train"], "data_batch_2", md5(nasty))
    with pytest.raises(pickle.UnpicklingError, match="has no use for"):  # and even then only plain arrays
        data.load("cifar10", root=tmp_path)


def test_missing_cifar_is_named(batches, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"put cifar10.npz or cifar-10-batches-py into .*'mnist-12k'"):
        data.load("cifar10", root=tmp_path)
    (tmp_path / cifar.FOLDER).mkdir()
    (tmp_path / cifar.FOLDER / "data_batch_1").write_bytes(batches[0]["data_batch_1"])
    with pytest.raises(FileNotFoundError, match=r"put data_batch_2 into .*cifar-10-batches-py"):
        data.load("cifar10", root=tmp_path)


@pytest.mark.parametrize("broken", [False, True])
def test_cifar_is_downloaded_whole_or_not_at_all(batches, tmp_path, monkeypatch, broken):
    from torchvision.datasets import CIFAR10, utils

    files = batches[0] | {"batches.meta": pickle.dumps({"label_names": ["a", "b"]})}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{cifar.FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    packed = packed.getvalue()
    known = cifar.BATCH_MD5
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(packed))
    monkeypatch.setattr(CIFAR10, "train_list", [list(item) for item in known["train"].items()])
    monkeypatch.setattr(CIFAR10, "test_list", [list(item) for item in known["test"].items()])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5(files["batches.meta"])})
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, **_: url)

    def retrieve(url, filename):
        with open(filename, "wb") as file:
            file.write(packed[: len(packed) // 2] if broken else packed)

    monkeypatch.setattr(utils, "_urlretrieve", retrieve)
    root = tmp_path / "root"
    if broken:
        with pytest.raises(ConnectionError, match="CIFAR-10 could not be downloaded"):
            data.load("cifar10", root=root, download=True)
        assert everything(root) == []
    else:
        assert data.load("cifar10", root=root, download=True).n == 15
        assert [path.name for path in root.iterdir()] == [cifar.FOLDER]
        assert data.load("cifar10", "test", root=root).n == 6


@pytest.fixture
def faces(monkeypatch):
    """Seven faces as JPEG files and small splits."""
    for split, numbers in (("train", range(1, 5)), ("valid", range(5, 6)), ("test", range(6, 8))):
        monkeypatch.setitem(celeba.NUMBERS, split, numbers)
    generator = np.random.default_rng(3)
    files = {}
    for number in range(1, 8):
        small = generator.integers(0, 256, (9, 7, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(small).resize((178, 218)).save(buffer, "jpeg")
        files[f"{number:06d}.jpg"] = buffer.getvalue()
    return files


def unpacked(root, files):
    folder = root / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_celeba_is_cropped_and_resized_as_torchvision_does(faces, tmp_path):
    from torchvision.transforms.functional import center_crop, pil_to_tensor, resize

    unpacked(tmp_path, faces)
    train = data.load("celeba", root=tmp_path)
    assert train.images.shape == (4, 3, 64, 64)
    assert train.labels is None
    for number, image in zip(range(1, 5), train.images, strict=True):
        with Image.open(io.BytesIO(faces[f"{number:06d}.jpg"])) as face:
            assert torch.equal(image, pil_to_tensor(resize(center_crop(face, [148, 148]), [64, 64])))
    assert data.load("celeba", "valid", root=tmp_path).n == 1
    assert data.load("celeba", "test", root=tmp_path, count=1, size=32).images.shape == (1, 3, 32, 32)
    assert "centre 148 x 148 to 64 x 64" in train.provenance["resize"]


def test_celeba_is_read_from_the_checked_archive(faces, tmp_path, monkeypatch):
    folder = unpacked(tmp_path / "a", faces)
    (tmp_path / "b" / "celeba").mkdir(parents=True)
    archive = tmp_path / "b" / "celeba" / celeba.ARCHIVE
    with zipfile.ZipFile(archive, "w") as opened:
        for name in faces:
            opened.write(folder / name, f"img_align_celeba/{name}")
    with pytest.raises(ValueError, match=r"img_align_celeba.zip is not the published archive: its md5 is"):
        data.load("celeba", root=tmp_path / "b")
    monkeypatch.setattr(celeba, "ARCHIVE_MD5", md5(archive.read_bytes()))
    found = data.load("celeba", root=tmp_path / "b")
    assert torch.equal(found.images, data.load("celeba", root=tmp_path / "a").images)


def test_missing_and_broken_faces_are_named(faces, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"put img_align_celeba.zip or the folder img_align_celeba into"):
        data.load("celeba", root=tmp_path)
    folder = unpacked(tmp_path, faces)
    (folder / "000003.jpg").write_bytes(faces["000003.jpg"][:300])
    with pytest.raises(ValueError, match=r"000003.jpg is not a readable image of CelebA"):
        data.load("celeba", root=tmp_path)
    Image.new("RGB", (64, 64)).save(folder / "000003.jpg")
    with pytest.raises(ValueError, match="64 x 64 pixels, not 178 x 218"):
        data.load("celeba", root=tmp_path)
    (folder / "000003.jpg").unlink()
    (folder / "000004.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"put 000003.jpg and 1 more files into .*'mnist-12k'"):
        data.load("celeba", root=tmp_path)
    assert data.load("celeba", root=tmp_path, count=2).n == 2


def test_a_failed_download_of_celeba_says_why_and_leaves_nothing(tmp_path, monkeypatch):
    from torchvision.datasets import utils

    def refuse(identity, folder, name, checksum):
        Path(folder).mkdir()
        (Path(folder) / name).write_bytes(b"half")
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(utils, "download_file_from_google_drive", refuse)
    with pytest.raises(
        ConnectionError, match=r"CelebA could not be downloaded .File not found or corrupted.;"
    ) as raised:
        data.load("celeba", root=tmp_path, download=True)
    assert str(tmp_path / "celeba") in str(raised.value)
    assert everything(tmp_path) == []
