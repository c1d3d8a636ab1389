"""Linear networks inside autoencoders: greedy low rank, principal axes, and the runs of the book."""

__version__ = "0.1.0"
