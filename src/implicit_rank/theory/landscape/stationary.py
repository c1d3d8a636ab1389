"""Every stationary point of the non-uniform l2 loss (3), and how many directions lead down from each.

A class of stationary points is an `assignment`: unit a carries the component `assignment[a]` (an index
into the descending eigenvalues `s`, counted from 0) or None, and no component is carried twice. Members
of a class differ in signs only.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from implicit_rank.parameters.numbers import whole
from implicit_rank.theory.landscape.losses import latent_width, spectrum, unit_penalties

Assignment = Sequence[int | None]
MOST_CLASSES = 200_000


def stationary_point(
    U: Tensor, s: Tensor, penalties: Tensor, assignment: Assignment, signs: Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """The stationary point `(W1 (k, D), W2 (D, k))` of loss (3) in which unit a carries `assignment[a]`.

    Row a of W1 is `+-sqrt(1 - lambda_a / s_i) u_i^T`, with the penalty of the unit and the eigenvalue of its
    component, or zero for None; `W2 = W1^T`. `U` (D, r) and `s` (r,) hold r >= 1 eigenvectors and
    eigenvalues, so components beyond the first k are allowed. Raises ValueError for a component carried
    twice, one that is not there, and lambda_a >= s_i (Bao 2020, (4) and (5), corrected).

    Book: eq-bao-stationary
    """
    U = torch.as_tensor(U, dtype=torch.float64)
    s, penalties = spectrum(s), unit_penalties(penalties, len(assignment))
    if U.ndim != 2 or U.shape[1] != len(s):
        raise ValueError(f"U must have one column for each of the {len(s)} eigenvalues, not shape {tuple(U.shape)}.")
    latent_width(len(penalties), len(U))
    check_assignment(s, penalties, assignment)
    W1 = torch.zeros(len(penalties), len(U), dtype=torch.float64)
    for a, i in enumerate(assignment):
        if i is not None:
            sign = 1 if signs is None else signs[a]
            W1[a] = sign * (1 - penalties[a] / s[i]).sqrt() * U[:, i]
    return W1, W1.T.clone()


def printed_stationary_point(
    U: Tensor, s: Tensor, penalties: Tensor, permutation: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """What (4) and (5) of Bao 2020 say at the letter: `W1 = P (I - Lambda S^-2)^(1/2) U^T`, `W2 = W1^T`.

    Row a of the k x k permutation P picks component `permutation[a]`, whose magnitude then holds the
    penalty of the *unit of that number*, not of unit a: stationary for the identity alone.

    Book: eq-bao-printed-stationary
    """
    s, penalties = spectrum(s), unit_penalties(penalties, len(permutation))
    k = len(permutation)
    if sorted(permutation) != list(range(k)):
        raise ValueError(f"permutation must hold each of 0..{k - 1} once, not {list(permutation)}.")
    W1 = ((1 - penalties / s[:k]).sqrt()[:, None] * torch.as_tensor(U, dtype=torch.float64)[:, :k].T)[list(permutation)]
    return W1, W1.T.clone()


def stationary_classes(s: Tensor, penalties: Tensor) -> Iterator[tuple[int | None, ...]]:
    """Yield every class of stationary points of loss (3) as an assignment; `s` (D,) are all eigenvalues of C.

    Raises ValueError when there would be more than 200,000, when the penalties do not differ, and when
    eigenvalues that can be carried repeat: classes are then not isolated.

    Book: thm-bao-landscape
    """
    s = spectrum(s)
    penalties = unit_penalties(penalties, len(penalties))
    if len(set(penalties.tolist())) < len(penalties):
        raise ValueError("the penalties must differ: equal ones leave a rotation of their units free.")
    able = int((s > penalties.min()).sum())
    if able:
        spectrum(s, able)
    options = [[i for i in range(len(s)) if penalties[a] < s[i]] for a in range(len(penalties))]
    if class_count([len(choice) for choice in options]) > MOST_CLASSES:
        raise ValueError(f"more than {MOST_CLASSES:,} classes; choose fewer units or components.")

    def extend(chosen: tuple[int | None, ...]) -> Iterator[tuple[int | None, ...]]:
        if len(chosen) == len(options):
            yield chosen
            return
        for i in (*options[len(chosen)], None):
            if i is None or i not in chosen:
                yield from extend((*chosen, i))

    yield from extend(())


def class_count(options: Sequence[int]) -> int:
    """How many classes there are when unit a can carry any of the first `options[a]` components, or none."""
    counts = {0: 1}  # components in use -> ways; the most choosy units first, so that options are nested
    for available in sorted(options):
        grown: dict[int, int] = {}
        for used, ways in counts.items():
            grown[used] = grown.get(used, 0) + ways
            if available > used:
                grown[used + 1] = grown.get(used + 1, 0) + ways * (available - used)
        counts = grown
    return sum(counts.values())


def class_loss(s: Tensor, penalties: Tensor, assignment: Assignment) -> Tensor:
    """Loss (3) at a class: `sum_i s_i - sum over live (a, i) of (s_i - lambda_a)^2 / s_i`.

    Book: eq-bao-class-loss
    """
    s, penalties = spectrum(s), unit_penalties(penalties, len(assignment))
    check_assignment(s, penalties, assignment)
    gains = [(s[i] - penalties[a]) ** 2 / s[i] for a, i in enumerate(assignment) if i is not None]
    return s.sum() - sum(gains)


def class_index(s: Tensor, penalties: Tensor, assignment: Assignment) -> int:
    """The number of negative Hessian eigenvalues at a class, which is its number of inversions.

    With Theorem 2's assignment they are: two live units whose penalties and eigenvalues are in opposite
    order; a live unit and a stronger component nobody carries; a dead unit and a live one with a larger
    penalty; a dead unit and an uncarried component stronger than its penalty.

    Book: eq-bao-index
    """
    s, penalties = spectrum(s), unit_penalties(penalties, len(assignment))
    check_assignment(s, penalties, assignment)
    live = [(a, i) for a, i in enumerate(assignment) if i is not None]
    dead = [a for a, i in enumerate(assignment) if i is None]
    free = [j for j in range(len(s)) if j not in {i for _, i in live}]
    order = lambda a, i, b, j: (penalties[b] - penalties[a]) * (s[i] - s[j])  # noqa: E731
    return (
        sum(bool(order(a, i, b, j) < 0) for n, (a, i) in enumerate(live) for b, j in live[:n])
        + sum(bool(s[j] > s[i]) for _, i in live for j in free)
        + sum(bool(penalties[a] > penalties[b]) for a, _ in live for b in dead)
        + sum(bool(s[j] > penalties[b]) for b in dead for j in free)
    )


def optimal_assignment(s: Tensor, penalties: Tensor) -> tuple[int | None, ...]:
    """The class of the global minimum: unit a carries component a, unless lambda_a >= s_a kills it.

    Warns with one sentence naming the dead units, for then Theorem 2's assumption does not hold. Raises
    ValueError unless the penalties ascend.

    Book: thm-bao-minima
    """
    penalties = unit_penalties(penalties, len(penalties))
    s = spectrum(s)
    k = len(penalties)
    if len(s) < k:
        raise ValueError(f"s needs at least one eigenvalue for each of the {k} penalties, not {len(s)}.")
    if (penalties.diff() < 0).any():
        raise ValueError("the penalties must be given in ascending order: the first unit carries the first component.")
    dead = (penalties >= s[:k]).nonzero().flatten().tolist()
    if dead:
        if len(dead) < k:
            spectrum(s, k - len(dead))
        names = ", ".join(str(a + 1) for a in dead[:8]) + (", ..." if len(dead) > 8 else "")
        warnings.warn(
            f"{len(dead)} of {k} units are dead at the optimum, because their penalties reach their eigenvalues: "
            f"number {names} (counted from 1).",
            stacklevel=3,
        )
    else:
        spectrum(s, k)
    return tuple(None if a in dead else a for a in range(k))


def check_assignment(s: Tensor, penalties: Tensor, assignment: Assignment) -> None:
    """Raise ValueError unless the assignment is one of Theorem 2's: nothing carried twice, lambda_a < s_i."""
    taken: dict[int, int] = {}
    for a, i in enumerate(assignment):
        if i is None:
            continue
        if whole(i) is None or not 0 <= i < len(s):
            raise ValueError(f"assignment[{a}] must be None or a component from 0 to {len(s) - 1}, not {i!r}.")
        if i in taken:
            raise ValueError(f"units {taken[i]} and {a} both carry component {i}; a component can be carried once.")
        if penalties[a] >= s[i]:
            raise ValueError(
                f"unit {a} cannot carry component {i}: its penalty {penalties[a]:.6g} is not below "
                f"the eigenvalue {s[i]:.6g}."
            )
        taken[int(i)] = a
