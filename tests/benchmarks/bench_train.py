"""Training speed of nonlinear autoencoders: `python tests/benchmarks/bench_train.py [ROUNDS] [DEVICE]`.

On a CPU: the loop of this package against the plain way (a torchvision DataLoader with Resize and ToTensor, Adam, one
model), the MNIST net at batch 32, in float32 and under bfloat16 autocast; and an ensemble member by member
against one vectorised pass. On both: E members in one pass against E separate runs, as a ratio within a round (E = 1
to 4 of a narrow net on a CPU, E = 1 to 64 of the paper's on CUDA, where the share of the device's own rate of matrix
products and the peak memory per member are told as well). Contenders take turns.
"""

import os
import statistics
import sys
import time

import implicit_rank  # noqa: F401 - before PyTorch starts: it tells idle threads to sleep, not to spin

# isort: split
import torch
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from implicit_rank.autoencoder import build
from implicit_rank.data.embedded import mnist_12k
from implicit_rank.train import Member, Settings, train

DEPTH, BATCH = 8, 32
ENSEMBLES = (1, 2, 4, 8, 16, 32, 64)


class Pictures(Dataset):
    """MNIST as torchvision hands it out: one Pillow image at a time, resized and made a tensor in Python."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.transform = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, i):
        return self.transform(transforms.functional.to_pil_image(self.pixels[i]))


def model(seed=0, factor=1.0):
    """IRMAE for MNIST with eight maps (Jing 2020), or a narrower one."""
    generator = torch.Generator().manual_seed(seed)
    return build("mnist", (1, 32, 32), 128, depth=DEPTH, channel_factor=factor, generator=generator)


def plain(pixels, steps, device="cpu", factor=1.0):
    """Train one model the way a tutorial does; return seconds by the wall clock and of the processor."""
    net = model(factor=factor).to(device)
    rule = torch.optim.Adam(net.parameters(), lr=1e-4)
    loader = DataLoader(Pictures(pixels), batch_size=BATCH, shuffle=True)
    began, batches = clock(), iter(loader)
    for _ in range(steps):
        images = next(batches).to(device)
        loss = F.mse_loss(net(images).reconstruction, images)
        rule.zero_grad()
        loss.backward()
        rule.step()
        loss.item()
    return since(began)


def ours(images, steps, members=1, device="cpu", factor=1.0, **settings):
    """Train an ensemble by the package's loop; return seconds by the wall clock and of the processor."""
    nets = [model(seed, factor) for seed in range(members)]
    settings = Settings(steps=steps, batch=BATCH, evaluate=2, **settings)
    began = clock()
    train(nets, [Member(order_seed=i) for i in range(members)], images, settings, device=device)
    return since(began)


def clock():
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def since(began):
    return tuple(now - then for now, then in zip(clock(), began, strict=True))


def table(title, contenders, images_seen, rounds):
    """Let contenders take turns, print medians, and the ratio to the first one round by round."""
    seconds = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            seconds[name].append(work())
    head = ("", "images/s (wall)", "images/s (cpu)", "times faster (wall)", "times faster (cpu)")
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    first = next(iter(seconds))
    for name, own in seconds.items():
        cells = []
        for k in (0, 1):
            cells.append(f"{images_seen[name] / statistics.median(s[k] for s in own):8,.0f}")
        for k in (0, 1):
            share = images_seen[name] / images_seen[first]
            ratios = [share * a[k] / b[k] for a, b in zip(seconds[first], own, strict=True)]
            cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
        print(f"| {name} | {' | '.join(cells)} |")


def on_cpu(rounds):
    """Print the CPU tables."""
    raw = mnist_12k("train", 28, 2000).images.numpy()[:, 0]
    images = mnist_12k("train", 32, 2000).images
    steps = 40
    plain(raw, 2)  # warm up
    ours(images, 2)
    ours(images, 2, precision="bfloat16")
    seen = BATCH * steps
    table(
        f"The paper's MNIST net, one model, batch {BATCH}, {steps} steps",
        {
            "DataLoader, Adam": lambda: plain(raw, steps),
            "this package": lambda: ours(images, steps),
            "this package, bfloat16 autocast": lambda: ours(images, steps, precision="bfloat16"),
        },
        dict.fromkeys(("DataLoader, Adam", "this package", "this package, bfloat16 autocast"), seen),
        rounds,
    )
    for factor in (0.25, 0.0625):
        names = ("member by member", "one vectorised pass")
        table(
            f"Eight members at once, net of {factor:g} times the width, {steps} steps",
            {
                name: lambda way=way, factor=factor: ours(images, steps, 8, factor=factor, strategy=way)
                for name, way in zip(names, ("loop", "vmap"), strict=True)
            },
            dict.fromkeys(names, 8 * seen),
            rounds,
        )


