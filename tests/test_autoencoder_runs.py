"""Autoencoders as an experiment: results that say what they are, and bits that survive kill -9."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from implicit_rank.experiments.ablations import experiment as ablations
from implicit_rank.experiments.kit import autoencoder_run, autoencoder_training
from implicit_rank.experiments.kit.autoencoder_run import (
    ensembles,
    estimate,
    run_autoencoders,
    run_ensemble,
    size,
    split,
)
from implicit_rank.experiments.kit.autoencoder_spec import AutoencoderSpec
from implicit_rank.experiments.kit.autoencoder_training import STAGES, model_of, stage_file
from implicit_rank.spectra import numerical_rank


@dataclass(frozen=True)
class Small(AutoencoderSpec):
    """A quarter of a second of training on scikit-learn's digits."""

    experiment: ClassVar[str] = "small_autoencoders"


BASE = Small(
    profile="smoke",
    data="digits",
    size=16,
    count=200,
    architecture="strided",
    channel_factor=1 / 16,
    code_width=8,
    depth=3,
    epochs=3,
    lr=1e-2,
    evaluate=50,
)


@pytest.fixture(autouse=True)
def own_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_RANK_CHECKPOINTS", str(tmp_path / "checkpoints"))
    autoencoder_training._data.cache_clear()


def test_a_result_says_what_it_is():
    told = []
    specs = [replace(BASE, depth=depth, seed=seed) for depth in (3, 0) for seed in (0, 1)]
    results = run_autoencoders(specs, progress=lambda share, text: told.append((share, text)))
    assert [result.spec for result in results] == specs
    with_chain, without = results[0], results[2]
    for result in results:
        assert result.scalars["status"] == "finished"
        assert result.scalars["diverged"] is False
        assert result.scalars["epochs_done"] == 3
        assert result.arrays["epochs"].tolist() == [0, 1, 2, 3]
        assert result.arrays["error"][-1] < 0.7 * result.arrays["error"][0]
        assert result.scalars["error"] == pytest.approx(result.arrays["error"][-1], rel=1e-6)
        spectrum = torch.from_numpy(result.arrays["spectrum_codes"])
        assert result.scalars["rank_covariance"] == numerical_rank(spectrum)
        assert len(result.scalars["images_digest"]) == 16
        assert result.seconds > 0
    assert with_chain.arrays["singular_effective"].shape == (8,)
    assert "singular_effective" not in without.arrays
    assert np.isnan(without.scalars["rank_effective"])
    assert with_chain.scalars["parameters"] == without.scalars["parameters"] + 3 * 64
    assert results[0].scalars["error"] != results[1].scalars["error"]  # seeds differ


def test_models_of_one_seed_share_the_start_of_encoder_and_decoder():
    models = [model_of(replace(BASE, depth=depth), (1, 16, 16)) for depth in (0, 3)]
    for part in ("encoder", "decoder"):
        pairs = zip(getattr(models[0], part).parameters(), getattr(models[1], part).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    other = model_of(replace(BASE, seed=1), (1, 16, 16))
    assert not torch.equal(models[0].encoder[0].weight, other.encoder[0].weight)


def test_a_family_measures_what_it_likes_of_healthy_members():
    seen = []

    def evaluate(trained):
        seen.append(trained.spec)
        with torch.no_grad():
            codes = trained.model.encode(trained.test.images[:5].float() / 255)[1]
        return {"own": float(codes.square().mean())}, {"codes": codes.numpy()}

    specs = [BASE, replace(BASE, lr=300.0)]
    good, bad = run_autoencoders(specs, evaluate)
    assert seen == [BASE]
    assert good.arrays["codes"].shape == (5, 8)
    assert good.scalars["own"] > 0
    assert bad.scalars["diverged"] is True
    assert bad.note.startswith("diverged")
    assert "own" not in bad.scalars


@pytest.mark.parametrize(
    "change",
    [
        {"frozen": "start"},
        {"frozen": "trained"},
        {"sharing": "transpose"},
        {"activation": "relu"},
        {"inner": 3, "depth": 2},
        {"kind": "vae", "depth": 0, "loss": "elbo"},
        {"l1": 1e-3},
        {"precision": "float64"},
        {"log_per_epoch": 4},
    ],
)
def test_every_field_reaches_the_training(change):
    plain, changed = run_autoencoders([BASE, replace(BASE, **change)])
    assert changed.scalars["status"] == "finished"
    if "log_per_epoch" in change:
        assert len(changed.arrays["epochs"]) == 13
    else:
        assert changed.scalars["error"] != plain.scalars["error"]
    if change.get("frozen") == "start":
        start = model_of(BASE, (1, 16, 16)).effective_matrix().detach()
        np.testing.assert_allclose(changed.arrays["singular_effective"], np.linalg.svd(start)[1], rtol=1e-5)
    if change.get("frozen") == "trained":
        np.testing.assert_array_equal(changed.arrays["singular_effective"], plain.arrays["singular_effective"])
    if "inner" in change:
        assert changed.scalars["rank_effective"] <= 3


def test_a_target_error_ends_a_member():
    (free,) = run_autoencoders([replace(BASE, epochs=6)])
    target = float(free.arrays["error"][3])
    (stopped,) = run_autoencoders([replace(BASE, epochs=6, target=target + 1e-9)])
    assert stopped.scalars["status"].startswith("reached the error")
    assert stopped.scalars["epochs_done"] == int(np.argmax(free.arrays["error"] <= target + 1e-9))


def test_two_stages_are_one_field():
    spec = replace(BASE, two_stages=True, settle_epochs=1, settle_tolerance=8, epochs=4)
    (result,) = run_autoencoders([spec])
    assert result.scalars["settled_epoch"] == 1
    assert result.arrays["epochs"].tolist() == [0, 1, 1, 2, 3, 4]
    assert result.scalars["settled_rank"] >= result.scalars["rank_effective"]
    assert abs(result.scalars["error_after_switch"] / result.scalars["error_before_switch"] - 1) < 1e-3


def test_checkpoints_go_with_quick_results_and_stay_with_paper_ones():
    run_autoencoders([BASE])
    assert not any(stage_file([BASE], stage).path.exists() for stage in STAGES)
    paper = replace(BASE, profile="paper")
    (first,) = run_autoencoders([paper])
    assert stage_file([paper], "first").path.is_file()
    trained = []
    (again,) = run_autoencoders([paper], lambda t: (trained.append(1) or {"new": 1.0}, {}))
    assert again.scalars["new"] == 1.0
    for name, value in first.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], value)


