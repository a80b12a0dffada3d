"""What the processes of a session do when nothing has happened for a while: they give back the memory that equals other sessions'."""

from __future__ import annotations

import contextlib

from cellblock_cell.likeness import Likeness
from cellblock_cell.pages import OwnMemory

_TIMES_A_CALL = 2  # a call may be so long that one rest is in the middle of it


class Rest:
    """One process's. Nothing is done before its first call: a cell that waits for its session is as quick as it can be."""

    def __init__(self, likeness: Likeness | None, memory: OwnMemory | None = None) -> None:
        """Without `memory` the process opens it when it rests."""
        self._likeness = likeness
        self._memory = memory
        self._left = 0

    @property
    def is_due(self) -> bool:
        """Whether there may be something to give back."""
        return self._left > 0

    def call_came(self) -> None:
        """There will be something to give back."""
        self._left = _TIMES_A_CALL if self._likeness else 0

    def begin(self) -> None:
        """Nothing has happened for the time of a rest."""
        if self._left and self._likeness is not None:
            self._left -= 1
            with contextlib.suppress(Exception):  # the user's code may have replaced whatever this uses
                if self._memory is not None:
                    self._likeness.give_back(self._memory)
                else:
                    with OwnMemory() as memory:
                        self._likeness.give_back(memory)
