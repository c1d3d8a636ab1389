"""Interpolation reaches both ends; grids follow the principal axes; the released code's variants are options."""

import pytest
import torch

from implicit_rank.evaluate import interpolate, principal_grid


def g(seed=0):
    return torch.Generator().manual_seed(seed)


def test_both_ends_are_reached_exactly_and_steps_are_even():
    a, b = torch.randn(4, 6, generator=g(1)), torch.randn(4, 6, generator=g(2))
    path = interpolate(a, b, 7)
    assert path.shape == (4, 7, 6)
    assert torch.equal(path[:, 0], a)
    assert torch.equal(path[:, -1], b)
    assert torch.allclose(path.diff(dim=1), ((b - a) / 6)[:, None].expand(4, 6, 6), atol=1e-6)


def test_the_released_factors_never_reach_the_end():
    a, b = torch.zeros(3), torch.ones(3)
    path = interpolate(a, b, 10, released=True)
    assert torch.allclose(path[:, 0], torch.arange(10) / 10)


CODES = (
    torch.randn(500, 5, generator=g(3), dtype=torch.float64)
    @ torch.diag(torch.tensor([3.0, 2, 0.5, 0.3, 0.1], dtype=torch.float64))
    @ torch.linalg.qr(torch.randn(5, 5, generator=g(4), dtype=torch.float64))[0]
    + 7
)


def test_a_grid_is_centred_and_moves_along_the_principal_axes():
    grid = principal_grid(CODES, steps=10)
    assert grid.codes.shape == (10, 10, 5)
    values, vectors = torch.linalg.eigh(torch.cov(CODES.T))
    assert torch.allclose(grid.explained, values.flip(0)[:2] / values.sum())
    assert torch.allclose(grid.codes.mean(dim=(0, 1)), CODES.mean(0))
    for axis in (0, 1):
        far, near = grid.codes.select(axis, 9), grid.codes.select(axis, 0)
        move = (far - near).mean(dim=0)
        assert move.norm() == pytest.approx(4 * values.flip(0)[axis].sqrt().item())  # -2 to +2 deviations
        assert abs(move @ vectors.flip(1)[:, axis]) == pytest.approx(move.norm().item())
        assert grid.axes[:, axis].abs().max() == grid.axes[:, axis].max()  # sign fixed
    assert grid.coordinates[0].tolist() == grid.coordinates[1].tolist()
    assert (grid.coordinates[0, 0], grid.coordinates[0, -1]) == (-2, 2)


def test_the_released_grid_is_skewed():
    grid = principal_grid(CODES, released=True)
    assert torch.allclose(grid.coordinates[0], torch.arange(-20, 20, 4).double() / 10)  # -2.0 ... +1.6
    assert torch.allclose(grid.coordinates[1], torch.arange(-16, 24, 4).double() / 10)  # -1.6 ... +2.0
    offset = (grid.codes.mean(dim=(0, 1)) - CODES.mean(0)) @ grid.axes
    values = torch.linalg.eigvalsh(torch.cov(CODES.T)).flip(0)[:2].sqrt()
    assert torch.allclose(offset, torch.tensor([-0.2, 0.2], dtype=torch.float64) * values)


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="both ends must have one shape"):
        interpolate(torch.zeros(2, 3), torch.zeros(3))
    with pytest.raises(ValueError, match="steps must be at least 2, not 1"):
        interpolate(torch.zeros(3), torch.ones(3), 1)
    with pytest.raises(ValueError, match="steps must be at least 2"):
        principal_grid(CODES, steps=1)
    with pytest.raises(ValueError, match="two directions, not 1"):
        principal_grid(torch.arange(10.0)[:, None] * torch.ones(3))
    with pytest.raises(ValueError, match="must be finite"):
        principal_grid(CODES / 0)
