"""What is measured on a trained autoencoder of chapter 4: spectra, pictures, distances of samples, probe errors."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from implicit_rank.autoencoder import effective_beta
from implicit_rank.evaluate import (
    Mixture,
    code_spectra,
    collect_codes,
    fit_gaussian,
    fit_mixture,
    interpolate,
    principal_grid,
    reconstruction_error,
)
from implicit_rank.experiments.irmae_images.distances import distances
from implicit_rank.experiments.irmae_images.labels import probe_errors
from implicit_rank.experiments.kit.autoencoder_run import Trained
from implicit_rank.train.randomness import generator

_STREAM = 4  # the word that sets this module's random streams apart from those of training
PAIRS, STEPS, SHOWN, LEVELS = 3, 10, 32, 16


@dataclass(frozen=True)
class Codes:
    """Codes of both splits, `(n, d)` on the CPU: before the chain, after it, and as a density sees them.

    `density` and `test_density` are the codes themselves; of a VAE they are samples, as in the released code.
    """

    features: Tensor
    codes: Tensor
    density: Tensor
    test_features: Tensor
    test_codes: Tensor
    test_density: Tensor


def evaluate(trained: Trained) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """A member's numbers and small arrays: Figures 4 to 8, Tables 1 and 2 of Jing 2020."""
    spec, model, test = trained.spec, trained.model.eval(), trained.test
    codes = all_codes(trained)
    scalars, arrays = spectra(trained, codes)
    fitted = 2 * spec.samples  # so many codes at most: more change no picture and cost minutes
    samplers = {
        "gaussian": fit_gaussian(codes.density[:fitted]),
        "mixture": mixture(codes.density[:fitted], spec),
        "mixture_test": mixture(codes.test_density[:fitted], spec),
    }
    drawn = {
        name: sampler.sample(spec.samples, generator(_STREAM, spec.seed, i))
        for i, (name, sampler) in enumerate(samplers.items())
    }
    drawn |= further_codes(codes, spec)
    decode = functools.partial(decoded_on, model, trained.device)
    arrays |= pictures(decode, codes, drawn, test.images)
    reconstructed = codes.test_codes[: spec.samples]
    scalars |= distances(spec, trained.images, test, decode, drawn | {"reconstruction": reconstructed}, trained.device)
    if trained.images.labels is not None and test.labels is not None:
        more = probe_errors(spec, trained.images.labels, test.labels, codes, trained.device)
        scalars, arrays = scalars | more[0], arrays | more[1]
    return scalars, arrays


def mixture(codes: Tensor, spec) -> Mixture:
    """The mixture fitted to codes; a folder of very few images has no more components than images."""
    return fit_mixture(codes, min(spec.components, len(codes)), spec.seed)


def all_codes(trained: Trained) -> Codes:
    """The codes of all training and test images."""
    model, device = trained.model, trained.device

    def sampled(images: Tensor, word: int) -> Tensor:
        stream = generator(_STREAM, trained.spec.seed, word)

        def encode(part: Tensor) -> tuple[Tensor, Tensor]:
            mean, log_variance = model.encoder(part).chunk(2, dim=-1)
            noise = torch.randn(mean.shape, generator=stream).to(mean)
            return mean, mean + torch.exp(log_variance / 2) * noise

        return collect_codes(encode, images, device=device)[1].cpu()

    parts = []
    for word, images in ((10, trained.images.images), (11, trained.test.images)):
        features, codes = (x.cpu() for x in collect_codes(model.encode, images, device=device))
        parts += [features, codes, codes if model.kind == "ae" else sampled(images, word)]
    return Codes(*parts)


