"""Codes of a data set, their spectra, both papers' ranks, and the reconstruction error."""

import numpy as np
import pytest
import torch

from implicit_rank.autoencoder import build
from implicit_rank.evaluate import code_spectra, collect_codes, reconstruction_error

IMAGES = torch.randint(0, 256, (23, 2, 4, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
W = torch.randn(5, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 5
CHAIN = torch.randn(5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def encode(images):
    features = images.flatten(1) @ W.to(images.dtype).T
    return features, features @ CHAIN.to(images.dtype).T


def decode(codes):
    return (codes @ W.to(codes.dtype)).unflatten(1, (2, 4, 3))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_do_not_matter(chunk):
    features, codes = collect_codes(encode, IMAGES, chunk=chunk, dtype=torch.float64)
    x = IMAGES.double() / 255
    assert torch.allclose(features, encode(x)[0], rtol=0, atol=1e-13)
    assert torch.allclose(codes, encode(x)[1], rtol=0, atol=1e-13)
    error = (decode(encode(x)[1]) - x).square().mean()
    assert reconstruction_error(encode, decode, IMAGES, chunk=chunk, dtype=torch.float64) == pytest.approx(
        error.item(), rel=1e-12
    )


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_an_autoencoder_gives_both_sides_of_its_chain(kind):
    g = torch.Generator().manual_seed(6)
    model = build("strided", (2, 8, 8), 6, kind=kind, depth=3 if kind == "ae" else 0, channel_factor=0.1, generator=g)
    images = torch.randint(0, 256, (9, 2, 8, 8), generator=g, dtype=torch.uint8)
    features, codes = collect_codes(model.encode, images, chunk=4)
    assert not codes.requires_grad
    output = model(images / 255)
    assert torch.allclose(features, output.features, atol=1e-6)
    if kind == "ae":
        assert torch.allclose(codes, features @ model.effective_matrix().T, atol=1e-6)
    else:
        assert torch.equal(codes, features)  # the mean
    error = (output.reconstruction - images / 255).square().mean().item()
    assert reconstruction_error(model.encode, model.decode, images, chunk=4) == pytest.approx(error, rel=1e-5)


def test_a_perfect_copy_has_no_error_and_a_diverged_one_no_number():
    def copy(images):
        return images, images

    assert reconstruction_error(copy, lambda codes: codes, IMAGES) == 0
    assert np.isnan(reconstruction_error(copy, lambda codes: codes / 0, IMAGES))


def test_spectra_follow_both_papers():
    g = torch.Generator().manual_seed(3)
    scales = torch.tensor([5.0, 3.0, 0.4, 0.02, 1e-9], dtype=torch.float64)
    codes = torch.randn(400, 5, generator=g, dtype=torch.float64) * scales + torch.tensor([9.0, 0, 0, 0, 0])
    found = code_spectra(codes)
    z = codes.numpy()
    assert np.allclose(found.code_matrix, np.linalg.svd(z, compute_uv=False), rtol=1e-10, atol=1e-10)
    assert np.allclose(found.centred, np.linalg.svd(z - z.mean(0), compute_uv=False), rtol=1e-8, atol=1e-8)
    assert np.allclose(found.covariance, np.linalg.eigvalsh(np.cov(z.T))[::-1], rtol=1e-8, atol=1e-12)
    # 0.4 is 8 % of 5, and 0.6 % in squares; against the mean of 9 it still counts, 0.02 never does
    assert (int(found.rank_codes), int(found.rank_centred), int(found.rank_covariance)) == (3, 3, 2)
    strict = code_spectra(codes, threshold=1e-4)
    assert (int(strict.rank_centred), int(strict.rank_covariance)) == (4, 3)


def test_members_stay_apart():
    g = torch.Generator().manual_seed(4)
    codes = torch.randn(3, 50, 6, generator=g)
    codes[1] = codes[1, :, :1] * torch.randn(6, generator=g)
    together = code_spectra(codes)
    assert together.rank_codes.tolist() == [6, 1, 6]
    assert together.covariance.shape == (3, 6)
    assert together.rank_covariance[2] == code_spectra(codes[2]).rank_covariance


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="codes must be finite, but 1 of 12 entries are not"):
        code_spectra(torch.tensor([[torch.nan, 1, 2]] + [[0.0, 1, 2]] * 3))
    with pytest.raises(ValueError, match="at least two samples"):
        code_spectra(torch.ones(1, 3))
    with pytest.raises(ValueError, match=r"uint8 tensor \(n, c, h, w\)"):
        collect_codes(encode, IMAGES.float())
    with pytest.raises(ValueError, match=r"uint8 tensor \(n, c, h, w\)"):
        reconstruction_error(encode, decode, IMAGES[0])
