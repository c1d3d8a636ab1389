import pytest
import torch

from implicit_rank import spectra


def axes(D=9, k=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    Q, _ = torch.linalg.qr(torch.randn(D, D, generator=generator, dtype=torch.float64))
    return Q[:, :k], Q[:, k:], generator


@pytest.mark.parametrize("seed", [0, 1])
def test_distances_follow_the_definitions(seed):
    U, _, generator = axes(seed=seed)
    W2 = torch.randn(3, 9, 4, generator=generator, dtype=torch.float64)
    for j in range(3):
        best, own = 0.0, 0.0
        for i in range(4):
            scores = [float((U[:, i] @ W2[j, :, a]) ** 2 / (W2[j, :, a] @ W2[j, :, a])) for a in range(4)]
            best, own = best + max(scores), own + scores[i]
        left = torch.linalg.svd(W2[j], full_matrices=False).U
        overlap = torch.trace(U @ U.T @ left @ left.T)
        assert spectra.axis_distance(W2, U)[j].item() == pytest.approx(1 - best / 4, abs=1e-14)
        assert spectra.ordered_axis_distance(W2, U)[j].item() == pytest.approx(1 - own / 4, abs=1e-14)
        assert spectra.subspace_distance(W2, U)[j].item() == pytest.approx(1 - overlap.item() / 4, abs=1e-13)


def test_scaled_axes_are_aligned_and_a_permutation_is_seen_only_by_the_ordered_distance():
    U, _, _ = axes()
    W2 = U * torch.tensor([2.0, -0.3, 1e-9, 5.0], dtype=torch.float64)
    swapped = W2[:, [0, 2, 1, 3]]
    assert spectra.axis_distance(W2, U) < 1e-15
    assert spectra.ordered_axis_distance(W2, U) < 1e-15
    assert spectra.axis_distance(swapped, U) < 1e-15
    assert spectra.ordered_axis_distance(swapped, U).item() == pytest.approx(0.5)


def test_subspace_distance_has_a_tiny_floor_and_is_never_negative():
    U, outside, generator = axes()
    W2 = U @ torch.randn(4, 4, generator=generator, dtype=torch.float64)
    W2[:, 3] *= 1e-9  # a nearly dead unit in the right place
    assert 0 <= spectra.subspace_distance(W2, U) < 1e-25
    tilted = W2 + 0.0
    tilted[:, 0] = outside[:, 0]
    assert spectra.subspace_distance(tilted, U).item() == pytest.approx(0.25, abs=1e-12)


def test_dead_columns_cost_one_kth_each():
    U, _, _ = axes()
    W2 = U.clone()
    W2[:, 2] = 0
    W2[:, 3] = W2[:, 0]  # dependent
    assert spectra.subspace_distance(W2, U).item() == pytest.approx(0.5)
    assert spectra.axis_distance(W2, U).item() == pytest.approx(0.5)


def test_a_diverged_member_is_nan_and_leaves_the_others_alone():
    U, _, _ = axes()
    W2 = torch.stack([U, torch.full_like(U, torch.nan)])
    for distance in (spectra.axis_distance, spectra.ordered_axis_distance, spectra.subspace_distance):
        first, second = distance(W2, U)
        assert first < 1e-14
        assert second.isnan()


@pytest.mark.parametrize(("k", "tolerance"), [(1, 1e-6), (2, 0.004), (7, 0.004), (20, 0.004)])
def test_null_value_of_a_random_rotation(k, tolerance):
    generator = torch.Generator().manual_seed(3)
    gaussian = torch.randn(4000, k, k, generator=generator, dtype=torch.float64)
    rotations = torch.linalg.qr(gaussian).Q
    measured = spectra.axis_distance(rotations, torch.eye(k, dtype=torch.float64)).mean().item()
    assert spectra.random_rotation_axis_distance(k) == pytest.approx(measured, abs=tolerance)


def test_shapes_are_checked():
    U, _, _ = axes()
    for distance in (spectra.axis_distance, spectra.subspace_distance):
        with pytest.raises(ValueError, match="share their shape"):
            distance(U[:, :3], U)
    with pytest.raises(ValueError, match="at least 1"):
        spectra.random_rotation_axis_distance(0)
