"""Training of nonlinear autoencoders: one loop, whole ensembles, a leading member axis."""

from implicit_rank.train.history import History
from implicit_rank.train.loop import Training, train
from implicit_rank.train.rules import Diverged, StableRank, TargetError
from implicit_rank.train.settings import Member, Settings

__all__ = ["Diverged", "History", "Member", "Settings", "StableRank", "TargetError", "Training", "train"]
