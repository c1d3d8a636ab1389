"""What a chapter's live run cost on the machine that made the page."""

from __future__ import annotations

import os
import sys
import time

import torch

from implicit_rank.figures.kit.slider import Html


def cost_card(began: float, device: str = "cpu") -> Html:
    """Return a small table: seconds since ``began`` (a ``time.perf_counter()``), memory, device, threads, network."""
    rows = [
        ("Time", f"{time.perf_counter() - began:.0f} s from the parameters cell to here"),
        ("Peak memory", f"{_peak_memory() / 2**20:,.0f} MiB" if _peak_memory() else "not known on this system"),
        ("Device", f"{device}, {torch.get_num_threads()} threads of {os.cpu_count()} cores"),
        ("Network", "none"),
    ]
    body = "".join(
        f"<tr><th scope=row style='text-align:left'>{name}</th><td>{value}</td></tr>" for name, value in rows
    )
    return Html(f'<table class="cost-card">{body}</table>')


def _peak_memory() -> int:
    """Return the peak resident memory of this process in bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # kilobytes on Linux
