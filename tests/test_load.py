import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from implicit_rank import data
from implicit_rank.data.archives import find_archive
from implicit_rank.data.images import resized

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "build_mnist_12k.py"
needs_archive = pytest.mark.skipif(
    any(find_archive(f"{part}-ubyte.gz") is None for part in ("train-images-idx3", "t10k-images-idx3")),
    reason="the MNIST archives are not there; set IMPLICIT_RANK_DATA to check the embedded images against them",
)
FREE = ["mnist-12k", "digits", "shapes", "shapes-paper", "shapes-official", "shapes-ours"]


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No data on disk and no network."""
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path / "nothing"))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: pytest.fail("the network was touched"))
    return tmp_path


def some_images(n=9, channels=3, size=8, exact=None):
    generator = torch.Generator().manual_seed(n)
    images = torch.randint(0, 256, (n, channels, size, size), generator=generator, dtype=torch.uint8)
    factors = {"x": torch.rand(n, generator=generator)}
    return data.Images("made", "train", images, torch.arange(n) % 4, {"n": n}, factors, exact)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", FREE)
def test_some_sets_need_no_files_at_all(nowhere, name, split):
    found = data.load(name, split, count=50)
    assert found.images.shape == (50, 3 if "shapes" in name else 1, 32, 32)
    assert found.images.dtype == torch.uint8
    assert found.images.is_contiguous()
    assert found.labels.shape == (50,)
    assert found.labels.dtype == torch.int64
    assert (found.split, found.size, found.n) == (split, 32, 50)
    assert json.loads(json.dumps(found.provenance)) == found.provenance
    assert {"source", "n", "size", "channels", "resize"} <= set(found.provenance)
    assert data.load(name, split, count=50).digest() == found.digest()


def test_the_embedded_mnist_has_the_published_numbers():
    train, test = data.load("mnist-12k", size=28), data.load("mnist-12k", "test", size=28)
    assert (train.n, test.n) == (10_000, 2_000)
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # the first ten of MNIST, known to everybody
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert train.labels.bincount().tolist() == [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
    assert train.images.double().mean().item() / 255 == pytest.approx(0.1307, abs=2e-3)
    assert train.provenance["resize"] == "none"
    assert "2f7182bf021f" in train.provenance["checksum"]


@needs_archive
def test_the_embedded_mnist_is_the_beginning_of_the_verified_archives():
    spec = importlib.util.spec_from_file_location("build_mnist_12k", SCRIPT)
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    arrays = builder.first_images(data.data_root())
    for split in ("train", "test"):
        found = data.load("mnist-12k", split, size=28)
        assert np.array_equal(found.images[:, 0], arrays[f"x_{split}"])
        assert np.array_equal(found.labels, arrays[f"y_{split}"])
        part = data.load("mnist", split, count=200)
        assert torch.equal(part.images, data.load("mnist-12k", split, count=200).images)


def test_the_asset_writer_makes_the_same_bits_twice(tmp_path):
    spec = importlib.util.spec_from_file_location("build_mnist_12k", SCRIPT)
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    arrays = {"x": np.arange(60, dtype=np.uint8).reshape(3, 4, 5), "y": np.arange(3, dtype=np.uint8)}
    for name in ("a", "b"):
        builder.write_npz(tmp_path / name, arrays)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with np.load(tmp_path / "a", allow_pickle=False) as stored:
        assert all(np.array_equal(stored[name], array) for name, array in arrays.items())


def test_digits_are_split_class_by_class():
    train, test = data.load("digits", size=8), data.load("digits", "test", size=8)
    assert (train.n, test.n) == (1442, 355)
    published = load_digits()
    assert torch.equal(train.labels.bincount() + test.labels.bincount(), torch.tensor(np.bincount(published.target)))
    assert (test.labels.bincount() / train.labels.bincount() - 1 / 4).abs().max() < 0.01
    everything = torch.cat([train.images, test.images]).flatten(1)
    values, counts = everything.unique(return_counts=True)
    grey = np.round(np.arange(17) * 255 / 16).astype(int)
    assert values.tolist() == grey.tolist()
    assert counts.tolist() == np.bincount(published.data.astype(int).ravel()).tolist()


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (40, 40, 3)])
@pytest.mark.parametrize("size", [32, 16])
def test_resizing_is_torchvisions(shape, size):
    from torchvision.transforms.functional import pil_to_tensor, resize

    pixels = np.random.default_rng(2).integers(0, 256, (5, *shape), dtype=np.uint8)
    expected = torch.stack([pil_to_tensor(resize(Image.fromarray(image), [size, size])) for image in pixels])
    assert torch.equal(resized(pixels, size), expected)


def test_resizing_to_the_same_size_copies():
    pixels = np.arange(2 * 6 * 6, dtype=np.uint8).reshape(2, 6, 6)
    same = resized(pixels, 6)
    pixels[:] = 0
    assert same.flatten().tolist() == list(range(72))


def test_a_subset_keeps_everything_together():
    exact = torch.tensor([True, False, True, True, True, True, False, True, True])
    whole = some_images(exact=exact)
    for indices, kept in [([6, 0, 3], [6, 0, 3]), (torch.tensor([1]), [1]), (~exact, [1, 6])]:
        part = whole.subset(indices)
        assert torch.equal(part.images, whole.images[kept])
        assert part.labels.tolist() == whole.labels[kept].tolist()
        assert part.factors["x"].tolist() == whole.factors["x"][kept].tolist()
        assert part.exact.tolist() == exact[kept].tolist()
        assert part.provenance["n"] == len(kept)
        assert part.provenance["inexact"] == [i for i, k in enumerate(kept) if k in (1, 6)]
    assert whole.first(4).digest() == whole.subset(range(4)).digest()
    assert "first 4 of 9" in whole.first(4).provenance["subset"]
    assert (whole.n, whole.channels, whole.size) == (9, 3, 8)


def test_the_digest_sees_pixels_and_shape():
    whole = some_images(n=4, channels=1, size=8)
    changed = whole.images.clone()
    changed[2, 0, 3, 3] ^= 1
    reshaped = whole.images.reshape(1, 4, 8, 8)
    digests = {data.Images("made", "train", images).digest() for images in (whole.images, changed, reshaped)}
    assert len(digests) == 3
    assert len(whole.digest()) == 64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.first(10), "count must lie between 1 and 9 for made .train., not 10"),
        (lambda i: i.first(0), "count must lie between 1 and 9"),
        (lambda i: i.subset([]), "at least one image"),
        (lambda i: i.subset([0, 9]), "whole numbers from 0 to 8"),
        (lambda i: i.subset([-1]), "whole numbers from 0 to 8"),
        (lambda i: i.subset([0.5]), "whole numbers from 0 to 8"),
        (lambda i: i.subset(torch.ones(3, dtype=torch.bool)), "one entry per image"),
        (lambda i: data.Images("made", "train", i.images.float()), "must be a uint8 tensor"),
        (lambda i: data.Images("made", "train", i.images[0]), "must be a uint8 tensor"),
        (lambda i: data.Images("made", "train", i.images[:0]), "n of at least 1"),
        (lambda i: data.Images("made", "train", i.images, i.labels[:3]), "labels must have one number per image"),
        (lambda i: data.Images("made", "train", i.images, factors={"x": i.labels[:2]}), "x must have one number"),
    ],
)
def test_bad_images_and_subsets_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(some_images())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mnst"}, "unknown images 'mnst'; allowed: mnist, mnist-12k, fashion, .*folder:PATH"),
        ({"name": 5}, "unknown images 5"),
        ({"name": "shapes-mine"}, "unknown images 'shapes-mine'"),
        ({"split": "valid"}, "split must be 'train' or 'test', not 'valid'"),
        ({"name": "celeba", "split": "val"}, "split must be 'train', 'valid' or 'test' for celeba, not 'val'"),
        ({"size": 3}, "size must be a whole number of pixels from 4 to 1024, not 3"),
        ({"size": 32.0}, "size must be a whole number of pixels"),
        ({"size": True}, "size must be a whole number of pixels"),
        ({"count": 0}, "count must be a whole number from 1 to 10000 for mnist-12k .train., not 0"),
        ({"count": 10_001}, "from 1 to 10000"),
        ({"name": "digits", "split": "test", "count": 356}, "from 1 to 355 for digits .test."),
        ({"channels": 1}, "channels can be chosen for folder:PATH only"),
        ({"background": "black"}, "background can be chosen for folder:PATH only"),
        ({"name": "folder:"}, "needs the path of a folder"),
    ],
)
def test_bad_wishes_are_refused_in_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load(**{"name": "mnist-12k"} | arguments)


def paint(path, colour, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "L" if isinstance(colour, int) else "RGB"
    Image.new(mode, size, colour).save(path)


def test_a_folder_is_split_and_says_what_it_skipped(tmp_path):
    for i in range(12):
        paint(tmp_path / f"{i:02d}.png", (20 * i, 3, 7), size=(10 + i, 25 - i))
    (tmp_path / "03b.png").write_bytes((tmp_path / "03.png").read_bytes()[:40])
    (tmp_path / "notes.txt").write_text("no picture")
    train, test = (data.load(f"folder:{tmp_path}", split, size=12) for split in ("train", "test"))
    assert train.images.shape == (10, 3, 12, 12)
    assert test.images[:, 0, 0, 0].tolist() == [80, 180]
    assert (test.images[:, 1:] == torch.tensor([3, 7])[:, None, None]).all()
    assert train.labels is None
    skipped = train.provenance["skipped"]
    assert [entry.split(":")[0] for entry in skipped] == ["03b.png", "notes.txt"]
    assert skipped[1] == "notes.txt: not an image that Pillow can read"
    assert train.provenance == json.loads(json.dumps(train.provenance))
    assert data.load(f"folder:{tmp_path}", count=3, channels=1).images.shape == (3, 1, 32, 32)


def test_a_grey_folder_has_one_channel_and_class_folders_give_labels(tmp_path):
    for kind in ("dog", "cat"):
        for i in range(5):
            paint(tmp_path / kind / f"{i}.png", 10 * i + (kind == "dog"))
    train, test = (data.load(f"folder:{tmp_path}", split) for split in ("train", "test"))
    assert train.channels == 1
    assert train.provenance["classes"] == ["cat", "dog"]
    assert train.labels.tolist() == [0] * 4 + [1] * 4
    assert test.labels.tolist() == [0, 1]
    assert test.images[:, 0, 0, 0].tolist() == [40, 41]
    assert data.load(f"folder:{tmp_path}", channels=3).channels == 3


def test_folders_called_train_and_test_are_the_splits(tmp_path):
    for part, kind, grey in [("train", "a", 1), ("train", "b", 2), ("train", "b", 3), ("test", "b", 4)]:
        paint(tmp_path / part / kind / f"{grey}.png", grey)
    train, test = (data.load(f"folder:{tmp_path}", split) for split in ("train", "test"))
    assert train.images[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert train.labels.tolist() == [0, 1, 1]
    assert test.images[:, 0, 0, 0].tolist() == [4]
    assert test.labels.tolist() == [1]


def test_a_folder_without_images_or_without_the_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        data.load(f"folder:{tmp_path / 'nowhere'}")
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(ValueError, match=r"no readable image \(a.png: not an image that Pillow can read\)"):
        data.load(f"folder:{tmp_path}")
    for name in ("b", "c", "d"):
        paint(tmp_path / f"{name}.png", 7)
    with pytest.raises(ValueError, match="has 3 images and none for the split 'test': each fifth"):
        data.load(f"folder:{tmp_path}", "test")
    with pytest.raises(ValueError, match="count must be a whole number from 1 to 3"):
        data.load(f"folder:{tmp_path}", count=4)
    for name in ("b", "c", "d"):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / f"{name}.png").rename(tmp_path / "train" / f"{name}.png")
    with pytest.raises(ValueError, match="its folder test is empty"):
        data.load(f"folder:{tmp_path}", "test")
