"""Distances between images: FID's network stubbed, the classifier's never called FID, recipes and the cache."""

import hashlib

import pytest
import torch

from implicit_rank.data.load import load
from implicit_rank.evaluate import (
    FeatureNetwork,
    SmallClassifier,
    classifier_network,
    decoded,
    feature_statistics,
    frechet_distance,
    image_distance,
    inception_network,
    mnist_classifier,
)
from implicit_rank.evaluate import inception as fid
from implicit_rank.evaluate.image_distance import CLASSIFIER_DISTANCE, pixel_digest


def g(seed=0):
    return torch.Generator().manual_seed(seed)


REFERENCE = torch.randint(0, 256, (40, 1, 16, 16), generator=g(1), dtype=torch.uint8)
SAMPLES = torch.rand(30, 1, 16, 16, generator=g(2)) * 1.4 - 0.2  # a Tanh decoder leaves [0, 1]


def corner(images):
    """Features by hand: two pixels of the last channel and the mean."""
    return torch.stack([images[:, -1, 0, 0], images[:, -1, 5, 3], images.mean(dim=(1, 2, 3))], dim=1)


def stub(channels=3, **card):
    return FeatureNetwork("FID", corner, channels, {"network": "stub", "weights": "none"} | card)


def by_hand(samples, rounding=True):
    samples = samples.clamp(0, 1)
    samples = (samples * 255).round() / 255 if rounding else samples
    return frechet_distance(feature_statistics(corner(REFERENCE / 255)), feature_statistics(corner(samples)))


@pytest.mark.parametrize("rounding", [True, False])
@pytest.mark.parametrize("batch", [7, 50])
def test_clamping_rounding_and_batches(rounding, batch):
    found = image_distance(stub(), REFERENCE, SAMPLES, rounding=rounding, batch=batch)
    assert found.value == pytest.approx(by_hand(SAMPLES, rounding), rel=1e-5)
    assert found.value != pytest.approx(by_hand(SAMPLES, not rounding), rel=1e-5)
    in_parts = image_distance(stub(), REFERENCE, iter(SAMPLES.split(11)), rounding=rounding)
    assert in_parts.value == pytest.approx(found.value, rel=1e-6)


def test_the_reference_itself_is_at_distance_zero():
    assert image_distance(stub(), REFERENCE, REFERENCE / 255).value < 1e-9


def test_the_recipe_card_says_what_must_agree():
    card = image_distance(stub(), REFERENCE, SAMPLES).card
    assert card["distance"] == "FID"
    assert (card["samples"], card["reference images"], card["feature width"]) == (30, 40, 3)
    assert card["grey"] == "repeated to 3 channels"
    assert card["rounding"] == "samples to 256 levels"
    assert card["reference pixels"] == f"sha256 {pixel_digest(REFERENCE)}"
    assert image_distance(stub(1), REFERENCE, SAMPLES, rounding=False).card["grey"] == "kept"
    colour = REFERENCE.repeat(1, 3, 1, 1)
    assert image_distance(stub(), colour, SAMPLES.repeat(1, 3, 1, 1)).card["grey"] == "already colour"


def test_the_digest_is_the_data_sets_own():
    images = load("digits", "test", count=20)
    assert pixel_digest(images.images) == images.digest()
    assert pixel_digest(images.images) != pixel_digest(images.images.flip(0))


def test_reference_statistics_are_cached_by_network_weights_and_pixels():
    seen = []

    def counting(images):
        seen.append(len(images))
        return corner(images)

    cache = {}
    network = FeatureNetwork("FID", counting, 3, {"network": "stub", "weights": "a"})
    first = image_distance(network, REFERENCE, SAMPLES, cache=cache)
    assert sum(seen) == 70
    second = image_distance(network, REFERENCE, SAMPLES, cache=cache)
    assert sum(seen) == 100  # the samples alone
    assert first == second
    image_distance(network, REFERENCE[1:], SAMPLES, cache=cache)
    assert sum(seen) == 169
    other = FeatureNetwork("FID", counting, 3, {"network": "stub", "weights": "b"})
    image_distance(other, REFERENCE, SAMPLES, cache=cache)
    assert sum(seen) == 239
    assert len(cache) == 3


def test_the_classifier_distance_is_never_called_fid():
    classifier = SmallClassifier((1, 16, 16), 3, width=8, generator=g(3))
    network = classifier_network(classifier, {"test accuracy": 0.5})
    found = image_distance(network, REFERENCE, SAMPLES)
    assert found.name == CLASSIFIER_DISTANCE == found.card["distance"] == "Fréchet distance in classifier features"
    assert "FID" not in str(found.card)
    assert found.card["classifier test accuracy"] == 0.5
    other = classifier_network(SmallClassifier((1, 16, 16), 3, width=8, generator=g(4)))
    assert other.card["weights"] != network.card["weights"]


def test_the_shipped_classifier_tells_digits_from_noise_and_blur():
    classifier, about = mnist_classifier()
    network = classifier_network(classifier, about)
    train, test = load("mnist-12k", count=600), load("mnist-12k", "test", count=600)
    real = image_distance(network, train.images, test.images / 255).value
    blurred = torch.nn.functional.avg_pool2d(test.images / 255, 5, 1, 2)
    noise = torch.rand(600, 1, 32, 32, generator=g(5))
    assert real * 3 < image_distance(network, train.images, blurred).value
    assert image_distance(network, train.images, blurred).value < image_distance(network, train.images, noise).value


