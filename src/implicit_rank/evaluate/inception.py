"""FID's network: pytorch-fid's Inception-v3 with its published weights, checked before they are loaded."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import torch

from implicit_rank.data import data_root
from implicit_rank.evaluate.image_distance import CLASSIFIER_DISTANCE, FID, FeatureNetwork
from implicit_rank.folders import expanded

WEIGHTS = "pt_inception-2015-12-05-6726825d.pth"
SHA256_PREFIX = "6726825d"


def inception_network(
    weights: Path | str | None = None, *, download: bool = False, device: torch.device | str = "cpu"
) -> FeatureNetwork:
    """Inception-v3's pool features `(b, 2048)` of RGB images `(b, 3, h, w)` in [0, 1], for FID.

    `weights` is pytorch-fid's file; None looks in the data root and in torch.hub's folder, where pytorch-fid itself
    keeps it. `download` allows to fetch it from pytorch-fid's address into the latter; a fetch that fails leaves
    nothing behind. Images are resized to 299 x 299 inside the network (bilinear, no antialiasing), as in pytorch-fid.
    Raises FileNotFoundError without the file, ConnectionError for a failed download, ValueError for other bytes.
    """
    import pytorch_fid.inception as published

    path = _find(weights)
    if path is None:
        path = _download(published.FID_WEIGHTS_URL) if download else _missing(weights)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(SHA256_PREFIX):
        raise ValueError(
            f"{path} does not hold FID's published weights: its sha256 starts with {digest[:8]}, not {SHA256_PREFIX}."
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    # pytorch-fid's constructor would fetch the file by itself, unchecked
    with patch.object(published, "load_state_dict_from_url", lambda *_, **__: state):
        network = published.InceptionV3([published.InceptionV3.BLOCK_INDEX_BY_DIM[2048]])
    network = network.eval().to(device)
    card = {
        "network": "Inception-v3 of pytorch-fid, pool features",
        "weights": f"sha256 {digest}",
        "resizing": "to 299 x 299 inside the network, bilinear without antialiasing",
        "pytorch-fid": version("pytorch-fid"),
    }
    return FeatureNetwork(FID, lambda images: network(images)[0].flatten(1), 3, card)


def weights_file() -> Path | None:
    """The file that `inception_network` reads without being given one, or None where there is none yet."""
    return _find(None)


def _find(weights: Path | str | None) -> Path | None:
    places = _places() if weights is None else [expanded(weights)]
    return next((place for place in places if place.is_file()), None)


def _places() -> list[Path]:
    return [data_root() / WEIGHTS, Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS]


def _missing(weights: Path | str | None) -> Path:
    where = f"{weights} is not there" if weights is not None else f"{WEIGHTS} is not in {_places()[0].parent}"
    raise FileNotFoundError(
        f"FID needs pytorch-fid's weights, but {where}: put the file there, name its path or allow the download; "
        f"the {CLASSIFIER_DISTANCE} works without it."
    )


def _download(address: str) -> Path:
    path = _places()[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # writes beside the target, compares the hash, then moves
        torch.hub.download_url_to_file(address, str(path), SHA256_PREFIX, progress=False)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"FID's weights could not be fetched from {address} ({error}): put the file {WEIGHTS} into "
            f"{_places()[0].parent}; the {CLASSIFIER_DISTANCE} works without it."
        ) from error
    return path
