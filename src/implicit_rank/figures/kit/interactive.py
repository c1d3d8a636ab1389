"""Figures a reader can turn or play, as self-contained HTML: nothing is loaded from anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from html import escape

import numpy as np

from implicit_rank.figures.kit.slider import Html


def turning_surface(
    radii: Sequence[float],
    heights: np.ndarray,
    paths: np.ndarray,
    path_heights: np.ndarray,
    steps: Sequence[int],
    description: str,
    tallest: float,
) -> Html:
    """A surface over the disc that can be turned and tilted, with paths that grow with a slider.

    `heights` (r, a) over `radii` (r,) and equal angles; `paths` (m, t, 2) with `path_heights` (m, t) and
    `steps` (t,). Heights are cut at `tallest` and scaled to [0, 1].
    """
    low = float(np.nanmin(heights))
    scale = lambda z: np.clip((z - low) / (tallest - low), 0, 1).round(4)  # noqa: E731
    data = {
        "r": np.round(radii, 4).tolist(),
        "z": scale(heights).tolist(),
        "paths": np.concatenate([paths.round(4), scale(path_heights)[..., None]], -1).tolist(),
        "steps": [int(step) for step in steps],
    }
    controls = (
        _slider("turn", "turn", 0, 360, 35)
        + _slider("tilt", "tilt", 5, 85, 65)
        + _slider("step", "descent", 0, len(data["steps"]) - 1, len(data["steps"]) - 1)
    )
    return _figure(
        "surface",
        description,
        f'<canvas width="720" height="440" style="width:100%;touch-action:none" '
        f'role="img" aria-label="{escape(description)}"></canvas>{controls}',
        _SURFACE,
        data,
    )


def sorting_matrix(times: Sequence[float], M: np.ndarray, description: str) -> Html:
    """The matrices `M` (t, k, k) as a square of cells, moved by a slider and a play button."""
    k = M.shape[1]
    data = {"t": [round(float(t), 3) for t in times], "M": M.round(3).tolist(), "top": float(np.abs(M).max())}
    cells = "".join(
        f'<rect data-cell="{i}-{j}" x="{50 * j + 1}" y="{50 * i + 1}" width="48" height="48" fill="#0072B2"></rect>'
        f'<text data-text="{i}-{j}" x="{50 * j + 25}" y="{50 * i + 30}" font-size="13" text-anchor="middle" '
        'fill="currentColor"></text>'
        for i in range(k)
        for j in range(k)
    )
    body = (
        f'<svg viewBox="0 0 {50 * k} {50 * k}" style="display:block;margin:auto;width:min(100%,24em)" role="img" '
        f'aria-label="{escape(description)}">{cells}</svg>'
        '<p style="display:flex;gap:.8em;align-items:center">'
        '<button type="button" aria-label="Play or pause">▶</button>'
        f'<input type="range" min="0" max="{len(data["t"]) - 1}" value="0" style="flex:1" aria-label="Time"/>'
        '<output style="min-width:6em"></output></p>'
    )
    return _figure("sorting", description, body, _SORTING, data)


def _slider(name: str, label: str, least: int, most: int, value: int) -> str:
    return (
        f'<label style="display:flex;gap:.8em;align-items:center"><span style="min-width:4.5em">{label}</span>'
        f'<input type="range" name="{name}" min="{least}" max="{most}" value="{value}" style="flex:1"/>'
        f'<output name="{name}" style="min-width:6em"></output></label>'
    )


def _figure(kind: str, description: str, body: str, script: str, data: dict) -> Html:
    text = json.dumps(data, separators=(",", ":"))
    name = f"{kind}-{hashlib.sha256((description + text).encode()).hexdigest()[:8]}"
    code = script.replace("NAME", json.dumps(name)).replace("DATA", text)
    return Html(
        f'<div id="{name}" role="group" aria-label="{escape(description)}" style="margin:1em 0">{body}'
        f"<script>{code}</script></div>"
    )


_SORTING = """
(function () {
  const box = document.getElementById(NAME), data = DATA;
  const [button, range, out] = ["button", "input", "output"].map(tag => box.querySelector(tag));
  let timer = null;
  function show(f) {
    range.value = f;
    out.textContent = "t = " + data.t[f].toFixed(1);
    data.M[f].forEach((row, i) => row.forEach((value, j) => {
      const cell = box.querySelector('[data-cell="' + i + "-" + j + '"]');
      cell.setAttribute("fill", value < 0 ? "#D55E00" : "#0072B2");
      cell.setAttribute("fill-opacity", (0.75 * Math.sqrt(Math.abs(value) / data.top)).toFixed(3));
      box.querySelector('[data-text="' + i + "-" + j + '"]').textContent = value.toFixed(2).replace("-", "\\u2212");
    }));
  }
  function stop() { clearInterval(timer); timer = null; button.textContent = "\\u25b6"; }
  range.addEventListener("input", () => { stop(); show(+range.value); });
  button.addEventListener("click", () => {
    if (timer) return stop();
    button.textContent = "\\u23f8";
    if (+range.value >= data.t.length - 1) show(0);
    timer = setInterval(() => {
      if (+range.value >= data.t.length - 1) return stop();
      show(+range.value + 1);
    }, 160);
  });
  show(0);
})();
"""

_SURFACE = """
(function () {
  const box = document.getElementById(NAME), data = DATA, canvas = box.querySelector("canvas");
  const input = name => box.querySelector('input[name="' + name + '"]');
  const out = name => box.querySelector('output[name="' + name + '"]');
  const pen = canvas.getContext("2d"), R = data.r[data.r.length - 1], A = data.z[0].length;
  const colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"];
  function draw() {
    const turn = input("turn").value * Math.PI / 180, tilt = input("tilt").value * Math.PI / 180;
    const [c, s, C, S] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
    const put = (x, y, z) => {
      const u = (x * c - y * s) / R, v = (x * s + y * c) / R, h = 0.75 * z;
      return [360 + 320 * u, 225 + 195 * v * S + 95 * C - 270 * h * C, v];
    };
    const faces = [];
    for (let i = 0; i + 1 < data.r.length; i++) for (let j = 0; j < A; j++) {
      const corner = (a, b) => {
        const t = 2 * Math.PI * (b % A) / A;
        return put(data.r[a] * Math.cos(t), data.r[a] * Math.sin(t), data.z[a][b % A]);
      };
      const q = [corner(i, j), corner(i, j + 1), corner(i + 1, j + 1), corner(i + 1, j)];
      const z = (data.z[i][j] + data.z[i + 1][(j + 1) % A]) / 2;
      faces.push({ depth: (q[0][2] + q[2][2]) / 2, paint: () => {
        pen.beginPath();
        q.forEach((p, n) => n ? pen.lineTo(p[0], p[1]) : pen.moveTo(p[0], p[1]));
        pen.closePath();
        const light = 96 - 58 * Math.sqrt(z);
        pen.fillStyle = pen.strokeStyle = "hsl(215 14% " + light + "%)";
        pen.fill();
        pen.strokeStyle = "hsl(215 14% " + (light - 7) + "%)";
        pen.stroke();
      } });
    }
    const last = +input("step").value;
    data.paths.forEach((path, m) => {
      for (let n = 1; n <= last && n < path.length; n++) {
        const [a, b] = [path[n - 1], path[n]].map(p => put(p[0], p[1], p[2] + 0.012));
        faces.push({ depth: Math.max(a[2], b[2]) + 0.12, paint: () => {
          pen.beginPath(); pen.moveTo(a[0], a[1]); pen.lineTo(b[0], b[1]);
          pen.strokeStyle = colours[m % 4]; pen.lineWidth = 3.5; pen.stroke(); pen.lineWidth = 1;
        } });
      }
      const p = path[Math.min(last, path.length - 1)], q = put(p[0], p[1], p[2] + 0.012);
      faces.push({ depth: q[2] + 0.2, paint: () => {
        pen.beginPath(); pen.arc(q[0], q[1], 7, 0, 7);
        pen.fillStyle = colours[m % 4]; pen.fill(); pen.strokeStyle = "white"; pen.stroke();
      } });
    });
    pen.clearRect(0, 0, canvas.width, canvas.height);
    faces.sort((a, b) => a.depth - b.depth).forEach(face => face.paint());
    out("turn").textContent = input("turn").value + "\\u00b0";
    out("tilt").textContent = input("tilt").value + "\\u00b0";
    out("step").textContent = "step " + data.steps[last].toLocaleString("en-US");
  }
  let held = null;
  canvas.addEventListener("pointerdown", e => {
    held = [e.clientX, e.clientY];
    canvas.setPointerCapture(e.pointerId);
  });
  canvas.addEventListener("pointerup", () => { held = null; });
  canvas.addEventListener("pointermove", e => {
    if (!held) return;
    input("turn").value = (+input("turn").value - (e.clientX - held[0]) * 0.6 + 720) % 360;
    input("tilt").value = +input("tilt").value + (e.clientY - held[1]) * 0.4;
    held = [e.clientX, e.clientY];
    draw();
  });
  ["turn", "tilt", "step"].forEach(name => input(name).addEventListener("input", draw));
  draw();
})();
"""
