"""Text that is too long for a model's context: its beginning, its end, and where the whole is."""

from __future__ import annotations

from dataclasses import dataclass

HEAD_SHARE = 2 / 3  # of what is shown: the beginning says what it is, the end how it ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortened:
    """What is shown of a text."""

    text: str
    is_whole: bool


def shortened(text: str, *, limit_bytes: int, rest: str) -> Shortened:
    """The text, or its two ends with a line between them that says what is left out; `rest` says where that is."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit_bytes:
        return Shortened(text=text, is_whole=True)
    head_bytes = int(limit_bytes * HEAD_SHARE)
    tail_bytes = limit_bytes - head_bytes
    head = data[:head_bytes].decode("utf-8", "ignore")
    tail = data[len(data) - tail_bytes :].decode("utf-8", "ignore") if tail_bytes else ""
    marker = f"[… {len(data) - head_bytes - tail_bytes} of {len(data)} bytes left out; {rest} …]"
    return Shortened(text=f"{head.rstrip()}\n{marker}\n{tail.lstrip()}", is_whole=False)


def beginning(text: str, *, limit_bytes: int, rest: str) -> Shortened:
    """The text, or its beginning with a line after it that says what is left out."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit_bytes:
        return Shortened(text=text, is_whole=True)
    head = data[:limit_bytes].decode("utf-8", "ignore")
    return Shortened(text=f"{head}\n[… {len(data) - limit_bytes} of {len(data)} bytes left out; {rest} …]", is_whole=False)


def shares(first_bytes: int, second_bytes: int, *, limit_bytes: int) -> tuple[int, int]:
    """How much of the limit each of two texts gets: what the smaller one does not need is the other's."""
    half = limit_bytes // 2
    if first_bytes <= half:
        return first_bytes, limit_bytes - first_bytes
    if second_bytes <= half:
        return limit_bytes - second_bytes, second_bytes
    return limit_bytes - half, half
