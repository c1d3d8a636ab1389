"""Progress of long runs in the terminal: a bar where there is one, else a line a minute."""

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO


def describe(seconds: float | None) -> str:
    """A duration in words fit for a rough estimate."""
    if seconds is None:
        return "nobody has timed these yet"
    if seconds < 90:
        return f"roughly {max(1, round(seconds))} s"
    return f"roughly {seconds / 60:.0f} min" if seconds < 5400 else f"roughly {seconds / 3600:.1f} h"


class Progress:
    """Called with (share, text): a tqdm bar on a terminal, else one line per minute. Close it at the end.

    The time left is reckoned from the first report on, so that a resumed run, which begins with a large share, is
    not promised too early an end.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        self.stream = stream or sys.stdout
        self.clock, self.bar = clock, None
        self.live = self.stream is not None and self.stream.isatty()  # None: the output was closed
        self.first: tuple[float, float] | None = None  # clock and share of the first report
        self.shown: float | None = None
        self.finished = False

    def __call__(self, share: float, text: str = "") -> None:
        now = self.clock()
        self.first = self.first or (now, share)
        due = self.shown is None or now - self.shown >= (0.2 if self.live else 60)
        if self.finished or not (due or share >= 1):
            return
        self.shown, self.finished = now, share >= 1
        if self.live:
            self._draw(min(share, 1.0), text)
            return
        gained, left = share - self.first[1], ""
        if gained > 0.005 and share < 1:
            left = f", {describe((now - self.first[0]) * (1 - share) / gained)} left"
        print(f"  {share:4.0%} {text}{left}", file=self.stream, flush=True)

    def _draw(self, share: float, text: str) -> None:
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(
                total=1.0,
                initial=share,
                file=self.stream,
                dynamic_ncols=True,
                bar_format="{percentage:3.0f}%|{bar:24}| {elapsed}<{remaining}{postfix}",
            )
        self.bar.n = share
        self.bar.set_postfix_str(text)

    def close(self) -> None:
        """Leave the bar as it stands and go to the next line."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
