"""What libraries do at each fork of a process, left out where a fork makes a cell: one thread runs there, and it holds no lock.

Such handlers renew locks, look through all threads and empty caches, which costs a cell's agent 130 pages of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

_RENEW_LOCKS = ("threading", "logging", "concurrent.futures.thread")  # modules whose handlers do nothing else


@dataclass(frozen=True, slots=True)
class _Handler:
    module: str
    before: Callable[[], object] | None
    in_parent: Callable[[], object] | None
    in_child: Callable[[], object] | None


class _Handlers:
    def __init__(self) -> None:
        self._register = os.register_at_fork
        self._all: list[_Handler] = []
        self._without_locks: list[_Handler] = []
        self._due = self._all

    def gather(self) -> None:
        """Stand between `os.register_at_fork` and who calls it, until `release`."""
        self._register(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)
        vars(os)["register_at_fork"] = self._keep

    def release(self) -> None:
        """Let later ones register with Python itself."""
        vars(os)["register_at_fork"] = self._register
        self._without_locks = [one for one in self._all if one.module not in _RENEW_LOCKS]

    def leave_all_out(self) -> None:
        """At forks until `leave_none_out`, in the parent and in the child: the child is an agent."""
        self._due = []

    def leave_locks_out(self) -> None:
        """In the same way: the child is a kernel."""
        self._due = self._without_locks

    def leave_none_out(self) -> None:
        """The child is whoever's."""
        self._due = self._all

    def _keep(
        self,
        *,
        before: Callable[[], object] | None = None,
        after_in_parent: Callable[[], object] | None = None,
        after_in_child: Callable[[], object] | None = None,
    ) -> None:
        module = str(sys._getframe(1).f_globals.get("__name__"))  # a lock's own method does not know where it is registered
        self._all.append(_Handler(module, before, after_in_parent, after_in_child))

    def _before(self) -> None:
        for one in reversed(self._due):
            if one.before:
                one.before()

    def _in_parent(self) -> None:
        for one in self._due:
            if one.in_parent:
                one.in_parent()

    def _in_child(self) -> None:
        for one in self._due:
            if one.in_child:
                one.in_child()


HANDLERS = _Handlers()
