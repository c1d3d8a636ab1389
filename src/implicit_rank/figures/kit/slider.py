"""Bars that move with a slider: a self-contained piece of HTML, no script or font from anywhere else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from html import escape

import numpy as np


class Html:
    """A piece of HTML that notebooks show."""

    def __init__(self, text: str):
        self.text = text

    def _repr_html_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return "<interactive figure>"


def moving_bars(steps: Sequence[int], panels: dict[str, np.ndarray], description: str, marked: int = 0) -> Html:
    """Bars of every panel `(t, k)` over the steps `(t,)`, with a slider and a play button.

    The first `marked` bars are filled, the others only outlined. `description` is what a screen reader says.
    """
    name = "bars-" + hashlib.sha256(description.encode() + np.asarray(steps).tobytes()).hexdigest()[:8]
    data = {
        "steps": [int(step) for step in steps],
        # three digits are finer than a pixel
        "panels": [
            [[float(f"{value:.3g}") for value in row / np.nanmax(values)] for row in np.nan_to_num(values)]
            for values in panels.values()
        ],
    }
    drawn = []
    for p, (title, values) in enumerate(panels.items()):
        bars = "".join(
            f'<rect data-bar="{p}-{k}" x="{22 + k * 17}" width="12" y="120" height="0" '
            f"{'fill=currentColor' if k < marked else 'fill=none stroke=currentColor'}></rect>"
            f'<text x="{28 + k * 17}" y="133" font-size="9" text-anchor="middle" fill="currentColor">{k + 1}</text>'
            for k in range(values.shape[1])
        )
        width = 30 + 17 * values.shape[1]
        drawn.append(
            f'<figure style="margin:0;flex:1 1 16em"><svg viewBox="0 0 {width} 138" width="100%" aria-hidden="true">'
            f'<line x1="18" x2="{width - 6}" y1="120.5" y2="120.5" stroke="currentColor"></line>{bars}</svg>'
            f'<p style="margin:0;text-align:center">{escape(title)}</p></figure>'
        )
    return Html(
        f'<div id="{name}" role="group" aria-label="{escape(description)}" style="margin:1em 0">'
        f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(drawn)}</div>'
        '<p style="display:flex;gap:.8em;align-items:center">'
        '<button type="button" aria-label="Play or pause">▶</button>'
        f'<input type="range" min="0" max="{len(data["steps"]) - 1}" value="0" style="flex:1" aria-label="Step"/>'
        '<output style="min-width:8em">step 0</output></p>'
        f"<script>{_SCRIPT.replace('NAME', json.dumps(name)).replace('DATA', json.dumps(data, separators=(',', ':')))}"
        "</script></div>"
    )


_SCRIPT = """
(function () {
  const box = document.getElementById(NAME), data = DATA;
  const [button, range, out] = ["button", "input", "output"].map(tag => box.querySelector(tag));
  let timer = null;
  function show(t) {
    range.value = t;
    out.textContent = "step " + data.steps[t].toLocaleString("en-US");
    data.panels.forEach((panel, p) => panel[t].forEach((value, k) => {
      const bar = box.querySelector('[data-bar="' + p + "-" + k + '"]'), height = 112 * value;
      bar.setAttribute("height", height);
      bar.setAttribute("y", 120 - height);
    }));
  }
  function stop() { clearInterval(timer); timer = null; button.textContent = "\\u25b6"; }
  range.addEventListener("input", () => { stop(); show(+range.value); });
  button.addEventListener("click", () => {
    if (timer) return stop();
    button.textContent = "\\u23f8";
    timer = setInterval(() => {
      if (+range.value >= data.steps.length - 1) return stop();
      show(+range.value + 1);
    }, 90);
    if (+range.value >= data.steps.length - 1) show(0);
  });
  show(data.steps.length - 1);
})();
"""
