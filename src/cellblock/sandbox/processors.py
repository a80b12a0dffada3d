"""Which of the host's processors a cell is bound to: as many as its share of time fills, and those that the fewest cells have."""

from __future__ import annotations

import math
import os
from collections import Counter


class Processors:
    """Hands out processors that this process may use itself; with more cells than processors, several cells have the same."""

    def __init__(self) -> None:
        self._cells: Counter[int] = Counter()

    def take(self, cpus: float) -> tuple[int, ...]:
        """Those for one more cell, asked for each time: an administrator may bind a running server, or take a processor offline."""
        usable = sorted(os.sched_getaffinity(0), key=lambda number: (self._cells[number], number))
        taken = tuple(sorted(usable[: math.ceil(cpus)]))
        self._cells.update(taken)
        return taken

    def give_back(self, taken: tuple[int, ...]) -> None:
        """The cell is gone."""
        self._cells.subtract(taken)
