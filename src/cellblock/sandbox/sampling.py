"""The memory limit where the host grants no control groups: the cells' processes are measured, and the largest of a cell is killed.

A cell that passes its limit takes memory from the host, so the host's own figure, which is cheap, says when to look at the cells.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import select
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cellblock.model.calls import CellUsage, MemoryUse
from cellblock.sandbox.groups import Group, GroupLimits, Kind
from cellblock_cell.likeness import NAME as LIKENESS

TICK_SECONDS = 0.02  # between two looks at the host's memory
SWEEP_SECONDS = 1.0  # between two looks at the cells when the host's memory stays as it is
_GROWTH_KB = 32 * 1024  # of the host's used memory, from which on the cells are looked at before that
_REST = 4  # a look at the cells is followed by a pause of so many times its length
_SPARED_BYTES = 16 * 1024 * 1024  # the death of a process that holds less would free nothing, and forbid `rm` in a full workspace
_FREE_SOCKETS = 256  # of a cell; ordinary programs have fewer, and what waits in so many is less than _SOCKET_BYTES for each
_SOCKET_BYTES = 416 * 1024  # of each socket more: what may wait in one at the usual net.core.wmem_max, whatever does
_GENTLE_LOOKS = (
    8  # after so many deaths all are killed that are large: looking at hundreds of processes again and again keeps others unseen
)
_DEATH_MILLISECONDS = 1000
_PF_EXITING = 0x4  # of a process's flags (include/linux/sched.h)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_TMPFS = ("workspace", "tmp", "dev/shm", "home/cell")
_MEMORY_INFO = Path("/proc/meminfo")
_SMAPS_BYTES = 16 * 1024 * 1024  # of a cell's processes, at one look: some twenty thousand areas; what lies beyond counts as the cell's
_IN_COMMON = re.compile(  # the whole name: a cell has files of any name below its directories, and memfd_create is denied where this counts
    rb"^[0-9a-f]+-[0-9a-f]+ ...p [0-9a-f]+ [0-9a-f:]+ [0-9]+ +/memfd:%b \(deleted\)\n((?:[A-Z]\w+:.*\n)+)" % LIKENESS.encode(), re.MULTILINE
)
_FIGURE = re.compile(rb"^(\w+): +([0-9]+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Glance:
    """What one read of a process's stat file tells; when all of a cell's are as before, so is its memory."""

    pid: int
    page_faults: int
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class _Memory:
    """A process's share of the memory that it has for itself, and of what it shares by mapping it (proc_pid_smaps(5))."""

    private_bytes: int
    shared_bytes: int