SCRIPT = """
import sys, json
from dataclasses import replace
sys.path.insert(0, {folder!r})
from test_autoencoder_runs import BASE
from implicit_rank.experiments.kit import autoencoder_training as training
from implicit_rank.experiments.kit import autoencoder_run
from implicit_rank.store import Checkpoints
import itertools, os, signal
import numpy as np
if {last}:
    own, save, counter = training.settings_of, Checkpoints.save, itertools.count(1)
    training.settings_of = lambda spec: replace(own(spec), checkpoint_seconds=1e-9)
    def save_and_die(self, arrays):
        save(self, arrays)
        if next(counter) == {last}:
            os.kill(os.getpid(), signal.SIGKILL)
    Checkpoints.save = save_and_die
(result,) = autoencoder_run.run_autoencoders([replace(BASE, epochs=60)])
np.savez({out!r}, **result.arrays)
"""


def test_killed_and_resumed_runs_have_the_same_bits(tmp_path):
    def start(name, checkpoints, last=0):
        code = SCRIPT.format(folder=str(Path(__file__).parent), out=str(tmp_path / name), last=last)
        environment = os.environ | {"IMPLICIT_RANK_CHECKPOINTS": str(tmp_path / checkpoints), "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, "-c", code], env=environment, timeout=600).returncode

    assert start("whole.npz", "a") == 0
    assert start("never.npz", "b", last=45) == -signal.SIGKILL
    assert not (tmp_path / "never.npz").exists()
    (left,) = (tmp_path / "b").rglob("*.npz")
    assert np.load(left)["position"][0] == 45  # in the middle of the seventh of 60 epochs
    assert start("resumed.npz", "b") == 0
    whole, resumed = np.load(tmp_path / "whole.npz"), np.load(tmp_path / "resumed.npz")
    assert set(whole.files) == set(resumed.files)
    for name in whole.files:
        np.testing.assert_array_equal(whole[name], resumed[name])


def test_ensembles_are_split_by_memory_and_by_what_must_be_shared():
    specs = [replace(BASE, seed=seed, lr=lr) for lr in (1e-2, 1e-3) for seed in range(3)] + [replace(BASE, batch=16)]
    assert [len(part) for part in ensembles(specs, "cpu")] == [1] * 7
    assert ensembles(specs[::-1], "cuda", memory=10**12) == [specs[6:], specs[5::-1]]
    for changed, together in (({"size": 8}, False), ({"epochs": 9}, False), ({"depth": 0}, True), ({"seed": 7}, True)):
        assert (len(ensembles([BASE, replace(BASE, **changed)], "cuda", memory=10**12)) == 1) is together
    needed = size([BASE])["bytes per member"]
    parts = split(specs[:6], memory=2 * 3 * needed)
    assert 1 < len(parts) < 6
    assert [spec for part in parts for spec in part] == specs[:6]
    assert size(specs)["parameters"] == sum(p.numel() for p in model_of(BASE, (1, 16, 16)).parameters())
    assert size(specs)["images"] == 200


def test_members_in_the_groups_of_the_ablations_equal_themselves_alone():
    """A member that is trained twice must not give its neighbours a second training."""
    specs = [replace(BASE, seed=seed, frozen=frozen) for seed in (0, 1) for frozen in ("no", "trained")]
    parts = ablations.batches(specs, memory=10**12, device="cuda")
    assert [len(part) for part in parts] == [2, 2]
    grouped = {r.spec: r for part in parts for r in run_ensemble(part, None, "cpu", lambda share, text: None)}
    for alone in run_autoencoders(specs):
        together = grouped[alone.spec]
        assert together.scalars["error"] == alone.scalars["error"]
        for name in ("error", "singular_effective", "spectrum_codes"):
            np.testing.assert_array_equal(together.arrays[name], alone.arrays[name])


def test_too_little_memory_is_one_sentence():
    with pytest.raises(ValueError, match="not even one member"):
        split([BASE, replace(BASE, seed=1)], memory=10)


def test_the_time_a_plan_takes_is_estimated_from_a_few_steps(monkeypatch):
    clock, seen = [0.0], []

    def timed(models, members, images, settings, **options):
        seen.append(len(images))
        clock[0] += 0.01 * len(images) + (100.0 if len(seen) == 1 else 0.0)  # the first step is slow and does not count
        return train(models, members, images, settings, **options)

    train = autoencoder_run.train
    monkeypatch.setattr(autoencoder_run, "train", timed)
    monkeypatch.setattr(autoencoder_run, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    assert estimate([replace(BASE, epochs=2)]) == pytest.approx(2 * 200 * 0.01)
    assert seen == [BASE.batch, 6 * BASE.batch]
    assert estimate([replace(BASE, epochs=2, seed=seed) for seed in range(10)]) == pytest.approx(10 * 2 * 200 * 0.01)
