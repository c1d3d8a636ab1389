import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from implicit_rank import data
from implicit_rank.book import doctor
from implicit_rank.data import archives
from implicit_rank.data.archives import MD5, find_archive, read_archive
from implicit_rank.data.moments import pack, packed_mnist, unpack

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "build_mnist_moments.py"
needs_archive = pytest.mark.skipif(
    find_archive("train-images-idx3-ubyte.gz") is None,
    reason="the MNIST archives are not there; set IMPLICIT_RANK_DATA to check the shipped moments against them",
)


def builder():
    spec = importlib.util.spec_from_file_location("build_mnist_moments", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs_archive
def test_shipped_moments_are_those_of_the_verified_archive():
    images = data.mnist_images("train")
    gram, sums = builder().integer_moments(images)
    shipped, shipped_sums, n = packed_mnist()
    assert n == len(images) == 60_000
    assert np.array_equal(shipped, gram)
    assert np.array_equal(shipped_sums, sums)


@needs_archive
def test_archives_have_the_published_sizes():
    assert data.mnist_images("test").shape == (10_000, 28, 28)
    assert np.bincount(data.mnist_labels("train")).sum() == 60_000


def test_mnist_moments_have_the_known_spectrum():
    moments = data.second_moments("mnist")
    # eigenvalues of the covariance of MNIST's training images, published digits
    known = torch.tensor([5.117, 3.741, 3.253, 2.842, 2.567], dtype=torch.float64)
    torch.testing.assert_close(moments.eigenvalues[:5], known, atol=6e-4, rtol=0)
    assert moments.C.trace().item() == pytest.approx(52.725, abs=1e-3)
    assert moments.mean.mean().item() == pytest.approx(0.1307, abs=1e-4)  # the well-known mean pixel
    assert moments.n == 60_000
    assert int((moments.eigenvalues > 1e-10).sum()) == 712


@pytest.mark.parametrize("name", ["mnist", "digits", "synthetic-paper", "synthetic-official"])
def test_eigenvectors_diagonalise_and_have_a_fixed_sign(name):
    moments = data.second_moments(name, width=60)
    C, U, s = moments.C, moments.U, moments.eigenvalues
    torch.testing.assert_close(U.T @ U, torch.eye(len(s), dtype=torch.float64), atol=1e-10, rtol=0)
    torch.testing.assert_close((U * s) @ U.T, C, atol=1e-10 * s[0].item(), rtol=0)
    assert (s.diff() <= 0).all()
    assert (U.gather(0, U.abs().argmax(0, keepdim=True)) > 0).all()


def test_packing_is_exact_and_keeps_empty_columns():
    generator = np.random.default_rng(0)
    X = generator.integers(0, 256, (50, 9), dtype=np.uint8)
    X[:, [2, 7]] = 0
    gram, sums = builder().integer_moments(X, chunk=17)
    again, again_sums, n = unpack(pack(gram, sums, 50))
    wide = X.astype(np.int64)
    assert np.array_equal(again, wide.T @ wide)
    assert np.array_equal(again_sums, wide.sum(0))
    assert n == 50
    with pytest.raises(ValueError, match="beyond 32 bits"):
        pack(gram * 10**6, sums, 50)


@pytest.mark.parametrize("name", ["digits", "synthetic-official"])
def test_samples_have_the_second_moments_of_their_data_set(name):
    X, moments = data.samples(name, width=40), data.second_moments(name, width=40)
    torch.testing.assert_close(X.T @ X / len(X), moments.C)
    assert len(X) == moments.n


def test_synthetic_paper_has_the_printed_singular_values():
    moments = data.synthetic_paper(30, n=90, seed=4)
    singular = (moments.eigenvalues * 90).sqrt()
    torch.testing.assert_close(singular, torch.arange(30, 0, -1, dtype=torch.float64))
    with pytest.raises(ValueError, match="has no samples"):
        data.samples("synthetic-paper")
    with pytest.raises(ValueError, match="n >= width"):
        data.synthetic_paper(30, n=20)


def test_synthetic_official_follows_the_population_spectrum():
    moments = data.synthetic_official(40, n=40_000, seed=1)
    population = torch.linspace(100, 1, 40, dtype=torch.float64)
    torch.testing.assert_close(moments.eigenvalues, population, rtol=0.05, atol=0)
    assert not torch.allclose(moments.C, data.synthetic_official(40, n=40_000, seed=2).C, rtol=0.1)


def test_rescaled_moments_are_those_of_scaled_samples():
    X = data.samples("digits")
    moments = data.rescaled(data.second_moments("digits"), 5.1)
    assert moments.eigenvalues[0].item() == pytest.approx(5.1)
    scaled = X * moments.scale
    torch.testing.assert_close(scaled.T @ scaled / len(X), moments.C)
    with pytest.raises(ValueError, match="must be positive"):
        data.rescaled(moments, 0)


def test_bad_moments_are_refused():
    square = torch.eye(3, dtype=torch.float64)
    for C, message in [
        (square[:2], "must be square"),
        (square + torch.triu(torch.ones(3, 3, dtype=torch.float64), 1), "must be symmetric"),
        (square / 0, "must be finite"),
    ]:
        with pytest.raises(ValueError, match=message):
            data.decompose("bad", C, torch.zeros(3), 5, "made for the tests.")
    with pytest.raises(ValueError, match="at least 2"):
        data.moments_of("bad", torch.zeros(1, 3), "made for the tests.")
    with pytest.raises(ValueError, match="k must lie between 1 and 2"):
        data.decompose("fine", square, torch.zeros(3), 5, "made for the tests.").top(3)


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(1)
    for i, size in enumerate([(9, 14), (30, 30), (12, 8), (20, 20)]):
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "more").mkdir()
    Image.fromarray(generator.integers(0, 256, (10, 10), dtype=np.uint8)).save(tmp_path / "more" / "grey.jpg")
    (tmp_path / "notes.txt").write_text("not a picture")
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / ".hidden").write_text("ignored")
    return tmp_path


