"""NumPy's arrays where judging functions take tensors: one sentence, not an attribute that is missing."""

import numpy as np
import pytest
import torch

from implicit_rank.data.images import Images
from implicit_rank.evaluate.codes import code_spectra, collect_codes
from implicit_rank.evaluate.frechet import feature_statistics
from implicit_rank.evaluate.interpolation import interpolate, principal_grid
from implicit_rank.evaluate.probes import code_deviation
from implicit_rank.evaluate.samplers import fit_gaussian, fit_mixture
from implicit_rank.evaluate.subsets import balanced_subset, first_subset

CODES = np.random.default_rng(0).normal(size=(30, 4))
PICTURES = np.zeros((3, 1, 4, 4), np.uint8)
CALLS = {
    "code_spectra": ("codes", lambda take: code_spectra(take(CODES))),
    "fit_gaussian": ("codes", lambda take: fit_gaussian(take(CODES))),
    "fit_mixture": ("codes", lambda take: fit_mixture(take(CODES), 2)),
    "principal_grid": ("codes", lambda take: principal_grid(take(CODES))),
    "interpolate": ("start", lambda take: interpolate(take(CODES[0]), take(CODES[1]))),
    "code_deviation": ("codes", lambda take: code_deviation(take(CODES[None]))),
    "feature_statistics": ("features", lambda take: feature_statistics(take(CODES))),
    "first_subset": ("labels", lambda take: first_subset(take(np.arange(6)), 2)),
    "balanced_subset": ("labels", lambda take: balanced_subset(take(np.arange(6)), 6, torch.Generator())),
    "collect_codes": ("images", lambda take: collect_codes(lambda x: (x.flatten(1), x.flatten(1)), take(PICTURES))),
    "Images": ("images", lambda take: Images("mine", "train", take(PICTURES))),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_array_is_refused_by_its_name_and_the_tensor_of_it_is_taken(name):
    what, call = CALLS[name]
    with pytest.raises(ValueError, match=rf"^{what} must be a (uint8 )?tensor \(torch.from_numpy makes one\)"):
        call(lambda array: array)
    call(torch.from_numpy)