def matmul_rate(device):
    """Return the device's measured rate of float32 matrix products, in FLOP per second."""
    a = torch.randn(8192, 8192, device=device)
    a @ a
    began = clock()
    for _ in range(5):
        a @ a
    return 5 * 2 * 8192**3 / since(began)[0]


def flops_per_image(factor):
    """Return the FLOP of one training step per image: forward, and twice that backward."""
    from torch.utils.flop_counter import FlopCounterMode

    net, images = model(factor=factor), torch.rand(1, 1, 32, 32)
    with FlopCounterMode(display=False) as counter:
        net(images).reconstruction.sum().backward()
    return counter.get_total_flops()


def ensembles(rounds, device, sizes, factor, steps):
    """Print E members in one vectorised pass against E runs one after another: both in every round, and their ratio.

    Raises AssertionError where the two do not end at the same errors.
    """
    images = mnist_12k("train", 32, None).images
    cuda = device.startswith("cuda")
    rate, flops = (matmul_rate(device), flops_per_image(factor)) if cuda else (0.0, 0.0)
    if cuda:
        rated = f"{rate / 1e12:.1f} TFLOP/s in float32 matrix products of 8192 x 8192"
        print(f"\n{torch.cuda.get_device_name(device)}: {rated}")
    print(f"\nThe MNIST net at {factor:g} times the width, {DEPTH} maps, batch {BATCH}, {steps} steps, float32\n")
    head = ["E", "images/s together", "one after another", "times faster (range)"]
    head += ["share of the product rate", "MiB per member"] if cuda else []
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    outcome(range(2), images, 5, device, factor, "vmap")  # kernels are loaded, and on CUDA a graph is captured
    outcome(range(1), images, 5, device, factor, "loop")
    for members in sizes:
        together, alone, peak = [], [], 0.0
        for _ in range(rounds):
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            seconds, errors = outcome(range(members), images, steps, device, factor, "vmap")
            together.append(seconds)
            peak = torch.cuda.max_memory_allocated() / 2**20 / members if cuda else 0.0
            runs = [outcome([seed], images, steps, device, factor, "loop") for seed in range(members)]
            alone.append(sum(seconds for seconds, _ in runs))
            assert torch.allclose(errors, torch.cat([own for _, own in runs]), rtol=0.02), "the two ways differ"
        seen = members * steps * BATCH
        fast, slow = seen / statistics.median(together), seen / statistics.median(alone)
        ratios = [b / a for a, b in zip(together, alone, strict=True)]
        words = [f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"]
        words += [f"{fast * flops / rate:.1%}", f"{peak:.0f}"] if cuda else []
        print(f"| {members} | {fast:,.0f} | {slow:,.0f} | {' | '.join(words)} |", flush=True)


def outcome(seeds, images, steps, device, factor, strategy):
    """Train members of these seeds; return seconds by the wall clock and their errors at the end."""
    nets = [model(seed, factor) for seed in seeds]
    settings = Settings(steps=steps, batch=BATCH, evaluate=200, strategy=strategy)
    began = clock()
    history = train(nets, [Member(order_seed=seed) for seed in seeds], images, settings, device=device)
    return since(began)[0], torch.tensor([history.last("error", i) for i in range(len(nets))])


def main(rounds=3, device=None):
    """Print the tables of a device."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    load = os.getloadavg()[0]
    busy = ": the machine is busy, compare cpu seconds" if load > 0.5 else ""
    print(
        f"torch {torch.__version__}, {device}, {torch.get_num_threads()} thread(s), {os.cpu_count()} cores, "
        f"load average {load:.1f}{busy}; median of {rounds} rounds (range)"
    )
    if device.startswith("cuda"):
        ensembles(rounds, device, ENSEMBLES, 1.0, 100)
    else:
        on_cpu(rounds)
        ensembles(rounds, device, ENSEMBLES[:3], 0.0625, 40)


if __name__ == "__main__":
    main(*(int(a) if a.isdigit() else a for a in sys.argv[1:]))
