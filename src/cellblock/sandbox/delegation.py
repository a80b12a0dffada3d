"""Controllers for the groups below a process's own: version 2 gives them only below a group that holds no process itself."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path

PREFIX = "cellblock-"  # of every group of a server, followed by its process id
_ASIDE = "host"


class Delegation:
    """A group that this process may divide. It steps aside into one below when it is in the way (cgroups(7), no internal processes)."""

    def __init__(self, own: Path) -> None:
        self._aside_name = f"{PREFIX}{os.getpid()}-{_ASIDE}"
        self.base = own.parent if own.name == self._aside_name else own  # another node of this process has stepped aside already

    def enable(self, controllers: Sequence[str]) -> None:
        """Let groups below have the controllers. Raises OSError, also when others are in the group; then nothing has changed."""
        try:
            self._control("+", controllers)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            self._step_aside(controllers)

    def release(self, controllers: Sequence[str]) -> None:
        """Step back when the groups of the last node are gone; before that the kernel refuses, and the next one tries."""
        aside = self.base / self._aside_name
        if aside.exists():
            with contextlib.suppress(OSError):
                self._control("-", controllers)
                self._step_back()

    def _step_aside(self, controllers: Sequence[str]) -> None:
        aside = self.base / self._aside_name
        aside.mkdir(exist_ok=True)
        _write(aside / "cgroup.procs", "0")
        try:
            self._control("+", controllers)
        except OSError:
            self._step_back()
            raise

    def _step_back(self) -> None:
        _write(self.base / "cgroup.procs", "0")
        (self.base / self._aside_name).rmdir()

    def _control(self, sign: str, controllers: Sequence[str]) -> None:
        _write(self.base / "cgroup.subtree_control", " ".join(f"{sign}{name}" for name in controllers))


def _write(path: Path, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)
