"""What is measured of a trained autoencoder of shapes: factors in codes, paths between images, life without chain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from implicit_rank.autoencoder import Autoencoder
from implicit_rank.data.images import Images
from implicit_rank.data.shapes import PRESETS, draw_images
from implicit_rank.evaluate.codes import collect_codes, reconstruction_error
from implicit_rank.evaluate.factors import factor_scores
from implicit_rank.evaluate.interpolation import interpolate
from implicit_rank.experiments.kit.autoencoder_run import Trained
from implicit_rank.experiments.kit.autoencoder_training import member_of, settings_of
from implicit_rank.train import train

STEPS = 9  # decoded pictures from one image to the other, both ends included
FAR = 1 / 3  # of the image's side: nearer shapes overlap, and fading looks like moving
COUPLES = 200  # test images halved into couples of one shape, between which half-way points are judged
OTHER_ORDER = 1_000_003  # sets the seed of a released member's image order apart from everybody's first one
COURSE = ("error", "rank_covariance", "rank_codes")


def evaluate(trained: Trained) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """A member's own numbers and pictures.

    `r2_FACTOR` and `linear_FACTOR`: R^2 on test images of a kernel and of a linear regression of each factor on
    the codes, "hue" and "brightness" included; `features_FACTOR`: the kernel one on the encoder's output before the
    chain; `accuracy_shape`. `middle_*`: see `middles`. `pictures` (pairs, STEPS + 2, c, h, w) uint8: an
    image, the decoded line to another, and that one. With `released` epochs, `released_*` tell what
    a plain autoencoder makes of the same function, see `release`.
    """
    spec, model = trained.spec, trained.model
    scalars = regressions(model, trained)
    scalars |= middles(model, trained.test, trained.device)
    arrays = {"pictures": paths(model, trained.test, spec.pairs, trained.device)}
    if spec.released:
        more = release(trained)
        scalars, arrays = scalars | more[0], arrays | more[1]
    return scalars, arrays


def regressions(model: Autoencoder, trained: Trained) -> dict[str, float]:
    """R^2 of every factor on codes and on the features before the chain."""
    spec, device = trained.spec, trained.device
    splits = []
    for images, count in ((trained.images, spec.regression), (trained.test, spec.evaluate)):
        count = min(count, images.n)
        pixels, factors = images.images[:count], {name: values[:count] for name, values in images.factors.items()}
        splits.append((*collect_codes(model.encode, pixels, device=device), factors))
    (features, codes, factors), (test_features, test_codes, test_factors) = splits
    scores = factor_scores(codes, factors, test_codes, test_factors, samples=spec.regression)
    scalars = {f"r2_{name}": value for name, value in scores.nonlinear.items()}
    scalars |= {f"linear_{name}": value for name, value in scores.linear.items()}
    scalars["accuracy_shape"] = scores.accuracy["shape"]["nonlinear"]
    if model.chain is not None:
        before = factor_scores(features, factors, test_features, test_factors, samples=spec.regression)
        scalars |= {f"features_{name}": value for name, value in before.nonlinear.items()}
    return scalars


@torch.no_grad()
def paths(model: Autoencoder, test: Images, pairs: int, device: str) -> np.ndarray:
    """Pictures (pairs, STEPS + 2, c, h, w) uint8 of straight lines between codes (Jing 2020, Figure 3).

    The pairs are the first neighbours in the test set, 2i and 2i + 1, that are far enough apart to tell moving from
    fading.
    """
    first, second = _couples(test, test.n)
    place = torch.stack([test.factors["x"], test.factors["y"]], dim=1)
    apart = (place[first] - place[second]).norm(dim=1) >= FAR * test.size
    first, second = first[apart][:pairs], second[apart][:pairs]
    ends = [test.images[chosen] for chosen in (first, second)]
    codes = [collect_codes(model.encode, images, device=device)[1] for images in ends]
    lines = interpolate(codes[0], codes[1], STEPS)
    decoded = model.decode(lines.flatten(0, 1)).clamp(0, 1).unflatten(0, lines.shape[:2])
    decoded = (255 * decoded).round().to(torch.uint8).cpu()
    return torch.cat([ends[0][:, None], decoded, ends[1][:, None]], dim=1).numpy()


@torch.no_grad()
def middles(model: Autoencoder, test: Images, device: str) -> dict[str, float]:
    """How the half-way point between two codes compares with the shape half-way between the two factors.

    For couples of one shape, mean squared errors against the image drawn with the mean of both positions, sizes and
    colours: `middle_error` of the decoded mean of the codes, `middle_floor` of the reconstruction of that image
    itself, `middle_fade` of the two images' average. `fading` is a share from 0 (the shape moves) to 1 (two
    shapes fade into each other): the distance to the moved image over the sum of distances to both.
    """
    first, second = _couples(test, min(COUPLES, test.n))
    same = test.labels[first] == test.labels[second]
    first, second = first[same], second[same]
    truth = halfway(test, first, second)
    codes = [collect_codes(model.encode, test.images[chosen], device=device)[1] for chosen in (first, second)]
    decoded = model.decode((codes[0] + codes[1]) / 2).cpu().double()
    pixels = [test.images[chosen].double() / 255 for chosen in (first, second)]
    moved, faded = truth.double() / 255, (pixels[0] + pixels[1]) / 2
    to_moved = (decoded - moved).square().flatten(1).mean(dim=1)
    to_faded = (decoded - faded).square().flatten(1).mean(dim=1)
    return {
        "middle_error": float(to_moved.mean()),
        "middle_floor": reconstruction_error(model.encode, model.decode, truth, device=device),
        "middle_fade": float((moved - faded).square().mean()),
        "fading": float((to_moved / (to_moved + to_faded)).mean()),
    }


def halfway(test: Images, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The images (n, c, h, w) uint8 drawn half-way between couples of one shape."""
    rules = PRESETS[test.name.removeprefix("shapes-")]
    factors = {name: ((values[first] + values[second]) / 2).numpy() for name, values in test.factors.items()}
    for name in ("r", "g", "b"):
        factors[name] = np.rint(255 * factors[name]).astype(int)
    if rules.raster == "pixels":  # its points and radii are whole pixels
        factors |= {name: np.rint(factors[name]).astype(int) for name in ("x", "y", "size")}
    return torch.from_numpy(draw_images(rules, factors, test.size))


