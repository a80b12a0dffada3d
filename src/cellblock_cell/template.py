"""The warm process that cells are forked from: imports the libraries once, runs no user code, forks on request."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import json
import os
import signal
import socket
import sys
import warnings
from collections.abc import Iterator
from typing import NoReturn

from cellblock_cell import confine, holes, linux, rehearsal, warmth
from cellblock_cell.fork_handlers import HANDLERS
from cellblock_cell.kernels import python as python_kernel

_MESSAGE_BYTES = 64 * 1024
_PF_EXITING = 0x4  # of a process's flags (include/linux/sched.h)
_MOST_DESCRIPTORS = 64  # the link, one for each control group hierarchy, the entrance, and what is granted to the session


class Template:
    """Serves the supervisor's spawn requests on a SOCK_SEQPACKET socket until it closes."""

    def __init__(self, control: socket.socket, policy: confine.CellPolicy) -> None:
        self._control = control
        self._policy = policy

    def serve(self) -> None:
        """One request at a time: this process stays single-threaded so that a fork copies a sane state."""
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, _MOST_DESCRIPTORS)
            if not data:
                return
            request = json.loads(data)
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)  # received descriptors are; no exec in the cell may keep one
            given = confine.Given.from_message(request["descriptors"], descriptors)
            try:
                self._spawn(confine.CellSpec.from_message(request["cell"]), given)
            except OSError as error:
                kind = errno.errorcode.get(error.errno or 0, "")
                self._tell({"event": "refused", "name": request["cell"]["name"], "kind": kind, "message": str(error)})
            finally:
                given.link.detach()
                for descriptor in descriptors:
                    os.close(descriptor)

    def _spawn(self, spec: confine.CellSpec, given: confine.Given) -> None:
        with _pipe() as (reader, writer):
            HANDLERS.leave_all_out()
            try:
                pid, pidfd = linux.fork_into(self._policy.clone_flags)
            finally:
                HANDLERS.leave_none_out()
            if pid == 0:
                os.close(writer)  # so that the clone sees the end of the pipe, and ends, when this process dies
                self._become_cell(spec, given, reader)
            self._finish(spec, pid, pidfd, maps_written=writer)

    def _finish(self, spec: confine.CellSpec, pid: int, pidfd: int, *, maps_written: int) -> None:
        try:
            _write_maps(pid, spec)
            os.write(maps_written, b"1")
            message = json.dumps({"event": "spawned", "name": spec.name, "pid": pid}).encode()
            linux.send_with_descriptors(self._control, message, [pidfd])
        except OSError as error:
            was_ending = _is_ending(pid)
            os.kill(pid, signal.SIGKILL)
            if was_ending:  # the files of such a process belong to nobody who may write them
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from error
            raise
        finally:
            os.close(pidfd)

    def _become_cell(self, spec: confine.CellSpec, given: confine.Given, maps_written: int) -> NoReturn:
        """Never returns to the template's loop, whatever happens."""
        try:
            os._exit(confine.enter(spec, self._policy, given, maps_written))
        finally:
            os._exit(70)

    def _tell(self, event: dict[str, str | int]) -> None:
        self._control.send(json.dumps(event).encode())


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def _is_ending(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return bool(int(stat.read().rpartition(b") ")[2].split()[6]) & _PF_EXITING)
    except (FileNotFoundError, ProcessLookupError):
        return True


def _write_maps(pid: int, spec: confine.CellSpec) -> None:
    """Map the cell's ids to the template's; the child waits for that (user_namespaces(7))."""
    if not spec.may_set_groups:
        linux.write_file(f"/proc/{pid}/setgroups", "deny")
    linux.write_file(f"/proc/{pid}/uid_map", spec.uid_map)
    linux.write_file(f"/proc/{pid}/gid_map", spec.gid_map)


def preload(modules: list[str]) -> list[str]:
    """Import what cells should find warm; the names that could not be imported."""
    missing: list[str] = []
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    return missing


def _silence_standard_streams() -> None:
    """What went to the supervisor while starting must not be a way out for cells."""
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def main() -> int:
    """Run by the first stage in the finished root, as the runtime's Python, with the control socket's descriptor as argument."""
    control = socket.socket(fileno=int(sys.argv[-1]))
    control.set_inheritable(False)
    spec = json.loads(control.recv(1024 * 1024))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the server's business
    policy = confine.CellPolicy.from_message(spec["policy"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        missing = preload(spec["preload"])
        warmth.warm_up(spec["preload"])
    python_kernel.prepare(policy.environment)
    rehearsal.rehearse(policy.environment)
    linux.last_capability()
    linux.landlock_abi()
    HANDLERS.release()
    gc.collect()
    holes.fill()
    linux.collapse_anonymous_memory()
    gc.freeze()  # a collection in a cell would write to, and so copy, every page that holds an object
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the supervisor holds pidfds; the kernel reaps (imports above may wait for children)
    template = Template(control, policy)
    _silence_standard_streams()
    control.send(json.dumps({"event": "ready", "python": sys.version.split()[0], "missing": missing}).encode())
    template.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
