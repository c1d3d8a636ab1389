"""What this machine has, in plain words: Python, torch, device, data, tools, stored runs, and time."""

import os
import platform
import shutil
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from implicit_rank.book.layout import BUDGETS

BOOK_TOOLS = ("jupyter-book", "papermill", "jupytext", "sphinx-proof", "sphinx-exercise", "sphinx-mathjax-offline")
DATA = {  # name shown -> places below a data root that torchvision fills, or that our own loaders read
    "MNIST": ("MNIST/raw/train-images-idx3-ubyte.gz", "MNIST/raw/train-images-idx3-ubyte"),
    "Fashion-MNIST": ("FashionMNIST/raw/train-images-idx3-ubyte.gz", "FashionMNIST/raw/train-images-idx3-ubyte"),
    "CIFAR-10": ("cifar-10-batches-py/data_batch_1", "cifar-10-python.tar.gz", "cifar10.npz"),
    "CelebA": ("celeba/img_align_celeba.zip", "celeba/img_align_celeba"),
}
REFERENCE_GFLOPS = 40.0  # a matrix product in double precision on two cores of the machine the budgets were set on


def report(folder: Path) -> list[str]:
    """The lines of `doctor`, top to bottom, for someone who works in `folder`."""
    lines = ["This machine", *machine(folder), "", "Data", *data_lines(), ""]
    lines += ["The book's tools", *tool_lines(), "", "Stored runs", *run_lines(), "", "Profiles", *profile_lines()]
    return lines


def machine(folder: Path) -> list[str]:
    """Interpreter, torch, devices, cores, memory and disk."""
    lines = [f"  Python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    try:
        import torch
    except ImportError as error:
        return [*lines, f"  torch cannot be imported: {error}"]
    from implicit_rank.train.memory import machine_bytes

    lines.append(f"  torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} CPU cores")
    lines += [f"  {line}" for line in cuda_lines(torch)]
    memory = machine_bytes()
    lines.append(f"  {memory / 2**30:.1f} GiB of memory" if memory else "  memory: unknown")
    lines.append(f"  {shutil.disk_usage(folder).free / 2**30:.1f} GiB free on the disk of this folder")
    return lines


def cuda_lines(torch) -> list[str]:
    """Each CUDA device and whether it really computes; Apple's device when there is one."""
    if getattr(torch.backends, "mps", None) and torch.backends.mps.is_available():
        return ["an Apple GPU (mps) is there; it has no double precision, so the book computes on the CPU"]
    if not torch.cuda.is_available():
        return ["no CUDA device: everything runs on the CPU"]
    lines = []
    for index in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_name(index)
        try:
            size = torch.cuda.get_device_properties(index).total_memory / 2**30
            a = torch.ones(8, 8, device=f"cuda:{index}")
            works = float((a @ a).sum()) == 512.0
        except RuntimeError as error:
            lines.append(f"cuda:{index} ({name}) is there but does not compute: {str(error).splitlines()[0]}")
            continue
        lines.append(f"cuda:{index}: {name}, {size:.0f} GiB, " + ("works" if works else "gives wrong numbers"))
    return lines


def found_data(root: Path) -> dict[str, bool]:
    """Which downloadable data sets lie below `root`."""
    return {name: any((root / place).exists() for place in places) for name, places in DATA.items()}


def data_lines() -> list[str]:
    from implicit_rank.data import data_root
    from implicit_rank.evaluate.inception import weights_file

    root = data_root()
    said = (
        "$IMPLICIT_RANK_DATA" if os.environ.get("IMPLICIT_RANK_DATA") else "the default; $IMPLICIT_RANK_DATA changes it"
    )
    lines = [f"  folder of downloaded data: {root} ({said})" + ("" if root.is_dir() else ", which does not exist yet")]
    lines += [f"  {name}: {'found' if there else 'not found'}" for name, there in found_data(root).items()]
    lines.append(
        "  always there: 12,000 images of MNIST (mnist-12k), its exact second moments, a small classifier of it, "
        "scikit-learn's digits, generated shapes"
    )
    lines.append(f"  Inception weights for Fréchet distances: {weights_file() or 'not found'}")
    return lines


def tool_lines() -> list[str]:
    lines, missing = [], []
    for name in BOOK_TOOLS:
        try:
            found = version(name)
        except PackageNotFoundError:
            missing.append(name)
            continue
        if name == "jupyter-book" and int(found.split(".")[0]) >= 2:
            lines.append(f"  jupyter-book {found} cannot build this book: pip install 'jupyter-book<2'")
    if missing:
        lines.append(f"  missing: {', '.join(missing)}; `make book` or pip install 'implicit-rank[book]' brings them")
    return lines or ["  complete"]


def run_lines() -> list[str]:
    from implicit_rank.store import Store

    store = Store()
    lines = []
    for experiment in store.experiments():
        damaged = store.check(experiment)
        if damaged:
            lines.append(f"  {experiment}: {len(damaged)} damaged, such as {next(iter(damaged))}")
            continue
        records = store.select(experiment)
        counts = ", ".join(
            f"{sum(r.profile == p for r in records)} {p}"
            for p in ("smoke", "quick", "paper")
            if any(r.profile == p for r in records)
        )
        stale = sum(r.stale for r in records)
        lines.append(f"  {experiment}: {counts}" + (f"; {stale} of them by older code" if stale else ""))
    return lines or [f"  none in {store.root}"]


def gflops(device: str = "cpu", size: int = 512, seconds: float = 0.3) -> float:
    """Speed of double-precision matrix products on `device`, measured for about `seconds`."""
    import torch

    a = torch.rand(4, size, size, dtype=torch.float64, device=device)
    done, begun = 0, time.perf_counter()
    while True:
        b = torch.bmm(a, a)
        done += 1
        if device != "cpu":
            b.sum().item()  # waits for the device
        spent = time.perf_counter() - begun
        if spent > seconds:
            return done * 4 * 2 * size**3 / spent / 1e9


def profile_lines() -> list[str]:
    """Which profiles will work, and how long, scaled from one small measurement."""
    import torch

    speed = gflops()
    slower = REFERENCE_GFLOPS / speed
    lines = [f"  this CPU: {speed:.0f} GFLOP/s in double precision (one rough measurement)"]
    for profile in ("smoke", "quick"):
        worst = BUDGETS[profile] * max(slower, 1.0)
        lines.append(f"  {profile}: works, needs no data and no network; at most some {worst:.0f} s per chapter")
    where = "on the CPU, minutes per chapter"
    if torch.cuda.is_available():
        where = f"{gflops('cuda'):.0f} GFLOP/s in double precision on the GPU"
    lines.append(f"  paper: linear chapters work ({where}); image chapters want a GPU and downloaded data")
    lines.append("  These are rough: the times of real runs stand on the page `running` of the built book.")
    return lines
