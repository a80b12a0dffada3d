"""How long what ended by itself stays away before it is started again."""

from __future__ import annotations

LASTING_SECONDS = 60.0  # what has run so long did not fail to start


class Pauses:
    """Each is twice the one before, from the first to the longest in seconds; after a run that lasted they begin anew."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def after(self, ran_seconds: float) -> float:
        """The pause after a run of so many seconds."""
        pause = self._first if ran_seconds > LASTING_SECONDS else self._next
        self._next = min(pause * 2, self._longest)
        return pause