class SampledGroup:
    """The processes of one cell, found by their PID namespace."""

    def __init__(self, owner: SampledGroups, limits: GroupLimits) -> None:
        self._owner = owner
        self._limit = limits.memory_bytes
        self._kills = 0
        self._last: tuple[list[_Glance], int] = ([], 0)
        self._cpu_ticks = 0
        self.first_pid = 0
        self.namespace = ""

    def open_members(self) -> list[int]:
        """Nothing to join."""
        return []

    def open_entrance(self) -> list[int]:
        """Nothing to join."""
        return []

    def watch(self, first_pid: int) -> None:
        """From here on the cell is looked at; a cell that cannot be is not opened."""
        self.first_pid = first_pid
        try:
            self.namespace = os.readlink(f"/proc/{first_pid}/ns/pid")
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has died, which its link tells
        except PermissionError:  # so a process answers that is about to, too
            if not _is_ending(first_pid):
                raise
        self._owner.add(self)

    def out_of_memory_kills(self) -> int:
        """Counted before the signal is sent, so that who sees the death sees the count."""
        return self._kills

    def cpu_seconds(self) -> float:
        """What its processes tell. Parents have the time of children that ended, PID 1 that of orphans (proc_pid_stat(5))."""
        found = [stat for process in self._own() if (stat := _stat(process)) is not None]
        total = sum(int(ticks) for stat in found for ticks in stat[11:15])
        self._cpu_ticks = max(self._cpu_ticks, total)  # who ends unseen by its parent takes its time along
        return self._cpu_ticks / _TICKS_A_SECOND

    def memory(self) -> MemoryUse:
        """What its processes have for themselves, and its files."""
        found = [memory for process in self._own() if (memory := _memory(process)) is not None]
        return MemoryUse(sum(memory.private_bytes for memory in found) + self._file_bytes(), 0)

    def _own(self) -> list[Path]:
        """Its processes as the cell's own /proc lists them: no others, so that nobody else's have to be looked at."""
        if _namespace(self.first_pid) != self.namespace:
            raise ProcessLookupError(f"process {self.first_pid} has ended")  # its number may be another's
        own = f"/proc/{self.first_pid}/root/proc"
        return [Path(own, name) for name in os.listdir(own) if name.isdigit()]

    def usage(self) -> CellUsage:
        """The figures of its processes together."""
        return CellUsage(cpu_seconds=self.cpu_seconds(), memory_bytes=self.memory().now_bytes, process_count=len(self._own()))

    def was_at_limit(self) -> bool:
        """Only that leads to a death here."""
        return True

    def remove(self) -> None:
        """Look at it no more."""
        self._owner.discard(self)

    def check(self, pids: list[int]) -> None:
        """Kill the largest process of the user until the others are within the limit."""
        glances = [glance for pid in pids if pid != self.first_pid and (glance := _glance(pid)) is not None]
        files, sockets = self._file_bytes(), self._socket_bytes()
        if sum(glance.resident_bytes for glance in glances) + files + sockets <= self._limit or (glances, sockets) == self._last:
            return  # what processes share counts once for each of them here, so less is certain
        left = {glance.pid for glance in glances}
        for looks in itertools.count(1):
            victims = self._too_large(left, files, sockets)
            if not victims:
                break
            for pid in victims if looks > _GENTLE_LOOKS else victims[:1]:
                self._kill(pid)
                left.discard(pid)
            files, sockets = self._file_bytes(), self._socket_bytes()
        self._last = glances, sockets

    def _too_large(self, pids: set[int], file_bytes: int, socket_bytes: int) -> list[int]:
        """When they are beyond the limit, those whose death would free something, the largest first."""
        memory = {pid: found for pid in pids if (found := _memory(Path(f"/proc/{pid}"))) is not None}
        left = self._limit - socket_bytes - sum(found.private_bytes for found in memory.values())
        shared = sum(found.shared_bytes for found in memory.values())
        if not memory or max(file_bytes, shared) <= left:  # a mapped file of the cell is in both
            return []
        if max(file_bytes, shared - _in_common_bytes(memory)) <= left:
            return []
        sizes = {pid: found.private_bytes + found.shared_bytes for pid, found in memory.items()}
        if socket_bytes:
            sizes = {pid: size + _descriptor_count(pid) * _SOCKET_BYTES for pid, size in sizes.items()}
        return sorted((pid for pid, size in sizes.items() if size >= _SPARED_BYTES), key=lambda pid: -sizes[pid])

    def _kill(self, pid: int) -> None:
        """A process id may have passed to another process since it was looked at; the descriptor cannot."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if _namespace(pid) == self.namespace:
                self._kills += 1
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                ended = select.poll()
                ended.register(pidfd, select.POLLIN)
                ended.poll(_DEATH_MILLISECONDS)
        except ProcessLookupError:
            self._kills -= 1
        finally:
            os.close(pidfd)

    def _socket_bytes(self) -> int:
        """By the number of the cell's sockets alone: the kernel tells nobody what waits in them (proc_net(5), sockstat)."""
        with contextlib.suppress(OSError, ValueError):
            used = Path(f"/proc/{self.first_pid}/net/sockstat").read_text().partition("sockets: used ")[2].split()
            return max(0, int(used[0]) - _FREE_SOCKETS) * _SOCKET_BYTES if used else 0
        return 0

    def _file_bytes(self) -> int:
        total = 0
        for place in _TMPFS:
            with contextlib.suppress(OSError):  # the cell ends
                found = os.statvfs(f"/proc/{self.first_pid}/root/{place}")
                total += (found.f_blocks - found.f_bfree) * found.f_frsize
        return total


