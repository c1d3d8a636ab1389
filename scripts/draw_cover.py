"""Draw the README's figure from the stored runs: python scripts/draw_cover.py"""

from pathlib import Path

from implicit_rank.figures.greedy_rank.figures import queue
from implicit_rank.store import Store, filter_records

paper = Store().select("deep_linear", profile="paper", data="synthetic")
vanilla = filter_records(paper, start="none")[0]
chain = filter_records(paper, start="orthogonal", depth=16, alpha=2.0, scale=0.001)[0]
target = Path(__file__).parents[1] / "book/_static/cover.png"
queue([vanilla, chain]).savefig(target, dpi=144, metadata={"Software": None})
