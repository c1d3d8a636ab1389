"""Thirty probes at once against one after another: `python tests/benchmarks/bench_probes.py [EPOCHS [ROUNDS]]`.

The protocol of Sun 2021, 3.2 (1,000 labels, batches of 32, Adam), and the released head of Jing 2020 (batches of 100,
dropout), measured on 10,000 test images every tenth epoch. The plain way trains an `nn.Module` with autograd and
`torch.optim.Adam`, its batches from a `DataLoader` or cut from a shuffled index. Starts and orders are the same for
all, so their test errors are compared as well; dropout draws differ, so there it is their mean. Contenders take turns
in one process; seconds are the wall clock's and the processor's, and on a busy machine only the second kind is worth
comparing.
"""

import statistics
import sys
import time

import implicit_rank  # noqa: F401 - before PyTorch starts: it tells idle threads to sleep, not to spin

# isort: split
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from implicit_rank.data.load import load
from implicit_rank.evaluate import JING, SUN, Protocol, head_module, plan_probes, train_probes
from implicit_rank.evaluate.heads import Heads

MEMBERS, DRAWS, LABELS, D = 10, 3, 1000, 128


def codes_of_members():
    """Return MNIST's principal coordinates, turned differently for each member, to train on and to test on.

    The embedded test images give the labels, so that the 10,000 embedded training images can be tested on.
    """
    train, test = load("mnist-12k", "test"), load("mnist-12k", "train")
    x, y = (part.images.flatten(1).float() / 255 for part in (train, test))
    axes = torch.linalg.svd(x - x.mean(dim=0), full_matrices=False).Vh[:D].T
    g = torch.Generator().manual_seed(0)
    turns = torch.linalg.qr(torch.randn(MEMBERS, D, D, generator=g)).Q
    return (x - x.mean(dim=0)) @ axes @ turns, train.labels, (y - x.mean(dim=0)) @ axes @ turns, test.labels


class Orders:
    """A sampler with one of our orders per epoch."""

    def __init__(self, n, generator):
        self.n, self.generator = n, generator

    def __len__(self):
        return self.n

    def __iter__(self):
        return iter(torch.randperm(self.n, generator=self.generator).tolist())


def plain(data, probe, protocol, loader):
    """Train one probe the plain way; return its test error after the last epoch."""
    codes, labels, test_codes, test_labels = data
    x, y = codes[probe.member][probe.subset], labels[probe.subset]
    generator = torch.Generator().manual_seed(probe.seed)
    start = Heads(protocol.head, D, 10, protocol.hidden, [generator])
    net = head_module(protocol.head, D, 10, protocol.hidden)
    for linear, weight, bias in zip(
        (m for m in net if isinstance(m, nn.Linear)), start.weights, start.biases, strict=True
    ):
        linear.weight.data.copy_(weight[0])
        if bias is not None:
            linear.bias.data.copy_(bias[0, :, 0])
    adam = torch.optim.Adam(net.parameters(), lr=protocol.lr)
    loss = nn.CrossEntropyLoss()
    orders = Orders(len(x), generator)
    batches = DataLoader(TensorDataset(x, y), batch_size=protocol.batch, sampler=orders)
    error = None
    for epoch in range(1, protocol.epochs + 1):
        net.train()
        if not loader:
            rows = torch.randperm(len(x), generator=generator).split(protocol.batch)
            batches = ((x[some], y[some]) for some in rows)
        for some_x, some_y in batches:
            adam.zero_grad()
            loss(net(some_x), some_y).backward()
            adam.step()
        if epoch % protocol.every == 0 or epoch == protocol.epochs:
            net.eval()
            with torch.no_grad():
                error = (net(test_codes[probe.member]).argmax(dim=1) != test_labels).double().mean()
    return error


def timed(work):
    """Return seconds by the wall clock and of the processor, and the result."""
    began = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - began[0], time.process_time() - began[1], result


def compare(name, data, protocol, rounds):
    """Print one table; return whether all contenders agree."""
    probes = plan_probes(data[1], MEMBERS, (LABELS,), DRAWS)
    contenders = {
        "one after another, DataLoader": lambda: torch.stack([plain(data, p, protocol, True) for p in probes]),
        "one after another, index": lambda: torch.stack([plain(data, p, protocol, False) for p in probes]),
        f"{len(probes)} at once": lambda: train_probes(*data, probes, protocol).final,
    }
    train_probes(*data, probes[:2], Protocol(**(protocol.to_dict() | {"epochs": 1})))  # warm up
    wall, cpu, errors = ({key: [] for key in contenders} for _ in range(3))
    for _ in range(rounds):
        for key, work in contenders.items():
            a, b, errors[key] = timed(work)
            wall[key].append(a)
            cpu[key].append(b)
    print(
        f"\n{name}: {len(probes)} probes ({MEMBERS} members, {DRAWS} draws), {LABELS} labels, batch {protocol.batch}, "
        f"{protocol.epochs} epochs, tested every {protocol.every}; {torch.get_num_threads()} thread(s)"
    )
    head = ("wall s", "cpu s", "test error %", "30 at once faster (wall)", "30 at once faster (cpu)")
    print(f"| {'':29} | {' | '.join(head)} |\n|{'---|' * 6}")
    best = list(contenders)[-1]
    for key in contenders:
        cells = f"{statistics.median(wall[key]):6.2f} | {statistics.median(cpu[key]):6.2f}"
        cells += f" | {100 * errors[key].mean():6.3f} | {ratio(wall, key, best)} | {ratio(cpu, key, best)}"
        print(f"| {key:29} | {cells} |", flush=True)
    plain_errors = errors["one after another, index"]
    if protocol.head == "official":
        return bool((plain_errors.mean() - errors[best].mean()).abs() < 0.005)
    # float32 rounding, epoch after epoch: a few of 10,000 answers change
    loaded = (errors["one after another, DataLoader"] - plain_errors).abs().max() < 0.002
    return bool(loaded and (errors[best] - plain_errors).abs().max() < 0.002)


def ratio(seconds, slow, fast):
    """Return in words how many times faster ``fast`` was than ``slow``, round by round."""
    ratios = [a / b for a, b in zip(seconds[slow], seconds[fast], strict=True)]
    return f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})"


def main(epochs=20, rounds=3):
    """Compare both protocols, then run the first in full; exit with an error where the contenders differ."""
    data = codes_of_members()
    agree = [
        compare(name, data, Protocol(**(protocol.to_dict() | {"epochs": epochs})), rounds)
        for name, protocol in (("Sun 2021", SUN), ("Jing 2020, released head", JING))
    ]
    probes = plan_probes(data[1], MEMBERS, (LABELS,), DRAWS)
    wall, cpu, errors = timed(lambda: train_probes(*data, probes, SUN))
    seconds = f"{wall:.1f} s by the clock, {cpu:.1f} cpu s"
    final, best = (100 * error.mean() for error in (errors.final, errors.best))
    print(f"\nSun 2021 in full, {SUN.epochs} epochs, all {len(probes)} at once: {seconds}; ", end="")
    print(f"final error {final:.2f} %, best on test {best:.2f} %.")
    if not all(agree):
        raise SystemExit("The contenders' test errors differ.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
