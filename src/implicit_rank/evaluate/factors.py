"""How much of each generating factor the codes hold: R^2 of a linear and of a nonlinear regression.

Both are ridge regressions in their dual form: linear on whitened codes, and with Gaussian kernels on the codes as they
are and whitened. Kernel width and penalty are chosen for each factor on held-out training codes; R^2 is taken on test
codes that were never fitted. Scaling all codes by one number changes nothing. Codes that do not vary, as a large
penalty makes them, leave only the mean to predict with: R^2 of 0 up to the sample's deviation.

Colour is judged twice: channel by channel, and by hue. A network that knows how bright a shape is but not its hue
already explains a third of uniform red, green and blue, so their R^2 alone says little. "brightness" is the mean of the
three channels and "hue" what is left of the colour without it, a point in a plane whose angle is the hue: R^2 over both
coordinates of that plane, which unlike the angle has no jump and no undefined grey.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from implicit_rank.evaluate.codes import require_finite
from implicit_rank.evaluate.samplers import principal_coordinates

COLOURS = ("r", "g", "b")
WIDTHS = (0.25, 0.5, 1.0, 2.0)  # of the Gaussian kernel, in median distances
PENALTIES = (1e-9, 1e-6, 1e-4, 1e-2, 1e-1)  # per sample, in units of the mean diagonal of the kernel


@dataclass(frozen=True)
class FactorScores:
    """R^2 on test codes by factor name, for the linear and the nonlinear regression.

    `accuracy` holds, for factors with two values, the share on the right side of their middle, by the same two
    regressions.
    """

    linear: dict[str, float]
    nonlinear: dict[str, float]
    accuracy: dict[str, dict[str, float]]


def factor_scores(
    codes: Tensor,
    factors: dict[str, Tensor],
    test_codes: Tensor,
    test_factors: dict[str, Tensor],
    *,
    samples: int = 2000,
    seed: int = 0,
) -> FactorScores:
    """R^2 of each factor from codes `(n, d)`, fitted on `samples` of them and judged on `(t, d)`.

    `factors` and `test_factors` map names to `(n,)` and `(t,)`; "r", "g" and "b" together add "brightness" and
    "hue". At most `samples` codes, drawn by `seed`, are used, a fifth of them to choose width and penalty. Raises
    ValueError for shapes that do not fit, codes that are not finite, or a factor that does not vary.
    """
    names = list(factors)
    targets, test_targets = _targets(codes, factors, "codes"), _targets(test_codes, test_factors, "test codes")
    if list(test_factors) != names or codes.shape[1] != test_codes.shape[1]:
        raise ValueError("training and test codes need the same width and the same factors.")
    for name, column in zip(names, test_targets.T, strict=True):
        if column.max() == column.min():
            raise ValueError(f"factor {name!r} does not vary on the test codes, so it has no R^2.")
    if min(samples, len(codes)) < 10:
        raise ValueError(f"at least 10 codes are needed to fit and choose, not {min(samples, len(codes))}.")
    rows = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))[:samples]
    linear, nonlinear = _predictions(codes, targets, test_codes, rows)
    scores = [_scores(names, predicted, test_targets) for predicted in (linear, nonlinear)]
    two_valued = [i for i, column in enumerate(test_targets.T) if len(column.unique()) == 2]
    accuracy = {
        names[i]: {
            regression: _right_side(predicted[:, i], test_targets[:, i])
            for regression, predicted in (("linear", linear), ("nonlinear", nonlinear))
        }
        for i in two_valued
    }
    return FactorScores(*scores, accuracy)


def r_squared(predicted: Tensor, actual: Tensor) -> float:
    """1 - (squared error) / (squared deviation from the mean), summed over `(n,)` or `(n, coordinates)`."""
    return 1 - float((predicted - actual).square().sum() / (actual - actual.mean(dim=0)).square().sum())


def _predictions(codes: Tensor, targets: Tensor, test_codes: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The linear and the nonlinear regression's test predictions `(t, f)`, fitted on the codes of `rows`."""
    mean, axes, _ = principal_coordinates(codes)
    if not axes.shape[1]:
        constant = targets[rows].mean(dim=0).expand(len(test_codes), -1)
        return constant, constant
    plain = (codes[rows].detach().cpu().double() - mean) @ axes
    test = (test_codes.detach().cpu().double() - mean) @ axes
    deviations = plain.std(dim=0).clamp_min(torch.finfo(torch.float64).tiny)
    white, white_test = plain / deviations, test / deviations
    linear = _fit([(_affine, white, white_test)], targets[rows])
    kernels = [
        (_gaussian(width * _median_distance(points)), points, other)
        for points, other in ((plain, test), (white, white_test))
        for width in WIDTHS
    ]
    return linear, _fit(kernels, targets[rows])


def _fit(kernels, targets: Tensor) -> Tensor:
    """Test predictions `(t, f)`: for each target those of the kernel and penalty of least held-out error."""
    fitted = len(targets) * 4 // 5
    mean = targets[:fitted].mean(dim=0)
    y, held_out = targets[:fitted] - mean, targets[fitted:]
    least = torch.full((targets.shape[1],), torch.inf, dtype=torch.float64)
    best = torch.empty(0)
    for kernel, points, test in kernels:
        base, between, beyond = (kernel(other, points[:fitted]) for other in (points[:fitted], points[fitted:], test))
        unit = base.diagonal().mean()
        for penalty in PENALTIES:
            ridge = penalty * fitted * unit * torch.eye(fitted, dtype=torch.float64)
            dual = torch.cholesky_solve(y, torch.linalg.cholesky(base + ridge))
            error = (between @ dual + mean - held_out).square().sum(dim=0)
            predicted = beyond @ dual + mean
            best = torch.where(error < least, predicted, best) if len(best) else predicted
            least = torch.minimum(least, error)
    return best


def _scores(names, predicted, actual) -> dict[str, float]:
    scores = {name: r_squared(predicted[:, i], actual[:, i]) for i, name in enumerate(names)}
    if set(COLOURS) <= set(names):
        columns = [names.index(colour) for colour in COLOURS]
        seen, true = predicted[:, columns], actual[:, columns]
        light, true_light = seen.mean(dim=1, keepdim=True), true.mean(dim=1, keepdim=True)
        scores["brightness"] = r_squared(light, true_light)
        scores["hue"] = r_squared(seen - light, true - true_light)
    return scores


def _right_side(predicted, actual) -> float:
    middle = (actual.max() + actual.min()) / 2
    return float(((predicted > middle) == (actual > middle)).double().mean())


def _targets(codes: Tensor, factors: dict[str, Tensor], name: str) -> Tensor:
    if not factors or any(values.shape != codes.shape[:1] for values in factors.values()):
        raise ValueError(f"every factor must have one value for each of the {len(codes)} {name}.")
    require_finite(name, codes)
    targets = torch.stack([values.detach().cpu().double() for values in factors.values()], dim=1)
    require_finite("factors", targets)
    return targets


def _affine(a: Tensor, b: Tensor) -> Tensor:
    return 1 + a @ b.T  # the one is the intercept


def _gaussian(width: float):
    return lambda a, b: torch.exp(-torch.cdist(a, b).square() / (2 * width**2))


def _median_distance(points: Tensor) -> float:
    few = points[:500]
    return float(torch.pdist(few).median()) or 1.0
