"""What a trained autoencoder is worth: codes and ranks, probes, samplers, interpolation, factors, Fréchet distances."""

from implicit_rank.evaluate.classifier import SmallClassifier, mnist_classifier, train_classifier
from implicit_rank.evaluate.codes import CodeSpectra, code_spectra, collect_codes, reconstruction_error
from implicit_rank.evaluate.factors import FactorScores, factor_scores
from implicit_rank.evaluate.frechet import FeatureStatistics, feature_statistics, frechet_distance
from implicit_rank.evaluate.image_distance import (
    FeatureNetwork,
    ImageDistance,
    classifier_network,
    decoded,
    image_distance,
)
from implicit_rank.evaluate.inception import inception_network
from implicit_rank.evaluate.interpolation import Grid, interpolate, principal_grid
from implicit_rank.evaluate.principal import principal_errors
from implicit_rank.evaluate.probes import train_probes
from implicit_rank.evaluate.protocols import CLEAN, JING, SUN, Probe, ProbeErrors, Protocol, plan_probes
from implicit_rank.evaluate.samplers import Mixture, fit_gaussian, fit_mixture
from implicit_rank.evaluate.subsets import balanced_subset, first_subset
from implicit_rank.evaluate.supervised import SupervisedErrors, error_rate, head_module, train_supervised

__all__ = [
    "CLEAN",
    "JING",
    "SUN",
    "CodeSpectra",
    "FactorScores",
    "FeatureNetwork",
    "FeatureStatistics",
    "Grid",
    "ImageDistance",
    "Mixture",
    "Probe",
    "ProbeErrors",
    "Protocol",
    "SmallClassifier",
    "SupervisedErrors",
    "balanced_subset",
    "classifier_network",
    "code_spectra",
    "collect_codes",
    "decoded",
    "error_rate",
    "factor_scores",
    "feature_statistics",
    "first_subset",
    "fit_gaussian",
    "fit_mixture",
    "frechet_distance",
    "head_module",
    "image_distance",
    "inception_network",
    "interpolate",
    "mnist_classifier",
    "plan_probes",
    "principal_errors",
    "principal_grid",
    "reconstruction_error",
    "train_classifier",
    "train_probes",
    "train_supervised",
]
