"""What principal components reconstruct."""

import pytest
import torch

from implicit_rank.data import load
from implicit_rank.evaluate import principal_errors


def test_errors_of_principal_components_are_those_of_the_projection():
    images, test = load("digits", count=120, size=8).images, load("digits", "test", count=30, size=8).images
    seen, unseen = (x.flatten(1).double() / 255 for x in (images, test))
    mean = seen.mean(dim=0)
    V = torch.linalg.svd(seen - mean).Vh[:5]
    direct = ((unseen - mean) - (unseen - mean) @ V.T @ V).square().mean()
    values = principal_errors(images, test, (0, 5, 64))
    assert values[1] == pytest.approx(float(direct), rel=1e-9)
    assert values[0] == pytest.approx(float((unseen - mean).square().mean()))
    assert values[2] < 1e-12
