"""A chain's state knows what its weights mean; starts, collapse and groups in every precision and kind of number."""

import copy
import functools
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from implicit_rank.autoencoder import build
from implicit_rank.chain import LinearChain, initial_map
from implicit_rank.data import load
from implicit_rank.train import Member, Settings

F64 = torch.float64


def chain(seed=0, **options):
    given = {"depth": 4, "init": "orthogonal", "alpha": 2.0, "scale": 0.5, "dtype": F64} | options
    return LinearChain(6, given.pop("depth"), generator=torch.Generator().manual_seed(seed), **given)


# ---- the state ----
CHANGES = {
    "alpha": ({"alpha": 10.0}, "alpha 2.0, and this one has alpha 10.0"),
    "scale": ({"scale": 1.0}, "scale 0.5, and this one has scale 1.0"),
    "sharing": ({"depth": 8, "sharing": "pairs"}, "depth 4, sharing None, and this one has depth 8, sharing 'pairs'"),
    "inner": ({"inner": 3}, "inner None, and this one has inner 3"),
    "activation": ({"activation": torch.relu}, "activation None, and this one has activation 'relu'"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_weights_are_not_read_where_they_mean_something_else(name):
    change, sentence = CHANGES[name]
    state, other = chain().state_dict(), chain(1, **change)
    before = copy.deepcopy(other)
    for strict in (True, False):
        with pytest.raises(ValueError, match=f"the state is of a LinearChain with {sentence}") as refused:
            other.load_state_dict(state, strict=strict)
        with pytest.raises(ValueError, match=f"the state is of a LinearChain with {sentence}"):
            nn.Sequential(other).load_state_dict({f"0.{key}": value for key, value in state.items()}, strict=strict)
    assert "\n" not in str(refused.value)
    assert all(torch.equal(a, b) for a, b in zip(before.weights, other.weights, strict=True))


@pytest.mark.parametrize("options", [{}, {"sharing": "transpose"}, {"inner": 2}, {"activation": nn.PReLU(dtype=F64)}])
def test_the_state_survives_files_casts_and_copies(options):
    module, codes = chain(**options), torch.randn(3, 6, dtype=F64)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    read = torch.load(file, weights_only=True)
    assert all(type(value) is torch.Tensor and value.is_contiguous() for value in read.values())  # as safetensors asks
    other = chain(1, **copy.deepcopy(options))
    other.load_state_dict(read)
    assert torch.equal(other(codes), module(codes))
    for cast in (torch.float16, torch.bfloat16):  # bytes of text are whole in every precision
        other.load_state_dict({name: value.to(cast) for name, value in read.items()})
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(twin(codes), module(codes))
        assert torch.equal(twin.get_extra_state(), module.get_extra_state())
        module.load_state_dict(twin.state_dict())


def test_three_spellings_of_one_activation_are_one():
    state = chain(activation=torch.relu).state_dict()
    for same in (nn.functional.relu, nn.ReLU()):
        chain(activation=same).load_state_dict(state)
    with pytest.raises(ValueError, match="activation 'relu', and this one has activation 'tanh'"):
        chain(activation=nn.Tanh()).load_state_dict(state)
    chain(activation=functools.partial(nn.functional.leaky_relu, negative_slope=0.1))  # a nameless one has a state too


def test_a_state_without_its_meaning_is_missing_a_key():
    module, old = chain(1), {name: value for name, value in chain().state_dict().items() if name != "_extra_state"}
    with pytest.raises(RuntimeError, match=r'Missing key.*"_extra_state"'):
        module.load_state_dict(old)
    assert module.load_state_dict(old, strict=False).missing_keys == ["_extra_state"]
    assert torch.equal(module.effective_matrix(), chain().effective_matrix())


@pytest.mark.parametrize("bad", [torch.zeros(3), torch.tensor([91, 93]), "text", None, torch.tensor([123, 125])])
def test_a_foreign_state_is_one_sentence(bad):
    with pytest.raises(ValueError, match="the state is not that of a LinearChain"):
        chain().set_extra_state(bad)


def test_the_state_is_no_buffer_and_is_not_stacked():
    module = chain()
    assert list(module.buffers()) == []
    parameters, buffers = torch.func.stack_module_state([module, chain(1, alpha=3.0)])
    assert (set(parameters), buffers) == ({f"weights.{i}" for i in range(4)}, {})
    codes = torch.randn(3, 6, dtype=F64)
    assert torch.equal(torch.func.functional_call(module, module.state_dict(), (codes,)), module(codes))


# ---- precision ----
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(6, 6), (3, 6)])
def test_an_orthogonal_start_in_16_bits_is_the_rounded_one(dtype, shape):
    draw = [initial_map(*shape, "orthogonal", torch.Generator().manual_seed(3), d) for d in (dtype, torch.float32)]
    assert torch.equal(draw[0], draw[1].to(dtype))
    assert LinearChain(6, 2, "orthogonal", dtype=dtype).weights[0].dtype == dtype


