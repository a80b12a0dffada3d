"""Starts the cell's processes, kills their groups, and reaps everything that ends, orphans too."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from cellblock_cell import linux
from cellblock_cell.entrance import Entrance, Program
from cellblock_cell.loop import READ, Loop

_REAPED_A_ROUND = 256
IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM)
_OOM_TRIES = 1000  # each some microseconds
_FIRST_TO_KILL = "1000"  # oom_score_adj: the kernel's memory killer takes user code before the agent


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended: its exit status, or the signal that killed it."""

    status: int
    signal: int = 0

    @property
    def exit_code(self) -> int:
        """The status as a shell gives it."""
        return 128 + self.signal if self.signal else self.status

    @property
    def text(self) -> str:
        """For a sentence: "was killed by SIGSEGV", "ended with status 7"."""
        return f"was killed by {signal_name(self.signal)}" if self.signal else f"ended with status {self.status}"


def signal_name(number: int) -> str:
    """SIGSEGV for 11; real-time signals have numbers only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Children:
    """Every child of this process; there is one of these in an agent, because signals and waiting are the process's own."""

    def __init__(self, loop: Loop, entrance: Entrance) -> None:
        self._loop = loop
        self.entrance = entrance
        self._ends: dict[int, Callable[[End], None]] = {}
        self._wakeup, self._alarm = socket.socketpair()
        self._wakeup.setblocking(False)
        self._alarm.setblocking(False)
        # handlers, not SIG_IGN: a child that is exec'ed gets the default back
        for number in (*IGNORED, signal.SIGCHLD):
            linux.set_signal(number, _do_nothing)
        signal.set_wakeup_fd(self._alarm.fileno(), warn_on_full_buffer=False)
        loop.watch(self._wakeup.fileno(), READ, self._woken)

    def add(self, pid: int, on_end: Callable[[End], None]) -> None:
        """Call `on_end` while the child is a zombie: its process group still belongs to it and can be killed."""
        self._ends[pid] = on_end

    def spawn(self, arguments: list[str], environment: dict[str, str], *, stdout: int, stderr: int) -> int:
        """Start a program that `spawn_program` describes; the caller then calls `add`. Raises OSError."""
        return spawn_program(Program(arguments, environment, {1: stdout, 2: stderr}), self.entrance)

    def kill_all(self) -> None:
        """Kill the group of every child that was added."""
        for pid in self._ends:
            kill_group(pid, signal.SIGKILL)

    def _woken(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4096)
        for _ in range(_REAPED_A_ROUND):
            if not self._reap_one():
                return
        self._loop.call_after(0, lambda: self._woken(READ))

    def _reap_one(self) -> bool:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        if found is None:
            return False
        on_end = self._ends.pop(found.si_pid, None)
        if on_end is not None:
            on_end(End(found.si_status) if found.si_code == os.CLD_EXITED else End(0, found.si_status))
        os.waitpid(found.si_pid, 0)
        return True


def spawn_program(program: Program, entrance: Entrance) -> int:
    """Start a program in a session of its own and in the user's group, with no input and its descriptors. Raises OSError."""
    entering = entrance.lead(program)
    pid = os.posix_spawn(
        entering.arguments[0],
        [*entering.arguments],
        {**entering.environment},
        file_actions=[(os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in entering.descriptors.items()],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores these
    )
    _let_be_killed_first(pid)
    return pid


def _let_be_killed_first(pid: int) -> None:
    """Raise what it inherited from the agent. A program is closed to this process for some moments after its exec has let it go on.

    The kernel wakes the parent of a vfork before it marks the new memory as dumpable, which decides who may write here.
    """
    for _ in range(_OOM_TRIES):
        try:
            linux.write_file(f"/proc/{pid}/oom_score_adj", _FIRST_TO_KILL)
        except PermissionError:
            os.sched_yield()
        except OSError:
            return  # it has ended
        else:
            return


def kill_group(pid: int, number: int) -> None:
    """Signal the process group that a child leads; a child that has not made its group yet is signalled alone."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def become_user_process() -> None:
    """In a forked child: the signals and the rank for the memory killer of an ordinary process, in a session of its own."""
    signal.set_wakeup_fd(-1)
    for number in (*IGNORED, signal.SIGCHLD):
        linux.set_signal(number, linux.DEFAULT_HANDLER)
    linux.set_signal(signal.SIGINT, _do_nothing)  # the kernel's loop decides when it may be interrupted
    os.setsid()
    with contextlib.suppress(OSError):
        linux.write_file("/proc/self/oom_score_adj", _FIRST_TO_KILL)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """The wakeup descriptor has told the loop."""