def spectra(trained: Trained, codes: Codes) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Error, spectra and ranks on the whole test split (Figure 4); of a VAE those of means and of samples."""
    model, test, device = trained.model, trained.test, trained.device
    found = {"test": code_spectra(codes.test_codes), "before": code_spectra(codes.test_features)}
    if model.kind == "vae":
        found["sampled"] = code_spectra(codes.test_density)
    scalars = {"test_error": reconstruction_error(model.encode, model.decode, test.images, device=device)}
    arrays = {}
    for name, spectrum in found.items():
        arrays[f"spectrum_{name}"] = spectrum.covariance.numpy().astype(np.float32)
        scalars[f"{name}_rank_codes"] = float(spectrum.rank_codes)
        scalars[f"{name}_rank_covariance"] = float(spectrum.rank_covariance)
    variances = code_spectra(codes.test_density).covariance
    arrays["explained"] = (variances[:10] / variances.sum()).numpy().astype(np.float32)
    scalars["explained_two"] = float(variances[:2].sum() / variances.sum())
    if model.kind == "vae":
        spec = trained.spec
        scalars["active_units"] = active_units(codes.test_codes)
        beta = spec.beta or 0.1
        scalars["effective_beta"] = effective_beta(tuple(test.images.shape[1:]), spec.code_width, beta)
    return scalars, arrays


def active_units(means: Tensor, least: float = 0.01) -> float:
    """How many units of a VAE, of the means `(n, d)` of its codes, vary with the image: variance > `least`.

    Burda, Grosse and Salakhutdinov 2016. What the other units hold is noise of the prior.
    """
    return float((means.var(dim=0) > least).sum())


def further_codes(codes: Codes, spec) -> dict[str, Tensor]:
    """Codes that no density was fitted for: midpoints of pairs, the principal plane, a VAE's prior."""
    stream = generator(_STREAM, spec.seed, 20)
    ends = torch.randint(len(codes.test_codes), (2, spec.samples), generator=stream)
    midpoints = (codes.test_codes[ends[0]] + codes.test_codes[ends[1]]) / 2
    density = codes.test_density.double()
    mean, variances, axes = density.mean(dim=0), *torch.linalg.eigh(density.T.cov())
    noise = torch.randn(spec.samples, 2, generator=stream, dtype=torch.float64)
    plane = mean + noise @ (axes[:, -2:] * variances[-2:].clamp_min(0).sqrt()).T
    found = {"midpoints": midpoints, "plane": plane.float()}
    if spec.kind == "vae":
        found["prior"] = torch.randn(spec.samples, density.shape[1], generator=stream)
    return found


@torch.no_grad()
def decoded_on(model, device: str, codes: Tensor) -> Tensor:
    """Images `(n, c, h, w)` of codes `(n, d)`, on the CPU, pixels 0 to 1."""
    parts = [model.decode(part.to(device)).cpu() for part in codes.split(500)]
    return torch.cat(parts).float().clamp(0, 1)


def pictures(decode, codes: Codes, drawn: dict[str, Tensor], test_images: Tensor) -> dict[str, np.ndarray]:
    """What is shown, uint8: interpolations between test images, samples, and the grid on the principal plane.

    The pairs are the same for every model: the images are chosen at random, once and for all.
    """
    chosen = torch.randperm(len(test_images), generator=generator(_STREAM, 0))[: 2 * PAIRS].view(-1, 2)
    shape = test_images.shape[1:]
    lines = interpolate(codes.test_codes[chosen[:, 0]], codes.test_codes[chosen[:, 1]], STEPS)
    shown = {"interpolation": decode(lines.flatten(0, 1)).view(-1, STEPS, *shape)}
    shown["originals"] = test_images[chosen] / 255
    for name in ("gaussian", "mixture", "prior"):
        if name in drawn:
            shown[name] = decode(drawn[name][:SHOWN])
    if fit_gaussian(codes.test_density).rank > 1:  # a chain that has hardly been trained has one direction
        grid = principal_grid(codes.test_density, STEPS).codes
        shown["plane"] = decode(grid.flatten(0, 1)).view(STEPS, STEPS, *shape)
    return {f"picture_{name}": in_few_levels(images) for name, images in shown.items()}


def in_few_levels(images: Tensor) -> np.ndarray:
    """Images with pixels 0 to 1 as uint8 of 16 levels: a fourth of the bytes once packed, and no eye sees it."""
    levels = (images.clamp(0, 1) * (LEVELS - 1)).round() * (255 / (LEVELS - 1))
    return levels.round().to(torch.uint8).numpy()