def test_a_collapse_under_autocast_is_exact():
    module = chain(dtype=torch.float32)
    model = build("strided", (1, 8, 8), 4, depth=3, channel_factor=1 / 16)
    expected = module.collapse().weight, model.collapsed().chain.weights[0]
    with torch.autocast("cpu", torch.bfloat16):
        found = module.collapse().weight, model.collapsed().chain.weights[0]
        assert module.effective_matrix().dtype == torch.bfloat16  # what the guard is against
    for one, other in zip(expected, found, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


# ---- optimiser groups ----
@pytest.mark.parametrize("lr", ["1e-3", True, None, [1e-3], np.array([1e-3])])
def test_a_rate_that_is_no_number_is_refused(lr):
    with pytest.raises(ValueError, match="lr must be a positive finite number"):
        chain().parameter_groups(lr)


def test_an_activations_own_parameters_belong_to_a_group():
    module = chain(activation=nn.PReLU(dtype=F64))
    groups = module.parameter_groups(0.4)
    assert [group["lr"] for group in groups] == [0.1, 0.4]
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in module.parameters()}
    assert len(chain(activation=nn.Tanh()).parameter_groups(0.4)) == 1
    (own,) = chain(activation=nn.PReLU(dtype=F64), frozen=True).parameter_groups(0.4)
    assert own["lr"] == 0.4


# ---- kinds of numbers ----
def test_numpys_numbers_are_numbers():
    given = {"scale": np.float32(0.5), "alpha": np.int64(2), "frozen": np.bool_(False), "inner": np.uint8(3)}
    numpy = LinearChain(np.int64(6), np.int32(4), generator=torch.Generator().manual_seed(0), **given)
    python = LinearChain(6, 4, scale=0.5, alpha=2.0, inner=3, generator=torch.Generator().manual_seed(0))
    assert repr(numpy) == repr(python)
    assert torch.equal(numpy.effective_matrix(), python.effective_matrix())
    python.load_state_dict(numpy.state_dict())
    assert LinearChain.from_matrix(torch.eye(3), np.int64(2), np.float64(2.0)).inner == 2
    assert numpy.parameter_groups(np.float32(0.5))[0]["lr"] == 0.125
    shape = tuple(np.array((1, 8, 8)))
    model = build("strided", shape, np.int64(4), depth=np.int64(2), channel_factor=np.float64(0.25))
    assert model.chain.depth == 2
    images = load("shapes", size=np.int64(16), count=np.int32(3), seed=np.int64(1))
    assert torch.equal(images.images, load("shapes", size=16, count=3, seed=1).images)
    assert load("digits", count=np.int64(5)).n == 5
    settings = Settings(epochs=np.int64(3), batch=np.float64(8), log_steps=np.array([2, 3]), threshold=np.float32(0.5))
    assert settings == Settings(epochs=3, batch=8, log_steps=(2, 3), threshold=0.5)
    assert Member(lr=np.float64(0.5), divide_lr=np.bool_(True)) == Member(lr=0.5, divide_lr=True)
    assert all(type(value) in (int, float, bool, str, tuple, type(None)) for value in vars(settings).values())


@pytest.mark.parametrize("frozen", ["no", 1, 0, None, np.array([True])])
def test_a_word_is_no_truth_value(frozen):
    for make in (chain, functools.partial(build, "strided", (1, 8, 8), 4, depth=2)):
        with pytest.raises(ValueError, match="frozen must be True or False, not "):
            make(frozen=frozen)


@pytest.mark.parametrize("value", [np.bool_(True), np.float64(2.0), np.array([2]), "2", 2.0, torch.tensor(True)])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ValueError, match="depth must be an integer of at least 1, not"):
        LinearChain(3, value)


def test_an_array_is_no_matrix():
    with pytest.raises(ValueError, match=r"matrix must be a tensor \(torch.from_numpy makes one\), not ndarray"):
        LinearChain.from_matrix(np.eye(3), 2)