def test_a_folder_of_images_says_what_it_skipped(folder):
    images = data.folder_images(folder, size=6)
    assert images.pixels.shape == (5, 6, 6)
    assert images.read == ("0.png", "1.png", "2.png", "3.png", "more/grey.jpg")
    assert [name for name, _ in images.skipped] == ["broken.png", "notes.txt"]
    assert images.skipped[1][1] == "not an image that Pillow can read"
    assert "5 images read, 2 skipped" in images.summary()
    assert data.folder_images(folder, size=6, channels=3).pixels.shape == (5, 6, 6, 3)
    moments = data.second_moments(f"folder:{folder}", size=6)
    assert moments.width == 36
    assert "2 skipped" in moments.provenance
    X = data.samples(f"folder:{folder}", size=6)
    torch.testing.assert_close(X.T @ X / 5, moments.C)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        data.folder_images(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(ValueError, match=r"no readable image \(a.txt: not an image that Pillow can read\)"):
        data.folder_images(tmp_path)
    with pytest.raises(ValueError, match="channels must be 1 or 3"):
        data.folder_images(tmp_path, channels=2)


def test_unknown_names_are_refused():
    for call in (data.second_moments, data.samples):
        with pytest.raises(ValueError, match="unknown data 'mnst'; allowed: mnist, digits"):
            call("mnst")
    with pytest.raises(ValueError, match="split must be"):
        data.mnist_images("valid")


def test_unpacked_archives_are_read_wherever_packed_ones_are(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path))
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(4).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    content = b"\x00\x00\x08\x03" + np.array(pixels.shape, ">u4").tobytes() + pixels.tobytes()
    (raw / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match="train-images-idx3-ubyte is not the published archive"):
        data.mnist_images()
    monkeypatch.setitem(archives.UNPACKED_MD5, "train-images-idx3-ubyte", hashlib.md5(content).hexdigest())
    assert doctor.found_data(tmp_path)["MNIST"]
    assert find_archive("train-images-idx3-ubyte.gz") == raw / "train-images-idx3-ubyte"
    assert (data.mnist_images() == pixels).all()
    assert data.samples("mnist").shape == (5, 16)


def test_a_missing_or_wrong_archive_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path))
    assert data.data_root() == tmp_path
    name = "t10k-labels-idx1-ubyte.gz"
    with pytest.raises(FileNotFoundError, match=f"{name} .md5 {MD5[name]}"):
        data.mnist_labels("test")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / name).write_bytes(b"something else")
    with pytest.raises(ValueError, match="is not the published archive"):
        read_archive(name)
