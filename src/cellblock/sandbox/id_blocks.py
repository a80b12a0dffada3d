"""Blocks of host ids, each held by one server of the machine: two with the same range never give one id to two cells."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from cellblock.errors import HostNotReady

BLOCK_IDS = 1024  # with the lowest ones at its multiples, whatever a server's range is


class Blocks:
    """What this server holds, by locks on files in a directory that the servers of the machine share; a dead server holds nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[int, int] = {}  # locked descriptors

    def take(self, ids: range) -> range:
        """Those of these ids that are in the next free block; none when all blocks are held. Raises HostNotReady."""
        for block in range(ids.start // BLOCK_IDS, (ids.stop - 1) // BLOCK_IDS + 1):
            if block not in self._held and self._is_taken(block):
                return range(max(ids.start, block * BLOCK_IDS), min(ids.stop, (block + 1) * BLOCK_IDS))
        return range(0)

    def close(self) -> None:
        """Let go of them."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def _is_taken(self, block: int) -> bool:
        path = self._directory / str(block)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HostNotReady(f"{path} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno == errno.EWOULDBLOCK:
                return False
            raise HostNotReady(f"{path} cannot be locked: {error.strerror}") from error
        self._held[block] = descriptor
        return True
