"""Many specs into the store: in this process, or spread over the workers of a Dask cluster; see `sweep`."""

from implicit_rank.sweep.ensembles import device_memory, ensembles_of, in_bytes
from implicit_rank.sweep.run import Swept, sweep
from implicit_rank.sweep.work import SweepError, facts

__all__ = ["SweepError", "Swept", "device_memory", "ensembles_of", "facts", "in_bytes", "sweep"]