def release(trained: Trained) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Fold the chain away and train on as a plain autoencoder: same function, same loss, another path.

    The product of the maps is multiplied into the encoder's last layer (where that ends in a ReLU it stays as one
    map), and Adam starts with empty moments. If the error falls now, it was the chain that held it up. Errors, ranks
    and `released_r2_FACTOR` at the end, and the course as arrays over `released_epochs`.
    """
    spec = trained.spec
    model = trained.model.collapsed(into_encoder=spec.architecture != "shapes-paper")
    settings = replace(settings_of(spec), epochs=spec.released)
    member = replace(member_of(spec), order_seed=spec.seed + OTHER_ORDER)
    options = {"evaluation": trained.test.images, "device": trained.device}
    history = train([model], [member], trained.images.images, settings, **options)
    course = history.of(0)
    arrays = {f"released_{name}": course[name].astype(np.float32) for name in ("epochs", *COURSE, "spectrum_codes")}
    arrays["released_spectrum_codes"] = arrays["released_spectrum_codes"][-1]
    scalars = {f"released_{name}": history.last(name, 0) for name in COURSE}
    if not history.diverged(0):
        after = regressions(model, trained)
        scalars |= {f"released_{name}": value for name, value in after.items() if name.startswith("r2_")}
    return scalars, arrays


def _couples(test: Images, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The places of neighbours 2i and 2i + 1 among the first `count` images."""
    first = torch.arange(0, count - 1, 2)
    return first, first + 1
