"""Labelled subsets: balanced ones are, and what cannot be drawn is said."""

import pytest
import torch

from implicit_rank.evaluate import balanced_subset, first_subset

LABELS = torch.tensor([5, 0, 4, 1, 9, 2, 1, 3, 1, 4] + [i % 10 for i in range(200)])


def g(seed=0):
    return torch.Generator().manual_seed(seed)


def test_first_subset_is_the_first_whatever_their_classes():
    assert first_subset(LABELS, 10).tolist() == list(range(10))
    assert not {6, 7, 8} & set(LABELS[first_subset(LABELS, 10)].tolist())


@pytest.mark.parametrize("count", [10, 50, 200])
def test_balanced_subsets_hold_equally_many_of_each_class(count):
    chosen = balanced_subset(LABELS, count, g())
    assert len(set(chosen.tolist())) == count
    assert LABELS[chosen].bincount().tolist() == [count // 10] * 10
    assert LABELS[chosen].tolist() != sorted(LABELS[chosen].tolist())


def test_a_count_between_multiples_spreads_by_one():
    counts = [LABELS[balanced_subset(LABELS, 23, g(seed))].bincount(minlength=10) for seed in range(20)]
    assert all(c.sum() == 23 and c.min() == 2 and c.max() == 3 for c in counts)
    assert (torch.stack(counts) == 3).any(dim=0).all()  # every class has its turn


def test_generators_rule_and_excluded_images_stay_out():
    assert torch.equal(balanced_subset(LABELS, 30, g(1)), balanced_subset(LABELS, 30, g(1)))
    assert not torch.equal(balanced_subset(LABELS, 30, g(1)), balanced_subset(LABELS, 30, g(2)))
    first = balanced_subset(LABELS, 100, g(1))
    assert not set(first.tolist()) & set(balanced_subset(LABELS, 100, g(1), exclude=first).tolist())


@pytest.mark.parametrize(
    ("labels", "count", "sentence"),
    [
        (LABELS, 211, "a subset of 211 labels was asked for, but there are 210"),
        (LABELS, 0, "a subset of 0 labels"),
        (torch.tensor([0, 2, 2]), 2, "class 1 of 0 to 2 has no image"),
        (torch.tensor([0, 0, 0, 1]), 4, "4 labels need 2 images of class 1, but only 1 are there"),
        (torch.tensor([0, -1]), 1, "must not be negative"),
        (torch.tensor([0.0, 1.0]), 1, "must be integers"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(labels, count, sentence):
    with pytest.raises(ValueError, match=sentence):
        balanced_subset(labels, count, g())
