"""What is measured of one ablated model once it is trained: codes, samples, probes, and who adapts to the maps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from implicit_rank import evaluate as ev
from implicit_rank.autoencoder import Autoencoder
from implicit_rank.data.images import Images
from implicit_rank.experiments.kit.autoencoder_run import Trained
from implicit_rank.experiments.kit.autoencoder_training import model_of
from implicit_rank.experiments.kit.judge import is_shipped, judge_of
from implicit_rank.spectra import covariance_spectrum, effective_rank, singular_values

PICTURES = 36  # sampled images kept
PROTOCOL = ev.Protocol(head="official", batch=100, watch_test=False, unit_scale=True)


def measured(trained: Trained) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The scalars and small arrays of one trained member.

    Codes of the training images are fitted and sampled, codes of the test images are judged; "features" are those
    before the maps. Distances are NaN for images that the shipped classifier does not know, probe errors for images
    without labels.
    """
    model, images, test, device = trained.model, trained.images, trained.test, trained.device
    features, codes = ev.collect_codes(model.encode, images.images, device=device)
    test_features, test_codes = ev.collect_codes(model.encode, test.images, device=device)
    spectrum = covariance_spectrum(test_codes)
    scalars = {
        "error_train": ev.reconstruction_error(model.encode, model.decode, images.images, device=device),
        "error_test": ev.reconstruction_error(model.encode, model.decode, test.images, device=device),
        "dimensions": float(effective_rank(spectrum)),
        "participation": float(spectrum.sum() ** 2 / spectrum.square().sum()),
        "dimensions_features": float(effective_rank(covariance_spectrum(test_features))),
    }
    arrays = {"spectrum_features": covariance_spectrum(test_features).cpu().numpy().astype(np.float32)}
    for part in (sampled(trained, codes), probed(trained, (features, codes), (test_features, test_codes))):
        scalars |= part[0]
        arrays |= part[1]
    if model.chain is not None and model.chain.activation is None:
        arrays |= adaptation(model, test_features)
        start = model_of(trained.spec, tuple(images.images.shape[1:])).to(device)
        drawn = singular_values(start.effective_matrix())
        arrays["singular_effective_start"] = drawn.cpu().numpy().astype(np.float32)
        if trained.spec.frozen == "start":  # only then are the directions at the end those of the start
            start_features = ev.collect_codes(start.encode, test.images, device=device)[0]
            arrays |= {f"{name}_start": values for name, values in adaptation(start, start_features).items()}
    return scalars, arrays


def sampled(trained: Trained, codes: Tensor) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Fréchet distances of samples from a mixture and from one Gaussian, and the first sampled images."""
    spec, model, device = trained.spec, trained.model, trained.device
    scalars, arrays = {}, {}
    for name, density in (
        ("mixture", ev.fit_mixture(codes, spec.components, seed=spec.seed)),
        ("gaussian", ev.fit_gaussian(codes)),
    ):
        drawn = density.sample(spec.samples, torch.Generator().manual_seed(spec.seed)).to(device)
        scalars[f"distance_{name}"] = distance(model, trained.images, drawn, device)
        pictures = next(iter(ev.decoded(model.decode, drawn[:PICTURES])))
        if name == "mixture":
            levels = (pictures.clamp(0, 1) * 255).round().to(torch.uint8)
            arrays["samples"] = levels.cpu().numpy()
            scalars["mixture_converged"] = bool(density.converged)
    return scalars, arrays


def distance(model: Autoencoder, images: Images, codes: Tensor, device: str) -> float:
    """The Fréchet distance in classifier features between training images and decoded codes (never an FID)."""
    if not is_shipped(images):
        return float("nan")
    judge = judge_of(images, images.labels, images, images.labels, device)
    return ev.image_distance(
        judge.network, images.images, ev.decoded(model.decode, codes), cache=judge.cache, device=device
    ).value


def distance_of_real_images(images: Images, test: Images, device: str = "cpu") -> float:
    """The same distance for the test images themselves: what a perfect sampler of as many images would get."""
    judge = judge_of(images, images.labels, test, test.labels, device)
    real = (part.float() / 255 for part in test.images.split(500))
    return ev.image_distance(judge.network, images.images, real, cache=judge.cache, device=device).value


def probed(trained: Trained, train_pair: tuple[Tensor, Tensor], test_pair: tuple[Tensor, Tensor]) -> tuple[dict, dict]:
    """Test errors of probes on features and on codes: mean over draws of balanced subsets, last epoch."""
    spec, images, test = trained.spec, trained.images, trained.test
    scalars = {}
    for size in spec.labels:
        for name, codes, test_codes in zip(("features", "codes"), train_pair, test_pair, strict=True):
            key = f"probe_{size}" if name == "codes" else f"probe_{size}_features"
            if name == "features" and (spec.depth == 0 or size != spec.labels[0]):
                continue  # without maps features are the codes; before and after hardly differ, so once is enough
            if images.labels is None:
                scalars[key] = float("nan")
                continue
            probes = ev.plan_probes(images.labels, 1, [size], spec.draws, seed=spec.seed)
            protocol = protocol_of(spec.probe_epochs)
            errors = ev.train_probes(
                codes[None], images.labels, test_codes[None], test.labels, probes, protocol, device=trained.device
            )
            scalars[key] = float(errors.final.mean())
    return scalars, {}


def protocol_of(epochs: int) -> ev.Protocol:
    """Jing 2020's head without its look at the test set, on codes divided by their standard deviation."""
    return ev.Protocol(**{**PROTOCOL.to_dict(), "epochs": epochs, "every": epochs})


@torch.no_grad()
def adaptation(model: Autoencoder, features: Tensor) -> dict[str, np.ndarray]:
    """What the encoder sends along the singular directions of W_e, and what the decoder does with it.

    `encoder_deviation` (d,): standard deviation of the features `(n, d)` along v_r; `decoder_gain` (d,): norm of
    the decoder's first layer on u_r, NaN where that is no linear layer.
    """
    U, _, Vh = torch.linalg.svd(model.effective_matrix().double())
    centred = features.double() - features.double().mean(dim=0)
    deviation = (centred @ Vh.T).square().sum(dim=0).div(len(features) - 1).sqrt()
    first = next(iter(model.decoder.children()))
    gain = torch.full_like(deviation, torch.nan)
    if isinstance(first, nn.Linear):
        gain = (first.weight.double() @ U).norm(dim=0)
    pair = {"encoder_deviation": deviation, "decoder_gain": gain}
    return {name: values.cpu().numpy().astype(np.float32) for name, values in pair.items()}
