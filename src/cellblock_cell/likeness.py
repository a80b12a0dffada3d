"""Memory that sessions have in common, in a sealed file: a process at rest exchanges its pages for the file's where they are equal.

A fork copies each page that it writes to, and most sessions write the same: what a kernel and an agent become at their start and with a
first line of code. The file holds what those of a model session had, where they had it. A later write copies the page again.
"""

from __future__ import annotations

import bisect
import contextlib
import ctypes
import errno
import fcntl
import gc
import math
import mmap
import os
import resource
import signal
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from cellblock_cell import linux
from cellblock_cell.machine_code import Exchange
from cellblock_cell.pages import PAGE, Area, OwnMemory, writable_areas

NAME = "cellblock-likeness"
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_MOST_AREAS = 20_000  # a process may have 65530 (vm.max_map_count), and an exchange that finds no room leaves a hole
_MOST_BYTES, _MAP_NORESERVE = 256 << 20, 0x4000
_OVERCOMMIT, _STRICT = Path("/proc/sys/vm/overcommit_memory"), "2"  # the system's own limit, which other processes may reach meanwhile
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA)  # the same: one that is reached during an exchange leaves a hole


class Likeness:
    """What one kind of process is compared with."""

    def __init__(self, exchange: Exchange, address: int = 0, count: int = 0) -> None:
        """So many rows of three words lie at the address: where pages lie together, where their likes are, how many bytes that is."""
        self._exchange = exchange
        self._address = address
        self._count = count

    def give_back(self, memory: OwnMemory) -> int:
        """How many bytes are the file's again, of this process's own. The process must be at rest.

        Nothing happens in a process where something else may write meanwhile, or where the exchange may fail. Raises OSError.
        """
        with _undisturbed():
            maps = memory.maps()
            if maps.count("\n") > _MOST_AREAS or not _is_alone() or any(resource.getrlimit(one)[0] >= 0 for one in _LIMITS):
                return 0
            areas = _joined(writable_areas(maps))
            words = (ctypes.c_uint64 * (3 * self._count)).from_address(self._address)
            triples = iter(memoryview(words).cast("B").cast("Q").tolist())
            rows = [row for row in zip(triples, triples, triples, strict=True) if _holds(areas, row[0], row[2])]
            return self._exchanged(rows, memory.pagemap)

    def _exchanged(self, rows: list[tuple[int, int, int]], pagemap: int) -> int:
        words = (ctypes.c_uint64 * (3 * len(rows)))(*chain.from_iterable(rows))
        entries = (ctypes.c_uint64 * max((length // PAGE for _, _, length in rows), default=1))()
        done = self._exchange(ctypes.addressof(words), len(rows), pagemap, ctypes.addressof(entries))
        if done < 0:
            raise OSError(-done, os.strerror(-done), "mremap")
        return done


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Without handlers of signals and finalizers: the user's could free memory that is to be compared, or start a thread."""
    had_collector, blocked = gc.isenabled(), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    gc.disable()
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        yield
    finally:
        if had_collector:
            gc.enable()
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@dataclass(frozen=True, slots=True)
class Likenesses:
    """Of the processes of a session; none where this system has no way to exchange pages."""

    agent: Likeness | None = None
    kernel: Likeness | None = None
    rest_seconds: float = math.inf  # without anything to do, before they compare themselves


NO_LIKENESSES = Likenesses()


class LikenessFile:
    """The file, mapped at one address here and in every fork. Whoever makes it closes it, and the mapping stays."""

    def __init__(self, exchange: Exchange) -> None:
        self.descriptor = os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._exchange = exchange
        rights = mmap.PROT_READ | mmap.PROT_WRITE
        self._view = linux.map_memory(_MOST_BYTES, rights, mmap.MAP_PRIVATE | _MAP_NORESERVE, self.descriptor)
        self.trial_page = linux.map_memory(PAGE, rights, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page = NAME.encode().ljust(PAGE, b"\0")
        os.pwrite(self.descriptor, page, 0)
        ctypes.memmove(self.trial_page, page, PAGE)
        self._trial_row = (ctypes.c_uint64 * 3)(self.trial_page, self._view, PAGE)

    def trial(self) -> Likeness:
        """Of one page, which tells that a process was at rest. Raises OSError where the system cannot exchange pages.

        Kernels before 5.13 cannot leave a file's mapping where it is, and say so when the other page is gone. One that promises no more
        memory than it has may refuse the file's pages when the process's own are gone.
        """
        if _OVERCOMMIT.read_text().strip() == _STRICT:
            raise OSError(errno.ENOMEM, f"{_OVERCOMMIT} is {_STRICT}, so that an exchange may fail half-way")
        trial = Likeness(self._exchange, ctypes.addressof(self._trial_row), 1)
        with OwnMemory() as memory:
            if trial.give_back(memory) != PAGE:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), "mremap")
        ctypes.memset(self.trial_page, ord(NAME[0]), 1)  # so that each fork has a page of its own to give back
        return trial

    def add(self, pages: Mapping[int, bytes]) -> tuple[int, int]:
        """Write pages by their addresses, then their rows; where those lie, and how many they are. Raises OSError."""
        words: list[int] = []
        end = self._end()
        for start, data in _runs(pages):
            words += (start, self._view + end, len(data))
            end += os.pwrite(self.descriptor, data, end)
        os.pwrite(self.descriptor, array("Q", words).tobytes().ljust(-(-8 * len(words) // PAGE) * PAGE, b"\0"), end)
        return self._view + end, len(words) // 3

    def seal(self) -> None:
        """Nobody changes it from here on. Raises OSError."""
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)
        end = self._end()
        linux.unmap_memory(self._view + end, _MOST_BYTES - end)
        linux.unmap_memory(self.trial_page, PAGE)

    def _end(self) -> int:
        return os.fstat(self.descriptor).st_size


def _runs(pages: Mapping[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """Those that follow each other, in one piece."""
    first, parts = 0, list[bytes]()
    for address in sorted(pages):
        if parts and address != first + len(parts) * PAGE:
            yield first, b"".join(parts)
            parts = []
        if not parts:
            first = address
        parts.append(pages[address])
    if parts:
        yield first, b"".join(parts)


def _is_alone() -> bool:
    """Whether the process has one thread, and locked no memory, which an exchange would unlock."""
    status = Path("/proc/self/status").read_text()
    return "\nThreads:\t1\n" in status and "\nVmLck:\t       0 kB\n" in status


def _joined(areas: Iterable[Area]) -> list[Area]:
    """Those that may be exchanged, neighbours as one."""
    found: list[Area] = []
    for area in areas:
        if not is_exchangeable(area):
            continue
        if found and found[-1].end == area.start:
            area = Area(found.pop().start, area.end)
        found.append(area)
    return found


def is_exchangeable(area: Area) -> bool:
    """Whether its pages may become a file's: a stack grows, and what else has a name in brackets is the kernel's."""
    return not area.name.startswith("[") or area.name == "[heap]"


def _holds(areas: list[Area], start: int, length: int) -> bool:
    number = bisect.bisect_right(areas, start, key=_start_of) - 1
    return number >= 0 and start + length <= areas[number].end


def _start_of(area: Area) -> int:
    return area.start
