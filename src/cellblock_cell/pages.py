"""A process's memory as the kernel describes it: what is mapped where, and which pages it has for itself (proc(5), maps and pagemap)."""

from __future__ import annotations

import mmap
import os
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

PAGE = mmap.PAGESIZE
_READ_BYTES = 64 * 1024
_FOR_ITSELF = 1 << 63 | 1 << 61 | 1 << 56  # present, of a file, mapped once (Documentation/admin-guide/mm/pagemap.rst)
_OF_FILE = 1 << 63 | 1 << 61
_IS_FOR_ITSELF = 1 << 63 | 1 << 56


@dataclass(frozen=True, slots=True)
class Area:
    """A range of addresses."""

    start: int
    end: int
    name: str = ""  # a path, or a name in brackets

    @property
    def length(self) -> int:
        """In bytes."""
        return self.end - self.start


def writable_areas(maps: str) -> Iterator[Area]:
    """Where a process may write to memory that is not shared, in the order of the addresses; `maps` is the file's text."""
    for line in maps.splitlines():
        if " rw-p " in line:
            span, _, _, _, _, *name = line.split(maxsplit=5)
            start, _, end = span.partition("-")
            yield Area(int(start, 16), int(end, 16), name[0] if name else "")


def own_pages(process: Path, area: Area) -> set[int]:
    """The addresses of the pages there that no other process has: it wrote to them, and they are not a file's."""
    with (process / "pagemap").open("rb", buffering=0) as table:
        table.seek(area.start // PAGE * 8)
        words = array("Q", table.read(area.length // PAGE * 8))
    return {area.start + PAGE * number for number, word in enumerate(words) if word & _FOR_ITSELF == _IS_FOR_ITSELF}


def is_of_file(process: Path, address: int) -> bool:
    """Whether the page there is one of a file's, and was not written to."""
    with (process / "pagemap").open("rb", buffering=0) as table:
        table.seek(address // PAGE * 8)
        return int.from_bytes(table.read(8), sys.byteorder) & _OF_FILE == _OF_FILE


class OwnMemory:
    """This process's own tables, held open: an agent later closes its /proc to itself. Whoever makes it closes it."""

    def __init__(self) -> None:
        self._maps = os.open("/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self._maps)
            raise

    def __enter__(self) -> OwnMemory:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._maps)
        os.close(self.pagemap)

    def maps(self) -> str:
        """What is mapped where."""
        os.lseek(self._maps, 0, os.SEEK_SET)
        parts: list[bytes] = []
        while part := os.read(self._maps, _READ_BYTES):
            parts.append(part)
        return b"".join(parts).decode(errors="replace")
