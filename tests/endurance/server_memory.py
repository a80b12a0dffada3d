"""The memory of a server's process, and what its other sessions notice of a burden."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from running_server import RunningServer

MIB = 1024 * 1024
LONGEST_SECONDS = 5.0


def resident_bytes(pid: int) -> int:
    """What is in memory."""
    return _status(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """The most that was in memory since `forget_peak`."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Let the peak begin at what is in memory (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


@dataclass
class Burden:
    """What was seen while the block ran."""

    peak_bytes: int = 0
    call_seconds: list[float] = field(default_factory=list)

    @property
    def p99(self) -> float:
        """Of the calls in a session that has nothing to do with the burden."""
        ordered = sorted(self.call_seconds)
        return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]

    def assert_nothing_stalled(self) -> None:
        """A generous bound, since machines that test are busy; the figures are printed for those who look."""
        print(f"{len(self.call_seconds)} calls of another session, p99 {self.p99 * 1000:.0f} ms, peak {self.peak_bytes / MIB:.0f} MiB")  # noqa: T201
        assert max(self.call_seconds) < LONGEST_SECONDS


@contextmanager
def watched(server: RunningServer) -> Iterator[Burden]:
    """Another session makes one call after the other for as long as the block runs, and at least one after it."""
    burden, is_over = Burden(), threading.Event()
    with server.session() as bystander, ThreadPoolExecutor(1) as thread:
        bystander.printed("print('warm')")
        forget_peak(server.process.pid)

        def call() -> None:
            while True:
                started, was_over = time.monotonic(), is_over.is_set()
                assert bystander.printed("print(1 + 1)") == "2"
                burden.call_seconds.append(time.monotonic() - started)
                if was_over:
                    return

        calling = thread.submit(call)
        try:
            yield burden
        finally:
            is_over.set()
        calling.result(timeout=60)
        burden.peak_bytes = peak_bytes(server.process.pid)