def test_decoded_images_come_in_parts():
    codes = torch.arange(7.0)[:, None]
    parts = list(decoded(lambda z: z[:, :, None, None] * 2, codes, chunk=3))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert torch.equal(torch.cat(parts).flatten(), codes.flatten() * 2)


def test_bad_images_are_one_sentence():
    with pytest.raises(ValueError, match="not finite"):
        image_distance(stub(), REFERENCE, SAMPLES / 0)
    with pytest.raises(ValueError, match=r"shape \(1, 16, 16\) like the reference"):
        image_distance(stub(), REFERENCE, SAMPLES[..., 1:])
    with pytest.raises(ValueError, match="float images"):
        image_distance(stub(), REFERENCE, REFERENCE)
    with pytest.raises(ValueError, match="network takes images with 3 channels, or grey ones"):
        image_distance(stub(), REFERENCE.repeat(1, 2, 1, 1), SAMPLES)
    with pytest.raises(ValueError, match="uint8"):
        image_distance(stub(), REFERENCE / 255, SAMPLES)
    with pytest.raises(ValueError, match="at least two feature vectors, not 1"):
        image_distance(stub(), REFERENCE, SAMPLES[:1])


# ---- FID's own network ----
@pytest.fixture
def places(tmp_path, monkeypatch):
    """Empty data root and torch.hub folder."""
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path


class Tiny(torch.nn.Module):
    """In the place of Inception-v3: loads the same way, gives pool features of the same shape."""

    BLOCK_INDEX_BY_DIM = {2048: 3}  # noqa: RUF012

    def __init__(self, blocks):
        super().__init__()
        from pytorch_fid import inception

        assert blocks == [3]
        self.scale = torch.nn.Parameter(torch.zeros(()))
        self.load_state_dict(inception.load_state_dict_from_url(inception.FID_WEIGHTS_URL, progress=True))

    def forward(self, images):
        assert images.shape[1] == 3
        return [self.scale * images.mean(dim=(1, 2, 3))[:, None, None, None].expand(-1, 2048, 1, 1)]


def saved(path, monkeypatch, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"scale": torch.tensor(2.0)} if content is None else content, path)
    monkeypatch.setattr(fid, "SHA256_PREFIX", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    monkeypatch.setattr("pytorch_fid.inception.InceptionV3", Tiny)
    return path


@pytest.mark.parametrize("place", ["data", "hub/checkpoints", "elsewhere"])
def test_weights_are_found_checked_and_loaded_without_the_network(place, places, monkeypatch):
    path = saved(places / place / fid.WEIGHTS, monkeypatch)
    network = inception_network(path if place == "elsewhere" else None)
    assert network.distance == "FID"
    assert network.card["weights"] == f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert network.card["pytorch-fid"] == "0.3.0"
    x = torch.rand(2, 3, 4, 4)
    assert torch.allclose(network.features(x), 2 * x.mean(dim=(1, 2, 3))[:, None].expand(2, 2048))
    import pytorch_fid.inception

    assert "lambda" not in repr(pytorch_fid.inception.load_state_dict_from_url)  # put back


def test_the_published_architecture_can_be_built(monkeypatch):
    """The real class up to its weights, which are not here; warnings are errors."""
    import pytorch_fid.inception as published

    def stop(self, state):
        raise StopIteration

    monkeypatch.setattr(published, "load_state_dict_from_url", lambda *_, **__: None)
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", stop)
    with pytest.raises(StopIteration):
        published.InceptionV3([published.InceptionV3.BLOCK_INDEX_BY_DIM[2048]])
    assert published.FID_WEIGHTS_URL.endswith(fid.WEIGHTS)


def test_missing_weights_are_one_sentence(places):
    with pytest.raises(FileNotFoundError) as error:
        inception_network()
    said = str(error.value)
    assert fid.WEIGHTS in said
    assert str(places / "data") in said
    assert CLASSIFIER_DISTANCE in said
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth is not there"):
        inception_network(places / "nowhere.pth")


def test_wrong_bytes_are_refused_before_they_are_loaded(places, monkeypatch):
    path = places / "data" / fid.WEIGHTS
    path.parent.mkdir()
    path.write_bytes(b"not a network")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(ValueError, match=r"sha256 starts with [0-9a-f]{8}, not 6726825d"):
        inception_network()


def test_a_failed_download_is_one_sentence_and_leaves_nothing(places, monkeypatch):
    import urllib.error
    import urllib.request

    def offline(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    with pytest.raises(ConnectionError, match=r"could not be fetched .*no network.*put the file") as error:
        inception_network(download=True)
    assert CLASSIFIER_DISTANCE in str(error.value)
    assert not [path for path in places.rglob("*") if path.is_file()]


def test_a_download_with_other_bytes_leaves_nothing(places, monkeypatch):
    import io

    class Answer(io.BytesIO):
        headers = {"Content-Length": "5"}  # noqa: RUF012

        def info(self):
            return self

        def get_all(self, name):
            return ["5"]

    monkeypatch.setattr(torch.hub, "urlopen", lambda *_, **__: Answer(b"wrong"))
    with pytest.raises(ConnectionError, match="invalid hash value"):
        inception_network(download=True)
    assert not [path for path in places.rglob("*") if path.is_file()]
