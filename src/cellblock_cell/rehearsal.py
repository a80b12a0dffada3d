"""Makes the template do what every cell does first: what changes at first calls only is changed before the fork, and stays shared.

Python counts the calls of a function until it has made it faster, fills caches, and grows tables. Each such write in a cell copies a
page there. Measured: a session that has run a line of pandas keeps a sixth less memory of its own.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import NoReturn

from cellblock_cell import agent
from cellblock_cell.children import IGNORED
from cellblock_cell.kernels import python as python_kernel
from cellblock_cell.link import Decoder, Frame, Kind, Meta, encode

LINE = "print(1)"
PANDAS_LINE = "import pandas as pd; print(pd.DataFrame({'a': [1, 2]}).sum())"
_KERNEL_CALLS = 36
_AGENT_RUNS = 4
_AGENT_CALLS = 10  # Python makes a function faster at its eighth call
_SECONDS = 60
_READ_BYTES = 65536
CALL: Meta = {
    "tool": "run_code",
    "runtime": "python",
    "language": "python",
    "code": LINE,
    "output_bytes": 65536,
    "timeout_seconds": _SECONDS,
}


def rehearse(environment: Mapping[str, str]) -> None:
    """Be a kernel, then an agent with a kernel, each for some calls. The process must be single-threaded."""
    lines = (LINE, PANDAS_LINE) if "pandas" in sys.modules else (LINE,)
    with _as_before():
        python_kernel.rehearse([lines[number % len(lines)] for number in range(_KERNEL_CALLS)])
        for _ in range(_AGENT_RUNS):
            _be_agent(environment)


def _be_agent(environment: Mapping[str, str]) -> None:
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        theirs.close()
        _be_host(ours)
    ours.close()
    with theirs:
        agent.serve(agent.AgentConfig(workspace="/", environment=environment), theirs)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def _be_host(link: socket.socket) -> NoReturn:
    """Make one call after the other, then end, which closes the link."""
    try:
        link.settimeout(_SECONDS)
        decoder = Decoder()
        for number in range(1, _AGENT_CALLS + 1):
            link.sendall(encode(Frame(Kind.CALL, number, {**CALL})))
            while (data := link.recv(_READ_BYTES)) and not any(frame.kind is Kind.RESULT for frame in decoder.feed(data)):
                pass
    finally:
        os._exit(0)


@contextlib.contextmanager
def _as_before() -> Iterator[None]:
    """An agent changes what belongs to the process."""
    streams = {name: vars(sys)[name] for name in ("stdout", "__stdout__", "stderr", "__stderr__")}
    handlers = {number: signal.getsignal(number) for number in (*IGNORED, signal.SIGCHLD)}
    mask = os.umask(0o077)
    descriptors = _open_descriptors()
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        vars(sys).update(streams)
        os.umask(mask)
        os.chdir("/")
        gc.collect()  # closes what objects own; an agent and a kernel leave the rest to the end of their process
        for descriptor in _open_descriptors() - descriptors:
            os.close(descriptor)


def _open_descriptors() -> set[int]:
    listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return {int(name) for name in os.listdir(listing)} - {listing}
    finally:
        os.close(listing)
