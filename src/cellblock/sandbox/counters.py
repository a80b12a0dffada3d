"""Figures of the kernel that are asked for often: their files are opened once and read from the beginning each time."""

from __future__ import annotations

import os
import threading
from pathlib import Path

_BYTES = 256  # the figure that is wanted stands at the beginning of each file


class Counter:
    """One file; its owner closes it."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()  # guards _descriptor: a thread that reads must not meet the number's next user
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._descriptor = -1
        self.exists = self._descriptor >= 0  # kernels differ in what they count

    def number(self) -> int:
        """The last word of the first line. Raises OSError when the file is closed or its group removed."""
        return int(self._content().split(b"\n", 1)[0].rsplit(b" ", 1)[-1])

    def named(self, name: bytes) -> int:
        """The number on the line that begins with the name; 0 where the kernel has none. Raises OSError as `number` does."""
        for line in self._content().splitlines():
            key, _, value = line.partition(b" ")
            if key == name:
                return int(value)
        return 0

    def _content(self) -> bytes:
        with self._lock:
            return os.pread(self._descriptor, _BYTES, 0)

    def close(self) -> None:
        """Close the file; may be called again."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


class GroupCounters:
    """CPU time and memory of one control group, and how often memory was the reason for a kill in the user's one below it."""

    def __init__(self, *, cpu_time: Path, cpu_units: float, memory: Path, memory_peak: Path, kills: Path) -> None:
        self._cpu_time = Counter(cpu_time)
        self._cpu_units = cpu_units
        self._memory = Counter(memory)
        self._memory_peak = Counter(memory_peak)
        self._kills = Counter(kills)

    def cpu_seconds(self) -> float:
        """Of all its processes, those that have ended too."""
        return self._cpu_time.number() / self._cpu_units if self._cpu_time.exists else 0.0

    def memory_bytes(self) -> int:
        """At this moment."""
        return self._memory.number()

    def memory_peak_bytes(self) -> int:
        """The most there was; 0 where the kernel does not say."""
        return self._memory_peak.number() if self._memory_peak.exists else 0

    def out_of_memory_kills(self) -> int:
        """Since the group was made."""
        return self._kills.named(b"oom_kill")

    def close(self) -> None:
        """Close the files, before the group is removed."""
        for counter in (self._cpu_time, self._memory, self._memory_peak, self._kills):
            counter.close()
