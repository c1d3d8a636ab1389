"""Grey values of more than 8 bits as 8 bits, by one rule for a whole folder, so that relative brightness survives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from implicit_rank.data.pictures import Picture

KINDS = {"whole": "whole numbers of more than 8 bits", "float": "floating-point numbers"}


def eight_bits(
    pictures: Sequence[Picture], channels: int, background: tuple[int, int, int]
) -> tuple[list[np.ndarray], list[str]]:
    """The pixels of all pictures as uint8, (size, size) or (size, size, 3), and a few words on every rule applied.

    Whole numbers: 16 bits divided by 257; as they are where none of the folder's is above 255; beyond 16 bits, or
    where some are negative, the folder's own range becomes 0 to 255. Floating-point numbers: from 0 to 1 times 255;
    where it is another range, or so dark that every pixel would come out black, the folder's own range again. That
    range goes from 0, or the least number if it is negative, to the largest.
    """
    rules, notes = {}, []
    for kind, words in KINDS.items():
        extremes = [picture.extremes for picture in pictures if picture.kind == kind]
        if extremes:
            low, high = min(least for least, _ in extremes), max(most for _, most in extremes)
            *rules[kind], said = _rule(kind, low, high)
            notes.append(f"{len(extremes)} in {words} (from {low:.6g} to {high:.6g}), {said}")
    return [_pixels(picture, rules, channels, background) for picture in pictures], notes


def _rule(kind: str, low: float, high: float) -> tuple[float, float, str]:
    """Which values become 0 and 255, and the rule in words."""
    if low >= 0 and kind == "whole" and high <= 255:
        return 0.0, 255.0, "taken as they are"
    if low >= 0 and kind == "whole" and high <= 65535:
        return 0.0, 65535.0, "divided by 257"
    if low >= 0 and kind == "float" and (1 / 255 <= high <= 1 or high == 0):
        return 0.0, 1.0, "times 255"
    low, high = min(low, 0.0), max(high, 0.0)
    return low, high, f"scaled so that {low:.6g} is 0 and {high:.6g} is 255"


def _pixels(picture: Picture, rules: dict, channels: int, background: tuple[int, int, int]) -> np.ndarray:
    if not picture.kind:
        return picture.pixels
    low, high = rules[picture.kind]
    clear = 0.0 if picture.clear is None else picture.clear
    grey = (picture.pixels.astype(np.float64) - low * (1 - clear)) * 255 / (high - low)
    if channels == 1:
        r, g, b = background
        whole = grey + clear * round(0.299 * r + 0.587 * g + 0.114 * b)  # Pillow's weights
    else:
        whole = grey[..., None] + np.multiply.outer(np.broadcast_to(clear, grey.shape), background)
    return np.rint(whole).clip(0, 255).astype(np.uint8)
