"""The signals of the server's process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator


class StopSignals:
    """Counts the signals that ask the process to stop; the second one asks not to wait. A hangup asks for a look at the certificates."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()
        self.on_reload: Callable[[], None] = lambda: None

    def ask(self) -> None:
        """One signal more."""
        (self.at_once if self.asked.is_set() else self.asked).set()

    def ask_at_once(self) -> None:
        """As by two signals."""
        self.asked.set()
        self.at_once.set()

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM and SIGHUP of this process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.ask)
        loop.add_signal_handler(signal.SIGHUP, self._hangup)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _hangup(self) -> None:
        """A terminal that is closed sends it too, and nobody would be left to stop the server."""
        if os.isatty(0):
            self.ask()
        else:
            self.on_reload()
