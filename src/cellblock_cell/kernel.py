"""One kernel process seen from the agent: its frames, its pipes, its death. What it sends is not trusted."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from cellblock_cell import linux
from cellblock_cell.channel import Channel, HostLink
from cellblock_cell.children import Children, End, become_user_process, kill_group, spawn_program
from cellblock_cell.entrance import Entrance, Program
from cellblock_cell.fork_handlers import HANDLERS
from cellblock_cell.link import Frame, Kind, encode
from cellblock_cell.loop import Loop
from cellblock_cell.output import Abandoned, OutputPipes, Stream

CONNECTION = 3  # a kernel's descriptor for its frames, beside the standard streams
INTERRUPTS = 4  # and a program's for the frames that stop a call
_DEATH_SECONDS = 0.2  # from a closed connection to the news that the process ended; a living process is killed then


@dataclass(frozen=True, slots=True)
class KernelEnds:
    """A new kernel's side: its connection, where it prints, and the group that it is to enter."""

    entrance: Entrance
    connection: socket.socket
    stdout: int
    stderr: int


@dataclass(frozen=True, slots=True)
class Started:
    """A kernel process, the leader of a new session; where it hears of interrupts, unless it is at its connection."""

    pid: int
    interrupts: socket.socket | None = None


Launch = Callable[[KernelEnds], Started]
"""Starts a kernel process. Raises OSError."""


def forked(main: Callable[[socket.socket], None]) -> Launch:
    """A kernel that is a fork of this process and so shares its imports; `main` gets its connection."""

    def launch(ends: KernelEnds) -> Started:
        HANDLERS.leave_locks_out()
        try:
            pid = os.fork()
        finally:
            HANDLERS.leave_none_out()
        return Started(pid or _become_kernel(ends, main))

    return launch


def executed(arguments: Sequence[str], environment: Mapping[str, str]) -> Launch:
    """A kernel that is a program: its connection is its descriptor CONNECTION, and a thread of its own listens at INTERRUPTS."""

    def launch(ends: KernelEnds) -> Started:
        ours, theirs = socket.socketpair()
        descriptors = {1: ends.stdout, 2: ends.stderr, CONNECTION: ends.connection.fileno(), INTERRUPTS: theirs.fileno()}
        try:
            return Started(spawn_program(Program(arguments, environment, descriptors), ends.entrance), ours)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()

    return launch


def _become_kernel(ends: KernelEnds, main: Callable[[socket.socket], None]) -> NoReturn:
    """Never returns to the agent's loop, whose objects stay as they are: closing them would close the kernel's descriptors."""
    try:
        ends.entrance.take()  # before the user could reach this process
        linux.prctl(linux.PR_SET_DUMPABLE, 1)  # otherwise /proc/self belongs to root; the agent's memory holds no secret
        become_user_process()
        os.dup2(ends.stdout, 1)
        os.dup2(ends.stderr, 2)
        os.dup2(ends.connection.detach(), CONNECTION, inheritable=False)
        linux.close_all_but(CONNECTION)
        main(socket.socket(fileno=CONNECTION))
    finally:
        os._exit(70)


class KernelOwner(Protocol):
    """Who is told what a kernel does."""

    def kernel_sent(self, frame: Frame) -> None:
        """A well-formed frame, whose content is still the kernel's word."""

    def kernel_printed(self, stream: Stream, data: bytes) -> None:
        """Bytes from the kernel, its threads or its children, also while nothing runs."""

    def kernel_ended(self, end: End, fault: str) -> None:
        """The process is dead and all that it printed was passed on; `fault` says why the agent killed it, or is empty."""


class Kernel:
    """A running kernel process."""

    def __init__(self, loop: Loop, children: Children, owner: KernelOwner, launch: Launch) -> None:
        self._loop = loop
        self._owner: KernelOwner | None = owner
        self._fault = ""
        ours, theirs = socket.socketpair()
        try:
            self.pipes = OutputPipes(loop, owner.kernel_printed)
        except OSError:
            ours.close()
            theirs.close()
            raise
        try:
            started = launch(KernelEnds(children.entrance, theirs, self.pipes.stdout, self.pipes.stderr))
        except OSError:
            ours.close()
            self.pipes.close()
            raise
        finally:
            theirs.close()
            self.pipes.close_ends()
        self.pid, self._interrupts = started.pid, started.interrupts
        self.channel = Channel(loop, ours, on_frame=owner.kernel_sent, on_end=self._connection_lost)
        children.add(self.pid, self._ended)

    def interrupt(self, call: int) -> None:
        """As Ctrl-C would: the kernel and the programs that it runs in the foreground.

        The frame is for a kernel that has not begun the call yet, where the signal would be lost, and for one that hears no signal.
        """
        frame = Frame(Kind.CANCEL, call)
        if self._interrupts is None:
            self.channel.send(frame)
        else:
            with contextlib.suppress(OSError):  # it does not listen, and will be killed
                self._interrupts.send(encode(frame), socket.MSG_DONTWAIT)
        kill_group(self.pid, signal.SIGINT)

    def kill(self, fault: str = "") -> None:
        """SIGKILL; `kernel_ended` follows."""
        self._fault = self._fault or fault
        kill_group(self.pid, signal.SIGKILL)

    def feeds(self, link: HostLink) -> None:
        """What the kernel prints and sends waits while the host does not read."""
        link.attach(self.pipes)
        link.attach(self.channel)

    def feeds_nothing(self, link: HostLink) -> None:
        """What it prints is dropped, and so never has to wait."""
        link.detach(self.pipes)
        link.detach(self.channel)

    def disown(self, abandoned: Abandoned) -> None:
        """Forget the kernel: nothing of it reaches the owner from here on."""
        self.channel.close()
        if self._interrupts is not None:
            self._interrupts.close()
        abandoned.add(self.pipes)
        self._owner = None

    def _connection_lost(self, reason: str) -> None:
        """A dying process closes its connection just before it can be reaped; one that lives on cannot be used."""
        fault = f"its connection to the session broke: {reason}"
        self._loop.call_after(_DEATH_SECONDS, lambda: self.kill(fault) if self._owner else None)

    def _ended(self, end: End) -> None:
        kill_group(self.pid, signal.SIGKILL)  # the children of a dead kernel belong to nobody
        self.pipes.drain()
        if self._owner is not None:
            self._owner.kernel_ended(end, self._fault if end.signal == signal.SIGKILL else "")


def is_result(frame: Frame) -> bool:
    """Whether a kernel's frame ends a run and says so with an exit code."""
    code = frame.meta.get("exit_code")
    return frame.kind is Kind.RESULT and type(code) is int and 0 <= code <= 255  # a truth value is an int too
