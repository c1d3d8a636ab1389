"""Data that needs no download, and the archives that do: images, samples and exact second moments."""

from implicit_rank.data.archives import data_root, mnist_images, mnist_labels
from implicit_rank.data.folder import FolderImages, folder_images
from implicit_rank.data.moments import SecondMoments, decompose, moments_of, rescaled
from implicit_rank.data.sources import NAMES, samples, second_moments
from implicit_rank.data.synthetic import synthetic_official, synthetic_paper, synthetic_samples

__all__ = [
    "NAMES",
    "FolderImages",
    "SecondMoments",
    "data_root",
    "decompose",
    "folder_images",
    "mnist_images",
    "mnist_labels",
    "moments_of",
    "rescaled",
    "samples",
    "second_moments",
    "synthetic_official",
    "synthetic_paper",
    "synthetic_samples",
]
