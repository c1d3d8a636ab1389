"""Data that needs no download, and the archives that do: images, samples and exact second moments."""

from implicit_rank.data.archives import data_root, mnist_images, mnist_labels
from implicit_rank.data.folder import FolderImages, folder_images
from implicit_rank.data.images import Images
from implicit_rank.data.load import IMAGE_NAMES, load
from implicit_rank.data.moments import SecondMoments, decompose, moments_of, rescaled
from implicit_rank.data.shapes import ShapeRules, shapes
from implicit_rank.data.sources import NAMES, samples, second_moments
from implicit_rank.data.synthetic import synthetic_official, synthetic_paper, synthetic_samples

__all__ = [
    "IMAGE_NAMES",
    "NAMES",
    "FolderImages",
    "Images",
    "SecondMoments",
    "ShapeRules",
    "data_root",
    "decompose",
    "folder_images",
    "load",
    "mnist_images",
    "mnist_labels",
    "moments_of",
    "rescaled",
    "samples",
    "second_moments",
    "shapes",
    "synthetic_official",
    "synthetic_paper",
    "synthetic_samples",
]
