"""The warm process that cells are forked from: imports the libraries once, runs no user code, forks on request."""

from __future__ import annotations

import errno
import gc
import importlib
import json
import os
import signal
import socket
import sys
import warnings

from cellblock_cell import confine, holes, linux, model_session, rehearsal, warmth
from cellblock_cell.clone import clone
from cellblock_cell.fork_handlers import HANDLERS
from cellblock_cell.kernels import python as python_kernel
from cellblock_cell.likeness import NO_LIKENESSES, Likenesses

_MESSAGE_BYTES = 64 * 1024
_MOST_DESCRIPTORS = 64  # the link, one for each control group hierarchy, the entrance, and what is granted to the session


class Template:
    """Serves the supervisor's spawn requests on a SOCK_SEQPACKET socket until it closes."""

    def __init__(self, control: socket.socket, policy: confine.CellPolicy, likenesses: Likenesses) -> None:
        self._control = control
        self._policy = policy
        self._likenesses = likenesses

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
        pid, pidfd = clone(spec, self._policy, given, self._likenesses)
        try:
            message = json.dumps({"event": "spawned", "name": spec.name, "pid": pid}).encode()
            linux.send_with_descriptors(self._control, message, [pidfd])
        except OSError:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            os.close(pidfd)

    def _tell(self, event: dict[str, str | int]) -> None:
        self._control.send(json.dumps(event).encode())


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
    _silence_standard_streams()
    likenesses = NO_LIKENESSES
    if spec["rest_seconds"]:
        likenesses = model_session.observe(lambda requests, trial: Template(requests, policy, trial).serve(), spec["rest_seconds"])
    template = Template(control, policy, likenesses)
    control.send(json.dumps({"event": "ready", "python": sys.version.split()[0], "missing": missing}).encode())
    template.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
