"""Linear networks inside autoencoders: greedy low rank, principal axes, and the runs of the book."""

import os

__version__ = "0.1.0"
__all__ = ["LinearChain"]

# Threads that wait by spinning make small matrices a hundred times slower when others want the same cores.
# Read once, when PyTorch starts; whoever sets it keeps their own.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name):
    # On first use, so that commands which need no PyTorch do not wait for it
    if name == "LinearChain":
        from implicit_rank.chain import LinearChain

        return LinearChain
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
