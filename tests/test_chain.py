"""LinearChain: what its start, sharing, alpha, freezing and collapse promise, and what it refuses."""

import copy
import inspect
import io

import pytest
import torch
from torch import nn

import implicit_rank
from implicit_rank.chain import INITS, LinearChain, initial_layer, initial_map
from implicit_rank.theory.effective import layer_gradients

F64 = torch.float64


def chain(width=6, depth=3, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return LinearChain(width, depth, generator=generator, **{"dtype": F64, **options})


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_the_promised_name_and_signature():
    assert implicit_rank.LinearChain is LinearChain
    parameters = list(inspect.signature(LinearChain).parameters.values())
    promised = [(p.name, p.default) for p in parameters if p.kind is not p.KEYWORD_ONLY]
    empty = inspect.Parameter.empty
    assert promised == [
        ("width", empty),
        ("depth", empty),
        ("init", "default"),
        ("scale", 1.0),
        ("alpha", 1.0),
        ("sharing", None),
        ("activation", None),
        ("frozen", False),
        ("generator", None),
    ]


# ---- the start ----
@pytest.mark.parametrize("sharing", [None, "all", "transpose"])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("depth", [1, 2, 5, 16])
def test_scale_is_that_of_the_whole_product(depth, alpha, sharing):
    W_e = chain(depth=depth, init="orthogonal", scale=0.001, alpha=alpha, sharing=sharing).effective_matrix()
    torch.testing.assert_close(torch.linalg.svdvals(W_e), torch.full((6,), 0.001, dtype=F64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("init", ["default", "he", "orthogonal"])
@pytest.mark.parametrize("depth", [1, 4])
def test_alpha_moves_the_parameters_and_not_the_start(init, depth):
    plain, scaled = chain(depth=depth, init=init), chain(depth=depth, init=init, alpha=3.0)
    torch.testing.assert_close(scaled.effective_matrix(), plain.effective_matrix(), rtol=1e-12, atol=1e-15)
    for a, b in zip(plain.weights, scaled.weights, strict=True):
        torch.testing.assert_close(3.0 * b, a, rtol=1e-13, atol=0)


@pytest.mark.parametrize("init", ["default", "he"])
def test_scale_multiplies_the_product_of_the_other_starts(init):
    expected = 0.02 * chain(depth=4, init=init).effective_matrix()
    torch.testing.assert_close(chain(depth=4, init=init, scale=0.02).effective_matrix(), expected, rtol=1e-12, atol=0)


def test_the_default_start_is_that_of_nn_linear():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = nn.Linear(7, 7, bias=False).weight.detach()
    assert torch.equal(initial_layer(7, "default", torch.Generator().manual_seed(3)), expected)


def test_he_and_orthogonal_starts_are_what_they_are_called():
    he = initial_layer(300, "he", torch.Generator().manual_seed(0), F64)
    assert he.std().item() == pytest.approx((2 / 300) ** 0.5, rel=0.01)
    assert he.abs().max() > 0.3  # normal, not uniform with that variance, which ends at 0.141
    Q = initial_layer(40, "orthogonal", torch.Generator().manual_seed(0), F64)
    torch.testing.assert_close(Q @ Q.T, torch.eye(40, dtype=F64), rtol=0, atol=1e-12)


def test_one_generator_one_start_and_the_global_one_is_left_alone():
    before = torch.random.get_rng_state()
    first, again, other = chain(seed=5), chain(seed=5), chain(seed=6)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.effective_matrix(), again.effective_matrix())
    assert not torch.allclose(first.effective_matrix(), other.effective_matrix())
    assert not torch.allclose(first.weights[0], first.weights[1])  # independent layers


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_dtype(dtype):
    module = chain(dtype=dtype)
    codes = torch.ones(2, 6, dtype=dtype)
    assert {p.dtype for p in module.parameters()} == {dtype}
    assert module(codes).dtype == module.effective_matrix().dtype == module.collapse().weight.dtype == dtype
    assert LinearChain(2, 2).weights[0].dtype == torch.get_default_dtype()


# ---- what it computes ----
@pytest.mark.parametrize("sharing", [None, "all", "transpose"])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_forward_is_the_effective_matrix_is_the_collapse(depth, sharing):
    for seed in range(3):
        module, codes = chain(depth=depth, alpha=1.7, sharing=sharing, seed=seed), normal(4, 3, 6, seed=seed)
        one = module.collapse()
        assert isinstance(one, nn.Linear)
        assert one.bias is None
        torch.testing.assert_close(module(codes), one(codes), rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(module(codes), codes @ module.effective_matrix().T, rtol=1e-10, atol=1e-13)


def test_layers_act_in_the_order_of_the_paper():
    module, codes = chain(depth=3, alpha=1.3), normal(6)
    W1, W2, W3 = (1.3 * w for w in module.weights)
    torch.testing.assert_close(module.effective_matrix(), W3 @ W2 @ W1, rtol=1e-12, atol=0)
    torch.testing.assert_close(module(codes), W3 @ (W2 @ (W1 @ codes)), rtol=1e-12, atol=1e-15)
    assert not torch.allclose(W3 @ W2 @ W1, W1 @ W2 @ W3, rtol=0.1)


def test_the_collapse_is_a_copy_and_draws_nothing():
    module, before = chain(), torch.random.get_rng_state()
    one = module.collapse()
    assert torch.equal(torch.random.get_rng_state(), before)
    kept = one.weight.detach().clone()
    with torch.no_grad():
        module.weights[0].mul_(2)
    assert torch.equal(one.weight, kept)


@pytest.mark.parametrize("alpha", [1.0, 2.5])
@pytest.mark.parametrize("depth", [1, 3])
def test_effective_matrix_is_differentiable(depth, alpha):
    module, G = chain(depth=depth, alpha=alpha), normal(6, 6, seed=9)
    (module.effective_matrix() * G).sum().backward()
    expected = layer_gradients([layer.detach() for layer in module.layers()], G)
    for weight, gradient in zip(module.weights, expected, strict=True):
        torch.testing.assert_close(weight.grad, alpha * gradient, rtol=1e-11, atol=1e-14)


def test_activation_sits_between_the_maps_and_forbids_the_collapse():
    module, codes = chain(depth=3, activation=torch.tanh), normal(5, 6)
    W1, W2, W3 = module.weights
    expected = torch.tanh(torch.tanh(codes @ W1.T) @ W2.T) @ W3.T
    torch.testing.assert_close(module(codes), expected, rtol=1e-12, atol=1e-15)
    for refused in (module.effective_matrix, module.collapse):
        with pytest.raises(ValueError, match="no effective matrix"):
            refused()


def test_a_module_will_do_as_activation():
    assert chain(activation=nn.ReLU())(normal(2, 6)).shape == (2, 6)


# ---- sharing ----
def test_all_layers_share_one_matrix_and_its_gradient():
    module, codes = chain(depth=4, sharing="all"), normal(5, 6)
    assert len(list(module.parameters())) == 1
    module(codes).square().sum().backward()
    copies = [module.weights[0].detach().clone().requires_grad_() for _ in range(4)]
    out = codes
    for copy_ in copies:
        out = out @ copy_.T
    out.square().sum().backward()
    torch.testing.assert_close(module.weights[0].grad, sum(c.grad for c in copies), rtol=1e-10, atol=1e-13)


def test_transposes_take_turns_and_share_the_gradient():
    module, codes = chain(depth=3, sharing="transpose"), normal(5, 6)
    (W,) = module.weights
    first, second, third = module.layers()
    assert torch.equal(first, W)
    assert torch.equal(second, W.T)
    assert torch.equal(third, W)
    torch.testing.assert_close(module.effective_matrix(), W @ W.T @ W, rtol=1e-12, atol=0)
    module(codes).square().sum().backward()
    single = W.detach().clone().requires_grad_()
    (codes @ (single @ single.T @ single).T).square().sum().backward()
    torch.testing.assert_close(W.grad, single.grad, rtol=1e-10, atol=1e-13)


def test_no_sharing_means_as_many_matrices_as_layers():
    assert len(list(chain(depth=5).parameters())) == 5


# ---- training it ----
@pytest.mark.parametrize("sharing", [None, "all"])
def test_parameter_groups_divide_the_rate_by_the_depth(sharing):
    module = chain(depth=5, sharing=sharing)
    (group,) = module.parameter_groups(0.3)
    assert group["lr"] == pytest.approx(0.06)
    assert [id(p) for p in group["params"]] == [id(p) for p in module.parameters()]
    before = [w.detach().clone() for w in module.weights]
    rule = torch.optim.SGD([{"params": [torch.zeros(1, requires_grad=True)]}, *module.parameter_groups(0.3)], lr=9.0)
    module(normal(2, 6)).sum().backward()
    rule.step()
    for weight, old in zip(module.weights, before, strict=True):
        torch.testing.assert_close(weight.detach(), old - 0.06 * weight.grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("lr", [0, -1.0, float("nan"), float("inf")])
def test_parameter_groups_refuse_a_bad_rate(lr):
    with pytest.raises(ValueError, match="lr must be a positive finite number"):
        chain().parameter_groups(lr)


def test_a_frozen_chain_stays_and_lets_gradients_through():
    module, codes = chain(frozen=True), normal(5, 6).requires_grad_()
    assert module.parameter_groups(0.1) == []
    assert not any(p.requires_grad for p in module.parameters())
    assert set(module.state_dict()) == {"weights.0", "weights.1", "weights.2", "_extra_state"}
    assert torch.equal(module.effective_matrix(), chain().effective_matrix())  # frozen at the same start
    module(codes).sum().backward()
    torch.testing.assert_close(codes.grad, module.effective_matrix().sum(0).expand(5, 6), rtol=1e-10, atol=1e-13)
    assert all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize("sharing", [None, "all", "transpose"])
def test_state_dict_round_trip(sharing):
    module, other = (chain(depth=4, alpha=2.0, sharing=sharing, seed=seed) for seed in (0, 1))
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    assert not torch.allclose(other.effective_matrix(), module.effective_matrix())
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other.effective_matrix(), module.effective_matrix())
    assert torch.equal(copy.deepcopy(module).effective_matrix(), module.effective_matrix())


def test_drop_in_between_encoder_and_decoder():
    generator = torch.Generator().manual_seed(0)
    middle = LinearChain(4, 3, init="orthogonal", alpha=2.0, generator=generator)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(7, 4), middle, nn.Linear(4, 7))
    outer = {"params": [*model[0].parameters(), *model[2].parameters()]}
    rule = torch.optim.Adam([outer, *middle.parameter_groups(1e-2)])
    X, losses = normal(20, 7).float(), []
    for _ in range(40):
        loss = (model(X) - X).square().mean()
        rule.zero_grad()
        loss.backward()
        rule.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert all(w.grad is not None and w.grad.abs().max() > 0 for w in middle.weights)
    expected = model(X)
    model[1] = middle.collapse()
    torch.testing.assert_close(model(X), expected, rtol=1e-4, atol=1e-5)


def test_repr_says_what_it_is():
    text = repr(chain(depth=4, init="he", alpha=2.0, sharing="all"))
    for part in ("width=6", "depth=4", "init='he'", "alpha=2", "sharing='all'", "frozen=False"):
        assert part in text


# ---- refusals ----
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"depth": 0}, "depth must be an integer of at least 1, not 0."),
        ({"depth": -2}, "depth must be an integer of at least 1, not -2."),
        ({"depth": True}, "depth must be an integer of at least 1, not True."),
        ({"depth": 2.0}, "depth must be an integer of at least 1, not 2.0."),
        ({"width": 0}, "width must be an integer of at least 1, not 0."),
        ({"width": True}, "width must be an integer of at least 1, not True."),
        ({"alpha": 0}, "alpha must be a positive finite number, not 0."),
        ({"alpha": float("nan")}, "alpha must be a positive finite number, not nan."),
        ({"alpha": True}, "alpha must be a positive finite number, not True."),
        ({"scale": 0.0}, "scale must be a positive finite number, not 0.0."),
        ({"scale": float("inf")}, "scale must be a positive finite number, not inf."),
        ({"scale": "1"}, "scale must be a positive finite number, not '1'."),
        ({"init": "xavier"}, "init must be one of default, he, orthogonal, not 'xavier'."),
        ({"sharing": "some"}, "sharing must be None, 'all', 'transpose' or 'pairs', not 'some'."),
        ({"sharing": True}, "sharing must be None, 'all', 'transpose' or 'pairs', not True."),
        ({"activation": "relu"}, "activation must be None or a function of a tensor, not 'relu'."),
    ],
)
def test_bad_input_is_refused_in_one_sentence(options, sentence):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole sentence is compared
        LinearChain(**{"width": 4, "depth": 2, **options})
    assert str(refused.value) == sentence


