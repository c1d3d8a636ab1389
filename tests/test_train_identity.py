"""A checkpoint knows what it is of: more epochs go on, to the bit, and any other change is refused by its name."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from implicit_rank.autoencoder import build
from implicit_rank.store import Checkpoints
from implicit_rank.train import Member, Settings, StableRank, TargetError, train
from implicit_rank.train.stages import train_two_stages

SHAPE = (1, 8, 8)
SETTINGS = Settings(batch=8, epochs=3, evaluate=10, log_every=2, log_steps=(4,), checkpoint_seconds=1e-9)
MEMBERS = [Member(lr=1e-3), Member(lr=2e-3, order_seed=1)]


def pictures(seed=0, n=20):
    return torch.randint(0, 256, (n, *SHAPE), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def models(seed=0, depths=(2, 0), width=4, **chain):
    def draw(i, depth):
        generator = torch.Generator().manual_seed(seed + i)
        return build("strided", SHAPE, width, depth=depth, channel_factor=1 / 16, generator=generator, **chain)

    return [draw(i, depth) for i, depth in enumerate(depths)]


def go(file, **change):
    given = {"models": models(), "members": MEMBERS, "images": pictures(), "settings": SETTINGS, "rules": []} | change
    chosen = [given.pop(name) for name in ("models", "members", "images", "settings")]
    return chosen[0], train(*chosen, **given, checkpoints=file and Checkpoints(file))


def assert_same(one, other):
    for ours, theirs in zip(one[0], other[0], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert (one[1].steps, one[1].status) == (other[1].steps, other[1].status)
    assert one[1].stopped_at.tolist() == other[1].stopped_at.tolist()
    for name, values in one[1].values.items():
        np.testing.assert_array_equal(values, other[1].values[name], name)


# ---- what goes on ----
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"epochs": 3}, {"epochs": 5}),  # the short one's last entry is none of the long one's
        ({"epochs": 2}, {"epochs": 5}),
        ({"steps": 5}, {"steps": 11}),  # ends within an epoch
        ({"epochs": 0}, {"epochs": 1}),
        ({"epochs": 3}, {"epochs": 3, "checkpoint_seconds": 60.0}),
    ],
)
def test_more_epochs_go_on_as_if_it_had_been_that_long(tmp_path, optimiser, short, long):
    short, long = (dataclasses.replace(SETTINGS, optimiser=optimiser, **length) for length in (short, long))
    straight = go(None, settings=long)
    go(tmp_path / "x.npz", settings=short)
    assert_same(go(tmp_path / "x.npz", settings=long), straight)


def test_models_that_were_trained_in_place_go_on_too(tmp_path):
    trained, _ = go(tmp_path / "x.npz")
    long = dataclasses.replace(SETTINGS, epochs=5)
    assert_same(go(tmp_path / "x.npz", models=trained, settings=long), go(None, settings=long))
    again = go(tmp_path / "x.npz", models=models(), settings=long)  # and a third time, from the start's models
    assert_same(again, go(None, settings=long))


def test_a_rule_that_fired_at_the_shorter_ones_end_only_does_not_stop_the_longer_one(tmp_path):
    _, history = go(None)
    errors = history.values["error"][:, -1]
    rules = [TargetError(float(errors.max()))]  # reached at the end, which is no entry of the longer training's log
    _, stopped = go(tmp_path / "x.npz", rules=rules)
    assert "reached the error" in stopped.status[int(errors.argmin())]
    long = dataclasses.replace(SETTINGS, epochs=6)
    assert_same(go(tmp_path / "x.npz", rules=rules, settings=long), go(None, rules=rules, settings=long))


def test_a_start_that_differs_in_its_last_digits_is_the_same_start(tmp_path):
    go(tmp_path / "x.npz")
    near = models()
    with torch.no_grad():
        for parameter in near[0].parameters():
            parameter.mul_(1 + 1e-6)
    assert_same(go(tmp_path / "x.npz", models=near), go(None))


# ---- what does not ----
CHANGES = {
    "lr": ({"members": [MEMBERS[0], Member(lr=3e-3, order_seed=1)]}, r"lr of member 1: 0.002 -> 0.003"),
    "order": ({"members": [MEMBERS[0], Member(lr=2e-3)]}, r"order_seed of member 1: 1 -> 0"),
    "batch": ({"settings": dataclasses.replace(SETTINGS, batch=4)}, r"batch: 8 -> 4"),
    "optimiser": ({"settings": dataclasses.replace(SETTINGS, optimiser="sgd")}, r"optimiser: adam -> sgd"),
    "log": ({"settings": dataclasses.replace(SETTINGS, log_steps=None)}, r"log_steps: \[4\] -> none"),
    "precision": ({"settings": dataclasses.replace(SETTINGS, precision="float64")}, r"precision: float32 -> float64"),
    "images": ({"images": pictures(1)}, r"images: 20 x 1 x 8 x 8, .* -> .*; evaluation: "),
    "count": ({"images": pictures()[:19]}, r"images: 20 x 1 x 8 x 8, .* -> 19 x 1 x 8 x 8"),
    "evaluation": ({"evaluation": pictures(1)}, r"evaluation: 10 x .* -> 10 x "),
    "rule": ({"rules": [StableRank(epochs=9)]}, r"rules: \[\] -> .*StableRank"),
    "models": ({"models": models()[:1], "members": MEMBERS[:1]}, r"number of models: 2 -> 1"),
    "depth": ({"models": models(depths=(3, 0))}, r"chain of model 0: .*depth=2.* -> .*depth=3"),
    "alpha": ({"models": models(alpha=10.0)}, r"chain of model 0: .*alpha=1,.* -> .*alpha=10,"),
    "activation": ({"models": models(activation="relu")}, r"activation of model 0: NoneType -> relu"),
    "width": ({"models": models(width=5)}, r"chain of model 0: .*width=4.* -> .*width=5"),
    "start": ({"models": models(7)}, r"other start weights; draw the models from the same seed"),
    "less": ({"settings": dataclasses.replace(SETTINGS, epochs=2)}, r"steps: 9 done -> 6 wanted"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_any_other_change_is_refused_by_its_name_and_nothing_is_lost(tmp_path, name):
    file, (change, sentence) = tmp_path / "x.npz", CHANGES[name]
    done = go(file)
    before = file.read_bytes()
    with pytest.raises(ValueError, match=rf"^the checkpoint .*x\.npz is of another training \(.*{sentence}") as refused:
        go(file, **change)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 700
    assert file.read_bytes() == before
    assert_same(go(file), done)


def test_every_setting_but_the_length_is_compared(tmp_path):
    go(tmp_path / "x.npz")
    other = {
        "optimiser": "rmsprop",
        "loss": "elbo",
        "precision": "bfloat16",
        "strategy": "vmap",
        "shuffle": False,
        "tf32": True,
        "graph": False,
        "log_steps": (2,),
        "threshold": 0.5,
        "error_limit": 9.0,
    }
    for field in dataclasses.fields(Settings):
        if field.name not in ("epochs", "steps", "checkpoint_seconds"):
            value = other.get(field.name, getattr(SETTINGS, field.name) + 1 if field.name not in other else None)
            with pytest.raises(ValueError, match=rf"\((.*; )?{field.name}: "):
                go(tmp_path / "x.npz", settings=dataclasses.replace(SETTINGS, **{field.name: value}))


def test_a_state_of_an_earlier_version_is_refused(tmp_path):
    go(tmp_path / "x.npz")
    arrays = Checkpoints(tmp_path / "x.npz").load()
    del arrays["identity"], arrays["start"]
    Checkpoints(tmp_path / "x.npz").save(arrays)
    with pytest.raises(ValueError, match="an earlier version of this package wrote it"):
        go(tmp_path / "x.npz")


def test_two_stages_go_on_and_know_their_start(tmp_path):
    rule, long = StableRank(epochs=1, tolerance=4), dataclasses.replace(SETTINGS, epochs=6, log_every=1)

    def both(folder, draw):
        place = None if folder is None else lambda stage: Checkpoints(folder / f"{stage}.npz")
        return train_two_stages(
            draw, MEMBERS, pictures(), dataclasses.replace(long, epochs=10), rule=rule, checkpoints=place
        )

    straight = both(None, models(depths=(2, 3)))
    for _ in range(2):  # made, then read
        done = both(tmp_path, models(depths=(2, 3)))
        assert_same((straight.models, straight.second), (done.models, done.second))
    with pytest.raises(ValueError, match=r"first\.npz is of another training \(other start weights"):
        both(tmp_path, models(3, depths=(2, 3)))


# ---- models that are one ----
def test_one_model_twice_is_refused():
    model = models()[0]
    with pytest.raises(ValueError, match=r"models 0 and 2 of an ensemble are the same or share weights"):
        train([model, models(1)[0], model], [Member()] * 3, pictures(), SETTINGS)
    twin = copy.deepcopy(model)
    twin.decoder = model.decoder
    with pytest.raises(ValueError, match=r"models 0 and 1 of an ensemble are the same or share weights"):
        train([model, twin], [Member()] * 2, pictures(), SETTINGS)


@pytest.mark.parametrize(
    ("device", "sentence"),
    [("mps", "not 'mps': .* float64, which Apple's GPUs lack"), ("mps:0", "not 'mps'"), ("tpu", "device must be")],
)
def test_a_device_that_cannot_train_is_one_sentence(device, sentence):
    for precision in ("float32", "float64"):
        with pytest.raises(ValueError, match=sentence):
            go(None, settings=dataclasses.replace(SETTINGS, precision=precision), device=device)


def test_an_array_is_no_tensor():
    with pytest.raises(ValueError, match=r"images must be a tensor \(torch.from_numpy makes one\), not ndarray"):
        go(None, images=pictures().numpy())
