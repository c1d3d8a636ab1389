"""MNIST and Fashion-MNIST from small files in the published form, and downloads that break off."""

import gzip
import hashlib
import struct
import subprocess
import sys

import numpy as np
import pytest

from implicit_rank import data
from implicit_rank.data.idx import FASHION, MNIST, idx_images, parse_idx

LABELS = {"train": 12, "test": 7}


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def idx(array):
    """The bytes of an IDX file."""
    return struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx_files(seed=0):
    """Four small files by the names of MNIST's, unpacked, and the images in them."""
    generator, files, images = np.random.default_rng(seed), {}, {}
    for part, split in (("train", "train"), ("t10k", "test")):
        images[split] = generator.integers(0, 256, (LABELS[split], 28, 28), dtype=np.uint8)
        files[f"{part}-images-idx3-ubyte"] = idx(images[split])
        files[f"{part}-labels-idx1-ubyte"] = idx(np.arange(LABELS[split], dtype=np.uint8) % 10)
    return files, images


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Whoever asks for a host has gone too far."""
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: pytest.fail("the network was touched"))


@pytest.fixture(params=[MNIST, FASHION], ids=["mnist", "fashion"])
def idx_set(request, monkeypatch):
    """MNIST or Fashion-MNIST with the checksums of our small files; (set, files, images)."""
    files, images = idx_files()
    for name, raw in files.items():
        monkeypatch.setitem(request.param.md5, name, md5(raw))
    return request.param, files, images


def placed(root, which, files, packed=True):
    raw = root / which.folder / "raw"
    raw.mkdir(parents=True)
    for name, content in files.items():
        if packed:
            (raw / f"{name}.gz").write_bytes(gzip.compress(content, 1))
        else:
            (raw / name).write_bytes(content)
    return raw


@pytest.mark.parametrize("packed", [True, False])
def test_idx_sets_are_read_packed_or_not(idx_set, tmp_path, monkeypatch, packed):
    which, files, images = idx_set
    placed(tmp_path, which, files, packed)
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path))
    for split in ("train", "test"):
        found = data.load(which.name, split, size=28)
        assert np.array_equal(found.images[:, 0], images[split])
        assert found.labels.tolist() == [i % 10 for i in range(LABELS[split])]
        assert found.name == which.name
        assert "as published" in found.provenance["checksum"]
    found = data.load(which.name, root=str(tmp_path), count=5)
    assert found.images.shape == (5, 1, 32, 32)
    assert found.provenance["resize"] == "28 x 28 to 32 x 32, Pillow bilinear"
    with pytest.raises(ValueError, match="count must be a whole number from 1 to 12"):
        data.load(which.name, root=tmp_path, count=13)


def test_a_missing_file_is_named_with_its_place_and_what_works_without(idx_set, tmp_path):
    which, files, _ = idx_set
    with pytest.raises(FileNotFoundError, match=r"put train-images-idx3-ubyte.gz into") as problem:
        data.load(which.name, root=tmp_path)
    for part in (str(tmp_path / which.folder / "raw"), "IMPLICIT_RANK_DATA", "download=True", "'mnist-12k', 'digits'"):
        assert part in str(problem.value)
    raw = placed(tmp_path, which, files)
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    assert data.load(which.name, root=tmp_path).n == 12
    with pytest.raises(FileNotFoundError, match=r"put t10k-labels-idx1-ubyte.gz into"):
        data.load(which.name, "test", root=tmp_path)


def test_wrong_and_cut_off_files_are_refused(idx_set, tmp_path):
    which, files, _ = idx_set
    raw = placed(tmp_path, which, files)
    archive = raw / "train-images-idx3-ubyte.gz"
    whole = archive.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"<html>not found</html>"):
        archive.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz is (cut off or damaged|not the published)"):
            data.load(which.name, root=tmp_path)
    archive.write_bytes(gzip.compress(files["t10k-images-idx3-ubyte"]))
    with pytest.raises(ValueError, match="is not the published file: the md5 of its unpacked bytes is"):
        data.load(which.name, root=tmp_path)
    archive.unlink()
    (raw / "train-images-idx3-ubyte").write_bytes(files["train-images-idx3-ubyte"][:-1])
    with pytest.raises(ValueError, match="is not the published file: the md5 of its bytes is"):
        data.load(which.name, root=tmp_path)


def test_idx_files_say_how_long_they_are():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(parse_idx(idx(array), "x"), array)
    for damaged, message in [
        (b"", "is not an IDX file"),
        (b"\0\0\x0d" + idx(array)[3:], "is not an IDX file"),
        (idx(array)[:9], "is not an IDX file"),
        (idx(array)[:-1], "holds 23 bytes of data where its header announces 24"),
    ]:
        with pytest.raises(ValueError, match=message):
            parse_idx(damaged, "the file")


@pytest.fixture
def server(idx_set, monkeypatch):
    """torchvision's own download code with its network replaced by a dict of files; returns (set, dict)."""
    from torchvision import datasets
    from torchvision.datasets import utils

    which, files, _ = idx_set
    packed = {f"{name}.gz": gzip.compress(raw, 1) for name, raw in files.items()}
    monkeypatch.setattr(
        getattr(datasets, which.folder), "resources", [(name, md5(content)) for name, content in packed.items()]
    )
    monkeypatch.setattr(getattr(datasets, which.folder), "mirrors", ["https://one.invalid/"])

    def retrieve(url, filename, **_):
        content = packed[url.rsplit("/", 1)[1]]
        with open(filename, "wb") as file:
            file.write(content[: len(content) // 2])  # whatever happens next, half a file is on the disk
            if content is packed.get("break"):
                raise packed["problem"]
            file.write(content[len(content) // 2 :])

    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr(utils, "_urlretrieve", retrieve)
    return which, packed


def everything(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_download_puts_verified_files_in_their_place(server, tmp_path):
    which, packed = server
    root = tmp_path / "new"
    with pytest.raises(FileNotFoundError):
        data.load(which.name, root=root)
    assert not root.exists()
    assert data.load(which.name, root=root, download=True).n == 12
    assert all((root / which.folder / "raw" / name).read_bytes() == packed[name] for name in packed)
    assert [path.name for path in root.iterdir()] == [which.folder]
    packed.clear()  # nothing is fetched twice
    assert data.load(which.name, "test", root=root, download=True).n == 7


@pytest.mark.parametrize("problem", [OSError("cable pulled"), KeyboardInterrupt(), RuntimeError("odd")])
def test_an_interrupted_download_leaves_nothing(server, tmp_path, problem):
    which, packed = server
    packed |= {"break": packed["t10k-images-idx3-ubyte.gz"], "problem": problem}
    kind = KeyboardInterrupt if isinstance(problem, KeyboardInterrupt) else ConnectionError
    with pytest.raises(kind) as raised:
        data.load(which.name, root=tmp_path, download=True)
    if kind is ConnectionError:
        for part in (f"{which.title} could not be downloaded", str(tmp_path / which.folder / "raw"), "'mnist-12k'"):
            assert part in str(raised.value)
        assert "\n" not in str(raised.value)
    assert everything(tmp_path) == []


def test_a_download_of_other_bytes_is_refused_and_leaves_what_was_there(server, tmp_path, monkeypatch):
    which, packed = server
    raw = tmp_path / which.folder / "raw"
    raw.mkdir(parents=True)
    mine = raw / "train-images-idx3-ubyte.gz"
    mine.write_bytes(packed[mine.name])
    packed["t10k-labels-idx1-ubyte.gz"] = b"a page that says there is no such file"
    with pytest.raises(ConnectionError, match="could not be downloaded"):
        data.load(which.name, root=tmp_path, download=True)
    assert everything(tmp_path) == [which.folder, f"{which.folder}/raw", f"{which.folder}/raw/{mine.name}"]
    assert mine.read_bytes() == packed[mine.name]


def test_a_root_that_cannot_be_written_is_named(idx_set, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot be downloaded: .*file is not writable"):
        data.load(idx_set[0].name, root=tmp_path / "file", download=True)


def test_leftovers_of_killed_downloads_go_after_a_day(server, tmp_path, monkeypatch):
    which, _ = server
    left = tmp_path / f".download-{which.folder}-old"
    left.mkdir()
    data.load(which.name, root=tmp_path, download=True)
    assert left.exists()  # it may be somebody at work
    (tmp_path / which.folder / "raw" / "t10k-images-idx3-ubyte.gz").unlink()
    (tmp_path / which.folder / "raw" / "t10k-images-idx3-ubyte").unlink()
    monkeypatch.setattr("implicit_rank.data.download.DAY", -1.0)
    data.load(which.name, root=tmp_path, download=True)
    assert not left.exists()


def test_torchvision_is_not_imported_without_need():
    code = (
        "import sys; from implicit_rank import data; data.load('mnist-12k', count=2); data.load('shapes', count=2);"
        "assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_images_and_labels_must_fit_each_other(idx_set, tmp_path, monkeypatch):
    which, files, _ = idx_set
    files = files | {"train-labels-idx1-ubyte": idx(np.zeros(5, np.uint8))}
    monkeypatch.setitem(which.md5, "train-labels-idx1-ubyte", md5(files["train-labels-idx1-ubyte"]))
    placed(tmp_path, which, files)
    with pytest.raises(ValueError, match="do not fit"):
        idx_images(which, "train", 28, root=tmp_path)
