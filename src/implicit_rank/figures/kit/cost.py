"""What a chapter's live run cost on the machine that made the page."""

from __future__ import annotations

import os
import time

import torch

from implicit_rank.figures.kit.slider import Html
from implicit_rank.store.provenance import peak_memory_mb


def cost_card(began: float, device: str = "cpu") -> Html:
    """A small table: seconds since `began` (a `time.perf_counter()`), memory, device, threads, network."""
    peak = peak_memory_mb()
    rows = [
        ("Time", f"{time.perf_counter() - began:.0f} s from the parameters cell to here"),
        ("Peak memory", f"{peak:,.0f} MiB" if peak else "not known on this system"),
        ("Device", f"{device}, {torch.get_num_threads()} threads of {os.cpu_count()} cores"),
        ("Network", "none"),
    ]
    body = "".join(
        f"<tr><th scope=row style='text-align:left'>{name}</th><td>{value}</td></tr>" for name, value in rows
    )
    return Html(f'<table class="cost-card">{body}</table>')
