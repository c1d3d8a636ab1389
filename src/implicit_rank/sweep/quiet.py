"""Preloaded by the worker processes of a local sweep: Ctrl-C and words for people are the caller's business."""

import atexit
import logging
import os
import signal


def dask_setup(worker: object) -> None:
    """Called by Dask when a worker starts; the terminal sends Ctrl-C to all processes, the caller tidies up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # results are with the caller by then, and taking PyTorch down in an orderly way costs seconds
    atexit.register(os._exit, 0)
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
