"""The last line that a run has printed so far, for whoever watches its progress."""

from __future__ import annotations

SHOWN_BYTES = 200


class LastLine:
    """Implements cellblock.model.calls.Follower; looks at the run's buffers only when it is asked."""

    def __init__(self) -> None:
        self._buffers: tuple[bytearray, ...] = ()

    def begin(self, stdout: bytearray, stderr: bytearray) -> None:
        """See `Follower.begin`."""
        self._buffers = (stdout, stderr)

    def more(self) -> None:
        """See `Follower.more`."""

    def text(self) -> str:
        """Standard output's, else standard error's, where progress bars are; empty as long as nothing is printed."""
        return next(filter(None, map(_last_line, self._buffers)), "")


def _last_line(buffer: bytearray) -> str:
    """The line, or its end, without what a terminal would obey."""
    lines = bytes(buffer[-SHOWN_BYTES:]).decode("utf-8", "ignore").rstrip().splitlines()
    return "".join(character for character in lines[-1] if character.isprintable()).strip() if lines else ""
