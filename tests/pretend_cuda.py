"""A graphics card that is none: tensors on "cuda" stay in memory, are marked, and must not meet unmarked ones.

It finds tensors made on the wrong device and NumPy views of a GPU's memory, not what kernels, graphs or streams do.
"""

import collections
import contextlib
import traceback

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

MAY_MIX = {"copy_", "to", "__get__", "__set__", "__getitem__", "__setitem__", "_has_compatible_shallow_copy_type"}


def mark(tensor):
    """Where a tensor pretends to be: "cuda", "cpu", or None where nobody has seen it made."""
    return getattr(tensor, "_pretended", None)


class PretendedCuda(TorchFunctionMode):
    """Every device is the CPU, and `faults` counts what would have failed on a GPU, by sentence and line."""

    def __init__(self):
        super().__init__()
        self.faults = collections.Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", str(func))
        if func == Tensor.device.__get__:
            return torch.device("cuda") if mark(args[0]) == "cuda" else func(*args)
        if func == Tensor.data.__set__:
            func(*args)
            args[0]._pretended = mark(args[1])
            return None
        tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
        marks = {mark(x) for x in tensors} - {None}
        if name in ("numpy", "__array__") and mark(args[0]) == "cuda":
            self.fault(f"{name} of a CUDA tensor")
        # single numbers may come from the CPU
        if len({mark(x) for x in tensors if x.ndim} - {None}) > 1 and name not in MAY_MIX:
            self.fault(f"{name} of tensors on two devices")
        if name == "__getitem__" and mark(args[0]) == "cpu" and "cuda" in marks:
            self.fault("a CPU tensor indexed by a CUDA tensor")
        place, args, kwargs = asked(name, args, kwargs)
        out = func(*args, **kwargs)
        if place is None:
            place = "cuda" if "cuda" in marks else None if tensors and not marks else "cpu"
        if name in ("copy_", "__setitem__"):
            return out
        if name in ("to", "cpu", "cuda") and place != mark(out):
            out = out.clone()  # it may be the very tensor that was asked to move
        for tensor in tree_flatten(out)[0]:
            if isinstance(tensor, Tensor) and not any(tensor is x for x in tensors):
                tensor._pretended = place
        return out

    def fault(self, what):
        frame = [f for f in traceback.extract_stack() if f.filename != __file__ and "/torch/" not in f.filename][-1]
        self.faults[f"{what} at {frame.filename}:{frame.lineno}: {frame.line}"] += 1


def asked(name, args, kwargs):
    """The device that a call names, if it does, and the call with the CPU in its place."""
    place, args = "cpu" if name == "cpu" else None, list(args)
    if kwargs.get("device") is not None:
        place, kwargs["device"] = side(kwargs["device"]), "cpu"
    for i, value in enumerate(args[1:] if name == "to" else (), start=1):
        if isinstance(value, (str, torch.device)):
            place, args[i] = side(value), "cpu"
        elif isinstance(value, Tensor):
            place = mark(value)
    return place, args, kwargs


def side(device):
    """The side on which a device is: "cuda", or "cpu" for all others."""
    return "cuda" if torch.device(device).type == "cuda" else "cpu"


@contextlib.contextmanager
def pretended(monkeypatch):
    """Inside, the package's experiments run on "cuda", without graphs; yields the mode with its `faults`."""
    from implicit_rank import parameters
    from implicit_rank.experiments.irmae_images import experiment
    from implicit_rank.experiments.kit import autoencoder_run
    from implicit_rank.train import graph, loop

    class Generator(torch._C.Generator):
        def __new__(cls, device="cpu"):
            return super().__new__(cls, "cpu")

    for module in (parameters, loop, autoencoder_run, experiment):
        monkeypatch.setattr(module, "resolve_device", torch.device)
    for module in (loop, autoencoder_run):
        monkeypatch.setattr(module, "available_bytes", lambda device: 2**35)
    monkeypatch.setattr(graph, "Replayed", lambda step: step)
    monkeypatch.setattr(torch, "Generator", Generator)
    with PretendedCuda() as mode:
        yield mode
