"""The optimisers with a rate per member, against torch.optim run on every member alone."""

import pytest
import torch

from implicit_rank.linear.optimisers import OPTIMISERS, Adam, GradientDescent, Nesterov, Optimiser

F64 = torch.float64
RATES = torch.tensor([0.3, 0.05, 0.011], dtype=F64)
RULES = {
    "gd": (GradientDescent, lambda groups: torch.optim.SGD(groups)),
    "nesterov": (Nesterov, lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True)),
    "adam": (Adam, lambda groups: torch.optim.Adam(groups)),
}


def start():
    """Three members of a matrix, two of a vector: the ragged shape of chains of different depths."""
    g = torch.Generator().manual_seed(0)
    shapes = {"matrix": (3, 4, 2), "vector": (2, 5)}
    return {name: torch.randn(*shape, generator=g, dtype=F64) for name, shape in shapes.items()}


def slope(parameter):
    return 0.3 * parameter + parameter.sin().square()


def alone(rule, parameters, j, rates, steps):
    """Member j by torch.optim, with its own rate for every tensor."""
    held = {name: value[j].clone().requires_grad_() for name, value in parameters.items() if j < len(value)}
    optimiser = rule([{"params": [value], "lr": float(rates[name][j])} for name, value in held.items()])
    for _ in range(steps):
        for value in held.values():
            value.grad = slope(value.detach())
        optimiser.step()
    return {name: value.detach() for name, value in held.items()}


def agree(name, lr, rates, steps=20):
    parameters, began = start(), start()
    where = {key: value.data_ptr() for key, value in parameters.items()}
    optimiser = RULES[name][0](lr)
    for _ in range(steps):
        optimiser.update(parameters, {key: slope(value) for key, value in parameters.items()})
    assert where == {key: value.data_ptr() for key, value in parameters.items()}  # in place
    for j in range(3):
        for key, expected in alone(RULES[name][1], began, j, rates, steps).items():
            assert (expected - began[key][j]).abs().max() > 0.05  # it moved, so agreement means something
            torch.testing.assert_close(parameters[key][j], expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", RULES)
def test_one_rate_for_all(name):
    agree(name, 0.03, {"matrix": [0.03] * 3, "vector": [0.03] * 3})


@pytest.mark.parametrize("name", RULES)
def test_a_rate_per_member_on_ragged_tensors(name):
    agree(name, RATES, {"matrix": RATES, "vector": RATES})


@pytest.mark.parametrize("name", RULES)
def test_a_rate_per_member_and_parameter(name):
    rates = {"matrix": RATES, "vector": RATES.flip(0) * 0.5}
    agree(name, rates, rates)
    agree(name, {"matrix": RATES, "vector": 0.02}, {"matrix": RATES, "vector": [0.02] * 3})


def test_options_are_those_of_torch():
    for own, theirs in (
        (Nesterov(0.1, momentum=0.5), lambda p: torch.optim.SGD([p], 0.1, momentum=0.5, nesterov=True)),
        (Adam(0.1, betas=(0.5, 0.7), eps=0.1), lambda p: torch.optim.Adam([p], 0.1, betas=(0.5, 0.7), eps=0.1)),
    ):
        parameters = {"matrix": start()["matrix"]}
        leaf = parameters["matrix"].clone().requires_grad_()
        rule = theirs(leaf)
        for _ in range(20):
            own.update(parameters, {"matrix": slope(parameters["matrix"])})
            leaf.grad = slope(leaf.detach())
            rule.step()
        torch.testing.assert_close(parameters["matrix"], leaf.detach(), rtol=1e-13, atol=1e-14)


def test_members_do_not_mix():
    parameters = start()
    gradients = {name: torch.zeros_like(value) for name, value in parameters.items()}
    gradients["matrix"][1] = torch.nan
    for rule in OPTIMISERS.values():
        held = {name: value.clone() for name, value in parameters.items()}
        rule(RATES).update(held, gradients)
        assert held["matrix"][1].isnan().all()
        assert torch.equal(held["matrix"][[0, 2]], parameters["matrix"][[0, 2]])
        assert torch.equal(held["vector"], parameters["vector"])


def test_float32_parameters_stay_float32():
    parameters = {"matrix": start()["matrix"].float()}
    for rule in OPTIMISERS.values():
        rule(RATES).update(parameters, {"matrix": slope(parameters["matrix"])})
        assert parameters["matrix"].dtype == torch.float32


def test_the_names_of_the_optimisers():
    assert list(OPTIMISERS.items()) == [("gd", GradientDescent), ("nesterov", Nesterov), ("adam", Adam)]
    with pytest.raises(NotImplementedError):
        Optimiser(0.1).update(start(), start())
