"""Real cells for plain tests: a node in an event loop of its own thread, and what its processes look like from the host."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from typing import Any, TypeVar

import pyseccomp
import pytest

from cellblock.model.calls import NO_GRANTS, Call, CellLimits, CellUsage, Grants, MemoryUse, ReplyT, Run, RunCode, RunCommand
from cellblock.nodes.local import LocalCell, LocalNode, policy_for
from cellblock.runtime.layout import Runtime
from cellblock.sandbox.policy import Policy
from cellblock.settings import table

MIB = 1024 * 1024
LIMITS = CellLimits(memory_bytes=512 * MIB, process_count=128, cpus=1.0, workspace_bytes=64 * MIB, tmp_bytes=64 * MIB)
_WAIT_SECONDS = 90
_NEW_CALLS = {"memfd_secret": 447}

# What probes share: each prints one word, "done" or the name of the error.
PRELUDE = """
import ctypes, errno, fcntl, os, resource, signal, socket, struct, subprocess, sys, tempfile
libc = ctypes.CDLL(None, use_errno=True)

def word(result):
    return "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]

def call(number, *arguments):
    return word(libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)))

def attempt(action, *arguments, **named):
    try:
        action(*arguments, **named)
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
    return "done"

"""

ResultT = TypeVar("ResultT")


class BenchCell:
    """A cell whose calls wait."""

    def __init__(self, bench: Bench, cell: LocalCell) -> None:
        self._bench = bench
        self._cell = cell
        self.name = cell.name
        self.pid = cell.pid

    def call(self, request: Call[ReplyT]) -> ReplyT:
        """Any call."""
        return self._bench.wait(self._cell.call(request))

    def run(self, code: str, *, timeout_seconds: float = 30, output_bytes: int = MIB) -> Run:
        """Python in the cell's kernel, which is a fork of the template: what it has of rights it keeps."""
        request = RunCode(
            code=code,
            language="python",
            runtime="python",
            clear_context=False,
            timeout_seconds=timeout_seconds,
            output_bytes=output_bytes,
        )
        return self.call(request)

    def command(self, command: str, *, timeout_seconds: float = 30, output_bytes: int = MIB) -> Run:
        """A shell command."""
        return self.call(RunCommand(command=command, timeout_seconds=timeout_seconds, output_bytes=output_bytes))

    def begin_command(self, command: str, *, timeout_seconds: float = 30) -> Future[Run]:
        """A shell command that runs on while the test does something else."""
        return self.begin(RunCommand(command=command, timeout_seconds=timeout_seconds, output_bytes=MIB))

    def begin(self, request: Call[ReplyT]) -> Future[ReplyT]:
        """Any call that runs on; to cancel the future cancels the call."""
        return self._bench.begin(self._cell.call(request))

    def probe(self, code: str) -> str:
        """What Python code prints, with the prelude before it."""
        return text(self.run(PRELUDE + code))

    def shell(self, command: str) -> str:
        """What a command prints."""
        return text(self.command(command))

    def cpu_seconds(self) -> float:
        """The host's figure of the CPU time that it has used."""
        return self._cell.cpu_seconds()

    def memory(self) -> MemoryUse | None:
        """The host's figures of its memory."""
        return self._cell.memory()

    def usage(self) -> CellUsage | None:
        """The host's figures of what it has used."""
        return self._cell.usage()

    def wait_ended(self) -> str:
        """Why the cell ended."""
        return self._bench.wait(self._cell.wait_ended())

    def close(self) -> None:
        """End it."""
        self._bench.wait(self._cell.close())


