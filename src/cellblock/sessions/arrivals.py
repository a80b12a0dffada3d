"""How many sessions came lately, and so how many cells are worth keeping ready."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

WINDOW_SECONDS = 1.0  # a burst is what comes in so long: less time than the cells that follow it need
REMEMBERED_SECONDS = 60.0  # an agent that starts sessions one after the other comes again within a minute


@dataclass(slots=True)
class _Window:
    number: int
    count: int


class Arrivals:
    """Counts what comes in windows of a second; those of the last minute say what to expect."""

    def __init__(self) -> None:
        self._windows: deque[_Window] = deque()

    def add(self, time: float) -> None:
        """One came now."""
        self._forget(time)
        number = math.floor(time / WINDOW_SECONDS)
        if self._windows and self._windows[-1].number == number:
            self._windows[-1].count += 1
        else:
            self._windows.append(_Window(number, 1))

    def most(self, time: float) -> int:
        """The most that came in two windows side by side, since a burst need not keep to one."""
        self._forget(time)
        counts = {window.number: window.count for window in self._windows}
        return max((count + counts.get(number - 1, 0) for number, count in counts.items()), default=0)

    def next_change(self) -> float | None:
        """When the oldest of them is forgotten."""
        return (self._windows[0].number + 1) * WINDOW_SECONDS + REMEMBERED_SECONDS if self._windows else None

    def _forget(self, time: float) -> None:
        while self._windows and (self._windows[0].number + 1) * WINDOW_SECONDS + REMEMBERED_SECONDS <= time:
            self._windows.popleft()