class SampledGroups:
    """Limits by setrlimit(2), and memory by looking at it."""

    kind: Kind = "none"

    def __init__(self) -> None:
        self._watched: set[SampledGroup] = set()
        self._has_cells = asyncio.Event()

    def create(self, name: str, limits: GroupLimits) -> Group:
        """The processes of a cell that will be told to it."""
        return SampledGroup(self, limits)

    def add(self, group: SampledGroup) -> None:
        """Look at this one."""
        self._watched.add(group)
        self._has_cells.set()

    def discard(self, group: SampledGroup) -> None:
        """Look at it no more."""
        self._watched.discard(group)

    async def enforce(self) -> None:
        """Look at the cells in a thread, because the kernel walks page tables for the answers."""
        while True:
            await self._has_cells.wait()
            if not self._watched:
                self._has_cells.clear()
                continue
            available, started = _available_kb(), time.monotonic()
            await _finished(self.sweep)
            rest = max(TICK_SECONDS, _REST * (time.monotonic() - started))
            await asyncio.sleep(rest)
            while _available_kb() > available - _GROWTH_KB and time.monotonic() - started < SWEEP_SECONDS:  # noqa: ASYNC110
                await asyncio.sleep(TICK_SECONDS)

    def sweep(self) -> None:
        """Look at every cell once."""
        groups = {group.namespace: group for group in list(self._watched)}
        pids: dict[str, list[int]] = {namespace: [] for namespace in groups}
        for name in os.listdir("/proc"):
            if name.isdigit() and (namespace := _namespace(int(name))) in pids:
                pids[namespace].append(int(name))
        for namespace, group in groups.items():
            if namespace:
                group.check(pids[namespace])

    def close(self) -> None:
        """Nothing is held."""


async def _finished(work: Callable[[], None]) -> None:
    """Who is cancelled meanwhile waits for the thread all the same: it must not kill by what it knew of cells that have ended."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def _namespace(pid: int) -> str:
    """The PID namespace's name; the empty string of a process that has ended or is another user's."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _glance(pid: int) -> _Glance | None:
    stat = _stat(Path(f"/proc/{pid}"))
    return _Glance(pid, page_faults=int(stat[7]), resident_bytes=int(stat[21]) * _PAGE_BYTES) if stat else None


def _stat(process: Path) -> list[bytes] | None:
    """The fields from the state on; None of a process that has ended."""
    try:
        return (process / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None


def _is_ending(pid: int) -> bool:
    stat = _stat(Path(f"/proc/{pid}"))
    return stat is None or bool(int(stat[6]) & _PF_EXITING)


def _memory(process: Path) -> _Memory | None:
    """None of a process that has ended."""
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    found = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines[1:])}
    return _Memory(private_bytes=found["Pss_Anon"] + found["SwapPss"], shared_bytes=found["Pss_Shmem"])


def _in_common_bytes(pids: Iterable[int]) -> int:
    """The processes' shares of the memory that they gave back, which is the template's; what they wrote over it is their own."""
    total, left = 0, _SMAPS_BYTES
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps", "rb") as areas:
                text = areas.read(left)
        except OSError:
            continue
        left -= len(text)
        for figures in _IN_COMMON.findall(text):
            found = {name: int(value) for name, value in _FIGURE.findall(figures)}
            total += max(0, found.get(b"Pss", 0) - found.get(b"Anonymous", 1 << 62)) * 1024
    return total


def _descriptor_count(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _available_kb() -> int:
    for line in _MEMORY_INFO.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1])
    return 0