class Bench:
    """A node and its loop, whose thread first does `enter`. Close it."""

    def __init__(
        self, node_settings: table.Settings, runtime: Runtime, policy: Policy | None = None, *, enter: Callable[[], object] = bool
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: (enter(), self._loop.run_forever()), name="bench", daemon=True)
        self._thread.start()
        self.node = LocalNode(node_settings, runtime, policy)
        try:
            self.wait(self.node.start())
        except BaseException:
            self._stop()
            raise

    def wait(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a coroutine in the node's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_WAIT_SECONDS)

    def begin(self, work: Coroutine[Any, Any, ResultT]) -> Future[ResultT]:
        """Start a coroutine in the node's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def open(self, limits: CellLimits = LIMITS, grants: Grants = NO_GRANTS) -> BenchCell:
        """A cell that the caller, or the bench's end, closes."""
        return BenchCell(self, self.wait(self._open(limits, grants)))

    @contextmanager
    def granted(self, **grants: Any) -> Iterator[BenchCell]:
        """A cell with grants, closed at the end."""
        opened = self.open(grants=Grants(**grants))
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def cell(self, **limits: Any) -> Iterator[BenchCell]:
        """A cell with some limits changed, closed at the end."""
        opened = self.open(dataclasses.replace(LIMITS, **limits))
        try:
            yield opened
        finally:
            opened.close()

    def close(self) -> None:
        """End the node with all its cells."""
        try:
            self.wait(self.node.close())
        finally:
            self._stop()

    async def _open(self, limits: CellLimits, grants: Grants) -> LocalCell:
        cell = await self.node.open_cell(limits, grants)
        assert isinstance(cell, LocalCell)
        return cell

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_WAIT_SECONDS)
        self._loop.close()


Weakened = Callable[..., Bench]
"""Gives the node that lacks what its arguments say, which are those of `weaker_policy`."""


def bench_settings(**changes: Any) -> table.Settings:
    """This process's settings, with a template that starts fast because it preloads nothing."""
    return dataclasses.replace(table.load(), preload=(), **changes)


@contextmanager
def kept_benches(make: Weakened) -> Iterator[Weakened]:
    """Benches for the tests of a worker: the same arguments give the same one, and all end with the block."""
    benches: dict[str, Bench] = {}

    def get(**changes: Any) -> Bench:
        key = repr(sorted(changes.items()))
        if key not in benches:
            benches[key] = make(**changes)
        return benches[key]

    try:
        yield get
    finally:
        for bench in benches.values():
            bench.close()


@contextmanager
def limited_by(kind: str, runtime: Runtime) -> Iterator[Bench]:
    """A node whose cells have limits of this kind, "v2", "v1" or "none"; the test is skipped where the host has another kind."""
    with closing(Bench(bench_settings(cgroup="none" if kind == "none" else "auto"), runtime)) as bench:
        if (other := bench.node.group_kind) != kind:
            instead = " that this user may write to" if other == "none" else f", and they are in cgroup {other} here"
            pytest.skip(f"needs the memory and process controllers in cgroup {kind}{instead}")
        yield bench


def weaker_policy(runtime: Runtime, *, without: tuple[str, ...] = (), **changes: Any) -> Policy:
    """The policy of this machine with steps or namespaces left out and other values changed."""
    policy = policy_for(bench_settings(), runtime)
    changes.setdefault("steps", tuple(step for step in policy.steps if step not in without))
    changes.setdefault("namespaces", tuple(name for name in policy.namespaces if name not in without))
    return dataclasses.replace(policy, **changes)


def text(run: Run) -> str:
    """What a run printed; the error output when it printed nothing else."""
    return (run.stdout or run.stderr).decode(errors="replace").strip()


def number_of(name: str) -> int:
    """The number of a system call; of those that old versions of libseccomp do not know, it is the same everywhere."""
    if name in _NEW_CALLS:
        return _NEW_CALLS[name]
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    assert isinstance(number, int)
    return number


def on_host(code: str, *arguments: str, **options: Any) -> str:
    """What a probe prints in a plain process of the host."""
    command = [sys.executable, "-c", PRELUDE + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WAIT_SECONDS, **options)
    return str(done.stdout or done.stderr).strip()


def wait_gone(pid: int, seconds: float = 10) -> bool:
    """Wait until a process that need not be a child has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(_readable(pidfd, seconds))
    finally:
        os.close(pidfd)


def _readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
