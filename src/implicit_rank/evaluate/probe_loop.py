"""The training loop of probe classifiers that share a label size, batched over the leading axis."""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor

from implicit_rank.evaluate.heads import Heads
from implicit_rank.evaluate.protocols import Probe, Protocol

GATHERED = 2**22  # entries of shuffled codes held at once
MEASURED = 2**20  # entries of a hidden layer held at once while errors are counted: they stay in the cache


def measured_epochs(protocol: Protocol) -> Tensor:
    """The epochs `(E,)`, counted from 1, after which errors are measured; the last one always is."""
    epochs = list(range(protocol.every, protocol.epochs + 1, protocol.every))
    return torch.tensor(epochs if epochs[-1:] == [protocol.epochs] else [*epochs, protocol.epochs])


def train_stack(
    probes: list[Probe],
    protocol: Protocol,
    codes: Tensor,
    labels: Tensor,
    test_codes: Tensor,
    test_labels: Tensor,
    classes: int,
) -> list[dict[str, Tensor]]:
    """Train probes of one label size, sorted by member; return each one's final, chosen, test and validation errors.

    `codes` `(m, n, d)`, `labels` `(n,)`, `test_codes` `(m, t, d)` and `test_labels` `(t,)` lie on one
    device.
    """
    generators = [torch.Generator().manual_seed(probe.seed) for probe in probes]
    place = {"dtype": codes.dtype, "device": codes.device}
    heads = Heads(protocol.head, codes.shape[-1], classes, protocol.hidden, generators, **place)
    optimiser = torch.optim.Adam([heads.values], lr=protocol.lr, fused=True)
    flat, all_labels = codes.flatten(0, 1), labels.repeat(len(codes))
    rows = _rows(probes, [probe.subset for probe in probes], codes)
    held_out = None
    if probes[0].validation is not None:
        held_out = _rows(probes, [probe.validation for probe in probes], codes)
    members = [probe.member for probe in probes]
    one_hot = torch.eye(classes, **place)
    schedule = measured_epochs(protocol).tolist()
    curves = torch.full((2, len(probes), len(schedule)), torch.nan, dtype=torch.float64, device=codes.device)
    least = torch.full((len(probes),), torch.inf, dtype=torch.float64, device=codes.device)
    chosen = heads.values.clone()
    for epoch in range(1, protocol.epochs + 1):
        _train_epoch(heads, optimiser, flat, all_labels, one_hot, rows, protocol.batch)
        if epoch not in schedule:
            continue
        column = schedule.index(epoch)
        if protocol.watch_test:
            curves[0, :, column] = shared_errors(heads, members, test_codes, test_labels)
        if held_out is not None:
            curves[1, :, column] = own_errors(heads, flat, all_labels, held_out)
            better = curves[1, :, column] < least
            least = torch.where(better, curves[1, :, column], least)
            for kept, now in zip(heads.split(chosen), heads.split(heads.values), strict=True):
                if kept is not None:
                    kept[better] = now[better]
    final = shared_errors(heads, members, test_codes, test_labels)
    if held_out is None:
        at_chosen = torch.full_like(final, torch.nan)
    else:
        heads.values.copy_(chosen)
        at_chosen = shared_errors(heads, members, test_codes, test_labels)
    results = zip(final.cpu(), at_chosen.cpu(), *curves.cpu(), strict=True)
    return [dict(zip(("final", "chosen", "test", "validation"), row, strict=True)) for row in results]


def shared_errors(heads: Heads, members: list[int], codes: Tensor, labels: Tensor) -> Tensor:
    """Each head's share of wrong answers `(P,)` on its member's codes, `(m, t, d)`, sorted by member."""
    wrong, start = [], 0
    for member, group in groupby(members):
        part = slice(start, start := start + len(list(group)))
        count = torch.zeros(part.stop - part.start, dtype=torch.float64, device=codes.device)
        step = max(1, MEASURED // (len(count) * heads.widest))
        for begin in range(0, len(labels), step):
            answers = heads.logits(codes[member, begin : begin + step], part).mT.contiguous().argmax(dim=-1)
            count += (answers != labels[begin : begin + step]).sum(dim=-1)
        wrong.append(count / len(labels))
    return torch.cat(wrong)


def own_errors(heads: Heads, flat: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
    """Each head's share of wrong answers `(P,)` on its own rows `(P, v)` of codes `(m n, d)`."""
    count = torch.zeros(len(rows), dtype=torch.float64, device=flat.device)
    step = max(1, MEASURED // (len(rows) * max(heads.widest, flat.shape[-1])))
    for part in rows.split(step, dim=1):
        answers = heads.logits(_gather(flat, part)).mT.contiguous().argmax(dim=-1)
        count += (answers != labels[part]).sum(dim=-1)
    return count / rows.shape[1]


def _train_epoch(heads, optimiser, flat, labels, one_hot, rows, batch):
    """Take each head through its rows `(P, n)` once, in an order of its own."""
    P, n = rows.shape
    batch = min(batch, n)
    orders = torch.stack([torch.randperm(n, generator=generator) for generator in heads.generators])
    coins = heads.toss(-(-n // batch), batch)
    rows = rows.gather(1, orders.to(rows.device))
    steps = max(1, GATHERED // (P * batch * max(heads.widest, flat.shape[-1])))
    for first, part in enumerate(rows.split(steps * batch, dim=1)):
        # gathered for many steps together: the steps themselves then only slice
        codes, targets = _gather(flat, part), one_hot[labels[part]].mT.contiguous()
        masks = heads.masks(None if coins is None else coins[:, first * steps : (first + 1) * steps], batch)
        for step, begin in enumerate(range(0, part.shape[1], batch)):
            now = codes[:, begin : begin + batch]
            dropped = None if masks is None else masks[step, ..., : now.shape[1]]
            heads.gradient(now, targets[..., begin : begin + batch], dropped)
            optimiser.step()


def _rows(probes, subsets, codes):
    offsets = torch.tensor([probe.member * codes.shape[1] for probe in probes])
    return (torch.stack([subset.cpu() for subset in subsets]) + offsets[:, None]).to(codes.device)


def _gather(flat, rows):
    return flat.index_select(0, rows.flatten()).view(*rows.shape, -1)
