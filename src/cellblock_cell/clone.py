"""Makes one cell: a clone of this process, in namespaces of its own, that waits for its ids and then confines itself."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Iterator
from typing import NoReturn

from cellblock_cell import confine, linux
from cellblock_cell.fork_handlers import HANDLERS
from cellblock_cell.likeness import Likenesses

_PF_EXITING = 0x4  # of a process's flags (include/linux/sched.h)


def clone(spec: confine.CellSpec, policy: confine.CellPolicy, given: confine.Given, likenesses: Likenesses) -> tuple[int, int]:
    """The process id and a descriptor of the process, which the caller closes. Raises OSError."""
    with _pipe() as (reader, writer):
        HANDLERS.leave_all_out()
        try:
            pid, pidfd = linux.fork_into(policy.clone_flags)
        finally:
            HANDLERS.leave_none_out()
        if pid == 0:
            os.close(writer)  # so that the clone sees the end of the pipe, and ends, when this process dies
            _become_cell(spec, policy, given, reader, likenesses)
        try:
            _write_maps(pid, spec)
            os.write(writer, b"1")
        except OSError as error:
            was_ending = _is_ending(pid)
            os.kill(pid, signal.SIGKILL)
            os.close(pidfd)
            if was_ending:  # the files of such a process belong to nobody who may write them
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from error
            raise
        return pid, pidfd


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def _become_cell(
    spec: confine.CellSpec, policy: confine.CellPolicy, given: confine.Given, maps_written: int, likenesses: Likenesses
) -> NoReturn:
    """Never returns to the caller's loop, whatever happens."""
    try:
        os._exit(confine.enter(spec, policy, given, maps_written, likenesses))
    finally:
        os._exit(70)


def _is_ending(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return bool(int(stat.read().rpartition(b") ")[2].split()[6]) & _PF_EXITING)
    except (FileNotFoundError, ProcessLookupError):
        return True


def _write_maps(pid: int, spec: confine.CellSpec) -> None:
    """Map the cell's ids to this process's; the child waits for that (user_namespaces(7))."""
    if not spec.may_set_groups:
        linux.write_file(f"/proc/{pid}/setgroups", "deny")
    linux.write_file(f"/proc/{pid}/uid_map", spec.uid_map)
    linux.write_file(f"/proc/{pid}/gid_map", spec.gid_map)