# ---- explicit rank, raw maps, pairs, freezing later ----
@pytest.mark.parametrize("init", ["default", "he", "orthogonal"])
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_an_inner_width_caps_the_rank(depth, init):
    module, codes = chain(depth=depth, init=init, inner=4, alpha=1.7), normal(5, 6)
    assert [tuple(w.shape) for w in module.weights] == [(4, 6), *[(4, 4)] * (depth - 2), (6, 4)]
    W_e = module.effective_matrix()
    assert torch.linalg.matrix_rank(W_e) == 4
    torch.testing.assert_close(module(codes), codes @ W_e.T, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(module.collapse()(codes), module(codes), rtol=1e-10, atol=1e-13)
    assert "inner=4" in repr(module)
    assert "inner" not in repr(chain())


@pytest.mark.parametrize("alpha", [1.0, 3.0])
def test_scale_and_alpha_hold_for_an_inner_width_too(alpha):
    W_e = chain(depth=3, init="orthogonal", inner=4, scale=0.01, alpha=alpha).effective_matrix()
    expected = torch.tensor([0.01] * 4 + [0.0] * 2, dtype=F64)
    torch.testing.assert_close(torch.linalg.svdvals(W_e), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("init", ["default", "he", "orthogonal"])
def test_a_full_inner_width_is_the_chain_without_one(init):
    a, b = chain(depth=3, init=init, seed=4), chain(depth=3, init=init, seed=4, inner=6)
    assert all(torch.equal(x, y) for x, y in zip(a.weights, b.weights, strict=True))


def test_rectangular_starts_go_by_the_number_of_inputs():
    default, he, Q = (initial_map(200, 50, init, torch.Generator().manual_seed(0), F64) for init in INITS)
    assert default.abs().max().item() == pytest.approx(50**-0.5, rel=1e-3)
    assert he.std().item() == pytest.approx((2 / 50) ** 0.5, rel=0.02)
    torch.testing.assert_close(Q.T @ Q, torch.eye(50, dtype=F64), rtol=0, atol=1e-13)
    with pytest.raises(ValueError, match="init must be one of"):
        initial_map(2, 3, "xavier")


@pytest.mark.parametrize("sharing", [None, "all", "transpose", "pairs"])
def test_raw_layers_are_the_parameters_without_alpha(sharing):
    module = chain(depth=5, alpha=2.5, sharing=sharing)
    raw, owned = module.raw_layers(), {w.data_ptr() for w in module.weights}
    assert len(raw) == 5
    assert {w.data_ptr() for w in raw} == owned  # views, no copies
    for a, b in zip(module.layers(), raw, strict=True):
        assert torch.equal(a, 2.5 * b)


@pytest.mark.parametrize("depth", [1, 4, 5])
def test_pairs_share_one_matrix_and_its_gradient(depth):
    module, codes = chain(depth=depth, sharing="pairs", alpha=1.2), normal(5, 6)
    assert len(list(module.parameters())) == (depth + 1) // 2
    expected = codes
    for i in range(depth):
        expected = expected @ (1.2 * module.weights[i // 2]).T
    torch.testing.assert_close(module(codes), expected, rtol=1e-12, atol=1e-15)
    plain = chain(depth=depth, alpha=1.2)
    with torch.no_grad():
        for i, weight in enumerate(plain.weights):
            weight.copy_(module.weights[i // 2])
    module(codes).square().sum().backward()
    plain(codes).square().sum().backward()
    for i, weight in enumerate(module.weights):
        both = sum(w.grad for w in list(plain.weights)[2 * i : 2 * i + 2])
        torch.testing.assert_close(weight.grad, both, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("alpha", [1.0, 3.0])
@pytest.mark.parametrize("rank", [1, 3, 6])
def test_from_matrix_is_the_balanced_best_approximation(rank, alpha):
    before, W = torch.random.get_rng_state(), normal(6, 6, seed=2)
    module = LinearChain.from_matrix(W, rank, alpha)
    assert torch.equal(torch.random.get_rng_state(), before)
    U, S, Vh = torch.linalg.svd(W)
    torch.testing.assert_close(module.effective_matrix(), (U[:, :rank] * S[:rank]) @ Vh[:rank], rtol=0, atol=1e-13)
    W1, W2 = module.layers()
    assert W1.shape == (rank, 6)
    torch.testing.assert_close(W2.T @ W2, W1 @ W1.T, rtol=0, atol=1e-13)  # balanced
    torch.testing.assert_close(W1 @ W1.T, torch.diag(S[:rank]), rtol=0, atol=1e-13)
    assert (module.depth, module.inner, module.width, module.alpha) == (2, rank, 6, alpha)
    assert all(w.requires_grad and w.dtype == F64 for w in module.weights)
    assert LinearChain.from_matrix(W.float(), rank).effective_matrix().dtype == torch.float32


def test_freezing_later_keeps_the_maps_where_they_are():
    module, codes = chain(), normal(5, 6).requires_grad_()
    module(codes).sum().backward()
    kept = module.effective_matrix().detach()
    assert module.freeze() is module
    assert module.frozen
    assert module.parameter_groups(0.1) == []
    assert all(not w.requires_grad and w.grad is None for w in module.weights)
    module(codes).sum().backward()
    assert torch.equal(module.effective_matrix(), kept)
    assert "frozen=True" in repr(module)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"inner": 0}, "inner must be None or an integer from 1 to the width 4, not 0."),
        ({"inner": 5}, "inner must be None or an integer from 1 to the width 4, not 5."),
        ({"inner": 2.0}, "inner must be None or an integer from 1 to the width 4, not 2.0."),
        ({"inner": 2, "depth": 1}, "an inner width needs a depth of at least 2 and maps that are not shared."),
        ({"inner": 2, "sharing": "all"}, "an inner width needs a depth of at least 2 and maps that are not shared."),
    ],
)
def test_a_bad_inner_width_is_refused_in_one_sentence(options, sentence):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole sentence is compared
        LinearChain(**{"width": 4, "depth": 2, **options})
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("matrix", "rank", "sentence"),
    [
        (torch.ones(3, 4), 1, "matrix must be square, not of shape (3, 4)."),
        (torch.ones(3, 3, 3), 1, "matrix must be square, not of shape (3, 3, 3)."),
        (torch.eye(3), 4, "rank must be an integer from 1 to the width 3, not 4."),
        (torch.eye(3), True, "rank must be an integer from 1 to the width 3, not True."),
        (torch.full((3, 3), float("nan")), 1, "matrix must be finite, and this one holds NaN or infinite entries."),
    ],
)
def test_a_bad_matrix_is_refused_in_one_sentence(matrix, rank, sentence):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole sentence is compared
        LinearChain.from_matrix(matrix, rank)
    assert str(refused.value) == sentence
