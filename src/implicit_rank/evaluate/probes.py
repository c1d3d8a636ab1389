"""Probe classifiers on frozen codes, many at once: label sizes, draws and members share one leading axis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from implicit_rank.evaluate.codes import require_tensor
from implicit_rank.evaluate.probe_loop import measured_epochs, train_stack
from implicit_rank.evaluate.protocols import SUN, Probe, ProbeErrors, Protocol


def train_probes(
    codes: Tensor,
    labels: Tensor,
    test_codes: Tensor,
    test_labels: Tensor,
    probes: Sequence[Probe],
    protocol: Protocol = SUN,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    at_once: int = 64,
) -> ProbeErrors:
    """Train the probes on frozen codes `(m, n, d)` and measure them on `(m, t, d)`, side by side where sizes agree.

    `labels` `(n,)` and `test_labels` `(t,)` are integers from 0. A probe trained beside others equals the same
    probe trained alone, up to rounding. At most `at_once` share a stack. Raises ValueError for codes that are not
    finite, shapes that do not fit, labels out of range, or a probe of a member that is not there. Sun 2021, 3.2;
    Jing 2020, 4.5.
    """
    classes = _check(codes, labels, test_codes, test_labels, probes)
    if protocol.unit_scale:
        scale = code_deviation(codes)[:, None, None]
        codes, test_codes = codes / scale, test_codes / scale
    codes, test_codes = (x.detach().to(device=device, dtype=dtype) for x in (codes, test_codes))
    labels, test_labels = labels.to(device), test_labels.to(device)
    groups = defaultdict(list)
    for i, probe in enumerate(probes):
        groups[len(probe.subset), 0 if probe.validation is None else len(probe.validation)].append(i)
    done = {}
    for group in groups.values():
        group.sort(key=lambda i: probes[i].member)  # a member's probes are measured together
        for start in range(0, len(group), at_once):
            part = group[start : start + at_once]
            stack = [probes[i] for i in part]
            rows = train_stack(stack, protocol, codes, labels, test_codes, test_labels, classes)
            done.update(zip(part, rows, strict=True))
    column = {key: torch.stack([done[i][key] for i in range(len(probes))]) for key in done[0]}
    best = column["test"].amin(dim=1)
    return ProbeErrors(best=best, epochs=measured_epochs(protocol), **column)


def code_deviation(codes: Tensor) -> Tensor:
    """One standard deviation `(m,)` for codes `(m, n, d)`: the root mean square over entries, each centred.

    Raises ValueError for codes that do not vary.
    """
    require_tensor("codes", codes)
    deviation = (codes.double() - codes.double().mean(dim=1, keepdim=True)).square().mean(dim=(1, 2)).sqrt()
    if not (deviation > 0).all():
        raise ValueError("codes that do not vary have no scale to divide by.")
    return deviation.to(codes.dtype)


def _check(codes, labels, test_codes, test_labels, probes) -> int:
    """The number of classes, or raise one sentence."""
    if not probes:
        raise ValueError("there is no probe to train.")
    given = {"codes": codes, "labels": labels, "test_codes": test_codes, "test_labels": test_labels}
    for name, value in given.items():
        require_tensor(name, value)
    if codes.ndim != 3 or test_codes.ndim != 3 or codes.shape[::2] != test_codes.shape[::2]:
        raise ValueError(
            "codes and test codes must be (members, images, d) with the same members and d, "
            f"not {tuple(codes.shape)} and {tuple(test_codes.shape)}."
        )
    if labels.shape != codes.shape[1:2] or test_labels.shape != test_codes.shape[1:2]:
        raise ValueError(
            f"labels must be one per image, {codes.shape[1]} and {test_codes.shape[1]}, "
            f"not of shapes {tuple(labels.shape)} and {tuple(test_labels.shape)}."
        )
    if labels.is_floating_point() or test_labels.is_floating_point() or min(labels.min(), test_labels.min()) < 0:
        raise ValueError("labels must be integers from 0.")
    for name, tensor in (("codes", codes), ("test codes", test_codes)):
        bad = [m for m, member in enumerate(tensor) if not member.isfinite().all()]
        if bad:
            raise ValueError(f"the {name} of member {bad[0]} are not finite, so no probe can be trained on them.")
    for probe in probes:
        if not 0 <= probe.member < len(codes):
            raise ValueError(f"a probe asks for member {probe.member}, but there are {len(codes)}, counted from 0.")
        for rows in (probe.subset, probe.validation):
            if rows is not None and (len(rows) == 0 or rows.min() < 0 or rows.max() >= codes.shape[1]):
                raise ValueError(f"a probe's images must be indices from 0 to {codes.shape[1] - 1}, at least one.")
    return int(max(labels.max(), test_labels.max())) + 1
