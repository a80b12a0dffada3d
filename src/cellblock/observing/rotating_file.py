"""A file of lines that is only appended to, and set aside when it is full; so many old ones are kept."""

from __future__ import annotations

import os
from pathlib import Path

KEPT_FILES = 4  # beside the one that is written


class RotatingFile:
    """Whole lines go to the file in one write each. The owner closes it."""

    def __init__(self, path: Path, *, limit_bytes: int) -> None:
        """Raises OSError."""
        self._path = path
        self._limit_bytes = limit_bytes
        self._descriptor = -1
        self._open()

    def append(self, lines: bytes) -> None:
        """Add lines. Raises OSError."""
        if self._size + len(lines) > self._limit_bytes and self._size:
            self._rotate()
        os.write(self._descriptor, lines)
        self._size += len(lines)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        os.close(self._descriptor)
        for number in range(KEPT_FILES, 1, -1):
            older = numbered(self._path, number - 1)
            if older.exists():
                older.replace(numbered(self._path, number))
        self._path.replace(numbered(self._path, 1))
        self._open()


def numbered(path: Path, number: int) -> Path:
    """Where the file lies after so many times."""
    return path.with_name(f"{path.name}.{number}")


def oldest_first(path: Path) -> list[Path]:
    """The files that are there."""
    return [found for found in (*(numbered(path, number) for number in range(KEPT_FILES, 0, -1)), path) if found.exists()]
