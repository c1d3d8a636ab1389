"""The batched trainer against one autograd run after another: `python tests/benchmarks/bench_deep.py [ROUNDS]`.

Same members, same steps, one process; the contenders take turns, so that a busy machine slows all of them, and
their weights are compared at the end. Seconds are the wall clock's and the processor's: on a busy machine only
the second kind is worth comparing.
"""

import os
import statistics
import sys
import time
from dataclasses import replace

import implicit_rank  # noqa: F401 - before PyTorch starts: it tells idle threads to sleep, not to spin

# isort: split
import torch

from implicit_rank.experiments.greedy_rank.deep_linear import DeepLinear, draw, grid, small
from implicit_rank.linear.deep import compress, train_deep

ALL_DEPTHS = (4, 8, 12, 16, 20, 24, 28, 32)
SIZES = (  # set-up, depths, seeds, steps
    (DeepLinear(profile="paper"), ALL_DEPTHS, (0, 1, 2), 30),
    (small("quick"), (4, 8, 16, 32), (0, 1, 2), 300),
)


def naive(member, steps):
    """Train one member with autograd and torch.optim; return encoder, W_e and decoder."""
    encoder, decoder, *layers = (w.clone().requires_grad_() for w in (member.encoder, member.decoder, *member.layers))
    rule = torch.optim.SGD([{"params": [encoder, decoder], "lr": member.lr}, {"params": layers, "lr": member.chain_lr}])
    for _ in range(steps):
        codes = member.data @ encoder.T
        for layer in layers:
            codes = codes @ (member.alpha * layer).T
        loss = (codes @ decoder.T - member.data).square().mean()
        rule.zero_grad()
        loss.backward()
        rule.step()
    W_e = torch.eye(len(encoder), dtype=encoder.dtype)
    with torch.no_grad():
        for layer in layers:
            W_e = member.alpha * layer @ W_e
    return encoder.detach(), W_e, decoder.detach()


def squeeze(member):
    """Return the compressed member in the form that :func:`naive` takes: its loss is a mean over fewer entries."""
    compressed, _ = compress(member)
    entries = compressed.data.numel() / member.data.numel()
    # the encoder reads the first columns of the data; zeros for the others change nothing
    encoder = torch.zeros(len(compressed.encoder), compressed.data.shape[1], dtype=compressed.encoder.dtype)
    encoder[:, : compressed.encoder.shape[1]] = compressed.encoder
    return replace(compressed, encoder=encoder, lr=member.lr * entries, chain_lr=member.chain_lr * entries)


def flops(member):
    """Return the floating-point operations in a step's matrix products: forward, and backward but for the data."""
    n, (d, wide_in), wide_out = len(member.data), member.encoder.shape, member.decoder.shape[0]
    return n * d * (4 * wide_in + 6 * wide_out + 6 * len(member.layers) * d)


def timed(work):
    """Return seconds by the wall clock and of the processor, and the result."""
    began = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - began[0], time.process_time() - began[1], result


def compare(base, depths, seeds, steps, rounds):
    """Print one table; return the largest relative difference between the contenders' weights."""
    specs = [spec for depth in depths for spec in grid(base, "orthogonal", (depth,), (2.0,), seeds)]
    members = [draw(spec)[0] for spec in specs]
    squeezed = [squeeze(member) for member in members]
    total = {
        "autograd": sum(map(flops, members)),
        "autograd, compressed": sum(map(flops, squeezed)),
        "batched trainer": sum(flops(compress(member)[0]) for member in members),
    }
    contenders = {
        "autograd": lambda: [naive(member, steps) for member in members],
        "autograd, compressed": lambda: [naive(member, steps) for member in squeezed],
        "batched trainer": lambda: train_deep(members, steps, ())[1],
    }
    print(
        f"\n{base.profile} size: n = {base.samples}, D = {base.features}, d = {base.latent}, float64, {steps} steps; "
        f"{len(members)} members, N = {', '.join(map(str, depths))}, {len(seeds)} seeds each"
    )
    train_deep(members[:2], 2, ())  # warm up
    naive(members[0], 2)
    wall, cpu, ends = ({name: [] for name in contenders} for _ in range(3))
    for _ in range(rounds):
        for name, work in contenders.items():
            a, b, ends[name] = timed(work)
            wall[name].append(a)
            cpu[name].append(b)
    head = ("wall s", "cpu s", "GFLOP / cpu s", "times faster (wall)", "times faster (cpu)")
    print(f"| {'':20} | {' | '.join(head)} |\n|{'---|' * 6}")
    for name in contenders:
        median, least = statistics.median(wall[name]), min(cpu[name])
        cells = f"{median:6.2f} | {statistics.median(cpu[name]):5.2f} | {steps * total[name] / least / 1e9:13.1f}"
        print(f"| {name:20} | {cells} | {ratio(wall, name):>19} | {ratio(cpu, name):>18} |")
    once = min(timed(lambda: train_deep(members, 0, ()))[1] for _ in range(2))
    print(f"Of the batched trainer's time {once:.2f} cpu s are its set-up, paid once a run.")
    return max(
        ((a - b).norm() / b.norm()).item()
        for batched, alone in zip(ends["batched trainer"], ends["autograd"], strict=True)
        for a, b in zip(batched, alone, strict=True)
    )


def ratio(seconds, name):
    """Return in words how many times faster than autograd a contender was, round by round."""
    ratios = [a / b for a, b in zip(seconds["autograd"], seconds[name], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def main(rounds=3):
    """Print a table per size, and fail if the contenders do not end at the same weights."""
    load = os.getloadavg()[0]
    busy = ": the machine is busy, compare cpu seconds" if load > 0.5 else ""
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} thread(s), {os.cpu_count()} cores, "
        f"load average {load:.1f}{busy}; median of {rounds} rounds (range)"
    )
    gap = max(compare(*size, rounds) for size in SIZES)
    print(f"\nLargest relative difference of any encoder, W_e or decoder: {gap:.1e}")
    assert gap < 1e-9


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
