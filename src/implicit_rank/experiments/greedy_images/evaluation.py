"""What Sun 2021 asks of a trained autoencoder of images: a probe on 1,000 labels, samples from a mixture, ranks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from implicit_rank.data.images import Images
from implicit_rank.evaluate.codes import code_spectra, collect_codes, reconstruction_error
from implicit_rank.evaluate.image_distance import decoded, image_distance
from implicit_rank.evaluate.probes import code_deviation, train_probes
from implicit_rank.evaluate.protocols import SUN, plan_probes
from implicit_rank.evaluate.samplers import fit_mixture
from implicit_rank.experiments.kit.autoencoder_run import Trained
from implicit_rank.experiments.kit.judge import SHIPPED, judge_of
from implicit_rank.train.randomness import generator

SHOWN = 8  # pictures kept of a member, of seed 0 alone
_SAMPLES = 7  # the word that sets the samples' random stream apart
GREY_DIGITS = (*SHIPPED, "digits")  # what the shipped classifier can judge


def evaluate(trained: Trained, draws: int = 1) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """A member's own numbers and pictures.

    `rank_*_train` and `error_train`: on training images. `accuracy_READING_WHAT` of a 2-layer ReLU MLP, with
    READING "best" (on the test set, as in the paper), "chosen" (on a validation split) or "final", and WHAT "codes"
    (after the chain), "features" (before it) or "unit" (codes over their standard deviation, one number);
    each is the mean over `draws` draws of the labelled images.
    `distance`: Fréchet distance in classifier features between images decoded from a mixture fitted to the codes and
    the training images; `distance_reconstructed` that of reconstructions, `distance_floor` that of test images,
    `classifier_error` the test error of the network behind them.
    """
    spec, model, device = trained.spec, trained.model, trained.device
    dtype = next(model.parameters()).dtype
    images = exact(trained.images)
    images = images.first(min(images.n, spec.fitted or images.n))
    test = exact(trained.test)
    test = test.first(min(test.n, spec.samples or test.n))  # as many as samples: small runs stay small
    pairs = [collect_codes(model.encode, part.images, device=device, dtype=dtype) for part in (images, test)]
    spectra = code_spectra(pairs[0][1].cpu())
    scalars = {
        "rank_codes_train": float(spectra.rank_codes),
        "rank_centred_train": float(spectra.rank_centred),
        "rank_covariance_train": float(spectra.rank_covariance),
        "error_train": reconstruction_error(
            model.encode, model.decode, images.images[: spec.evaluate], device=device, dtype=dtype
        ),
    }
    arrays = {"singular_codes_train": spectra.code_matrix.float().numpy()}
    try:
        if spec.probe_epochs:
            scalars |= probed(spec, pairs, labels_of(images), labels_of(test), device, draws)
        if spec.samples:
            scores, pictures = sampled(trained, images, test, pairs[0][1], dtype)
            scalars |= scores
            arrays |= pictures if spec.seed == 0 else {}
    except ValueError as refusal:  # collapsed codes may have no scale and no mixture: that is a result, not an end
        scalars["not_judged"] = str(refusal)
    return scalars, arrays


def probed(spec, pairs, labels: Tensor, test_labels: Tensor, device: str, draws: int = 1) -> dict[str, float]:
    """Test accuracies of probes on codes, on features and on scaled codes, all with the same labels."""
    (features, codes), (test_features, test_codes) = pairs
    scale = code_deviation(codes[None])[0]
    kinds = {"codes": (codes, test_codes), "unit": (codes / scale, test_codes / scale)}
    if spec.depth:
        kinds["features"] = (features, test_features)
    seen, unseen = (torch.stack([kind[i] for kind in kinds.values()]).float() for i in (0, 1))
    validation = max(spec.labels // 5, 10)
    plan = plan_probes(labels, len(kinds), (spec.labels,), draws, seed=spec.seed, validation=validation)
    protocol = replace(SUN, epochs=spec.probe_epochs, every=min(5, spec.probe_epochs))
    errors = train_probes(seen, labels, unseen, test_labels, plan, protocol, device=device)
    return {
        f"accuracy_{reading}_{kind}": 1 - float(getattr(errors, reading)[i * draws : (i + 1) * draws].mean())
        for i, kind in enumerate(kinds)
        for reading in ("best", "chosen", "final")
    }


def sampled(
    trained: Trained, images: Images, test: Images, codes: Tensor, dtype: torch.dtype
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Distances of samples, reconstructions and test images from training images, and a few pictures."""
    spec, model, device = trained.spec, trained.model, trained.device
    judge = judge_of(images, labels_of(images), test, labels_of(test), device, GREY_DIGITS)
    mixture = fit_mixture(codes.cpu(), spec.components, seed=spec.seed)
    drawn = mixture.sample(spec.samples, generator(_SAMPLES, spec.seed), dtype).to(device)

    def distance(batches) -> float:
        return image_distance(judge.network, images.images, batches, cache=judge.cache, batch=500, device=device).value

    scalars = {
        "distance": distance(decoded(model.decode, drawn)),
        "distance_reconstructed": distance(decoded(model.decode, codes)),
        "distance_floor": distance(part.to(device).float() / 255 for part in test.images.split(500)),
        "classifier_error": judge.error,
        "mixture_rank": float(mixture.rank),
        "mixture_converged": float(mixture.converged),
    }
    shown = test.images[:SHOWN].to(device, dtype) / 255
    with torch.no_grad():
        pictures = {
            "pictures_sampled": _pixels(model.decode(drawn[:SHOWN])),
            "pictures_reconstructed": _pixels(model(shown).reconstruction),
        }
    return scalars, pictures


def exact(images: Images) -> Images:
    """The images whose pixels are the published ones: no statistic may rest on the others."""
    return images if images.exact is None else images.subset(images.exact, "without inexact images")


def labels_of(images: Images) -> Tensor:
    """Class labels; the shape set's classes are shape times strongest colour channel, six in all."""
    if images.factors is None:
        return images.labels
    colours = torch.stack([images.factors[name] for name in ("r", "g", "b")], dim=1)
    return images.labels * 3 + colours.argmax(dim=1)


def _pixels(values: Tensor) -> np.ndarray:
    return (255 * values.clamp(0, 1)).round().to(torch.uint8).cpu().numpy()
