"""The supervised loop, the small classifier, and the one shipped for MNIST."""

import json
from importlib.resources import files

import numpy as np
import pytest
import torch
from torch import nn

from implicit_rank.data.load import load
from implicit_rank.evaluate import (
    Protocol,
    SmallClassifier,
    error_rate,
    head_module,
    mnist_classifier,
    train_classifier,
    train_supervised,
)
from implicit_rank.evaluate.classifier import MNIST_ASSET, pack_classifier, unpack_classifier


def g(seed=0):
    return torch.Generator().manual_seed(seed)


def stripes(n, seed):
    """Noisy 1 x 16 x 16 images of three classes: stripes of three widths; uint8, and labels."""
    labels = torch.randint(0, 3, (n,), generator=g(seed))
    wave = torch.stack([torch.sin(torch.arange(16) * step) for step in (0.4, 0.8, 1.6)])[labels]
    pixels = 128 + 50 * wave[:, None, :, None] + 25 * torch.randn(n, 1, 16, 16, generator=g(seed + 50))
    return pixels.clamp(0, 255).to(torch.uint8), labels


TRAIN, TEST = stripes(300, 1), stripes(200, 2)
QUICK = Protocol(epochs=4, batch=32, lr=3e-3, every=1)


def trained(seed=0, **changes):
    return train_classifier(*TRAIN, *TEST, seed=seed, width=20, protocol=QUICK, **changes)


def test_a_classifier_learns_from_its_seed_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    (one, errors), (two, again) = trained(), trained()
    assert torch.equal(before, torch.random.get_rng_state())
    assert errors.final < 0.05 < errors.test[0]
    assert torch.equal(errors.test, again.test)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.output.weight, trained(seed=1)[0].output.weight)
    assert errors.final == error_rate(one, *TEST)
    assert errors.best == errors.test.min()
    assert np.isnan(errors.chosen)


def test_features_are_the_layer_below_the_output():
    classifier = trained()[0]
    x = TEST[0].float() / 255
    features = classifier.features(x)
    assert features.shape == (200, 20)
    assert features.min() >= 0
    assert torch.equal(classifier(x), features @ classifier.output.weight.T + classifier.output.bias) or torch.allclose(
        classifier(x), features @ classifier.output.weight.T + classifier.output.bias, atol=1e-5
    )


def test_error_rate_counts_in_any_chunks():
    classifier = trained()[0]
    wrong = (classifier(TEST[0].float() / 255).argmax(1) != TEST[1]).double().mean().item()
    assert error_rate(classifier, *TEST, chunk=7) == error_rate(classifier, *TEST) == wrong
    assert error_rate(classifier, TEST[0], (TEST[1] + 1) % 3) > 0.9


def baseline(seed):
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(256, 24), nn.ReLU())
    encoder[1].weight.data.uniform_(-1 / 16, 1 / 16, generator=g(seed))
    encoder[1].bias.data.zero_()
    return nn.Sequential(encoder, head_module("official", 24, 3, 16, generator=g(seed)))


def test_the_supervised_baseline_learns_from_a_subset_and_a_validation_split_chooses():
    protocol = Protocol(epochs=12, batch=10, lr=3e-3, every=1)
    subset, validation = torch.arange(60), torch.arange(100, 160)
    arguments = {"seed": 3, "subset": subset, "validation": validation}
    network = baseline(1)
    errors = train_supervised(network, *TRAIN, *TEST, protocol, **arguments)
    assert errors.final < 0.4
    assert errors.chosen == errors.test[errors.validation.argmin()]
    assert errors.final == errors.test[-1] == error_rate(network, *TEST)  # left with its last weights
    assert not network.training
    again = train_supervised(baseline(1), *TRAIN, *TEST, protocol, **arguments)
    assert torch.equal(errors.test, again.test)  # dropout included
    blind = Protocol(**(protocol.to_dict() | {"watch_test": False}))
    unseen = train_supervised(baseline(1), *TRAIN, *TEST, blind, **arguments)
    assert np.isnan(unseen.best)
    assert (unseen.final, unseen.chosen) == (errors.final, errors.chosen)
    # images outside the subset are never trained on
    images = TRAIN[0].clone()
    images[200:] = 0
    other = train_supervised(baseline(1), images, TRAIN[1], *TEST, protocol, **arguments)
    assert torch.equal(errors.test, other.test)


def test_packing_rounds_to_float16_and_keeps_the_rest():
    classifier = trained()[0]
    arrays = pack_classifier(classifier, {"seed": 7})
    again, about = unpack_classifier(arrays)
    assert about == {"seed": 7, "image_shape": [1, 16, 16], "classes": 3, "width": 20}
    for a, b in zip(classifier.parameters(), again.parameters(), strict=True):
        assert torch.equal(a.half().float(), b)
        assert not b.requires_grad
    assert not again.training


@pytest.fixture(scope="module")
def shipped():
    return mnist_classifier()


def test_the_shipped_classifier_is_as_good_as_recorded(shipped):
    classifier, about = shipped
    test = load("mnist-12k", "test")
    accuracy = 1 - error_rate(classifier, test.images, test.labels)
    # the first 2,000 test images are harder than all 10,000, on which the recorded accuracy was measured
    assert about["test accuracy"] >= 0.985
    assert abs(accuracy - about["test accuracy"]) < 0.01
    assert about["test images"] == 10_000
    assert classifier.features(test.images[:4].float() / 255).shape == (4, about["width"])
    assert 64 <= about["width"] <= 128


def test_the_shipped_file_is_small_and_holds_no_pickle():
    path = files("implicit_rank").joinpath(MNIST_ASSET)
    assert len(path.read_bytes()) < 400_000
    with path.open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        about = json.loads(str(arrays["about"]))
    assert {"data", "training pixels", "test accuracy", "seed", "epochs", "torch"} <= set(about)


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="at least 16 x 16 pixels, not 8 x 20"):
        SmallClassifier((1, 8, 20), 3)
    with pytest.raises(ValueError, match="head must be one of"):
        head_module("conv", 3, 2)
    with pytest.raises(ValueError, match="labels must be one per image, 300 and 200"):
        train_supervised(baseline(0), TRAIN[0], TRAIN[1][1:], *TEST, QUICK)
    with pytest.raises(ValueError, match="hold no classifier: 'about'"):
        unpack_classifier({})
    arrays = pack_classifier(trained()[0], {})
    with pytest.raises(ValueError, match=r"hold no classifier: 'output\.bias'"):
        unpack_classifier({name: value for name, value in arrays.items() if name != "output.bias"})
    with pytest.raises(ValueError, match="hold no classifier"):
        unpack_classifier(arrays | {"output.bias": np.zeros(4, np.float16)})
