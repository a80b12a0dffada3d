"""First stage of the template: builds the root, enters it without the host's ids, and becomes the runtime's Python."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import NoReturn

from cellblock_cell import linux, rootfs


def launch(control: socket.socket) -> NoReturn:
    """Take the specification from the supervisor, prepare the root, exec the second stage; raises OSError when a step fails."""
    spec = json.loads(control.recv(1024 * 1024))
    root = rootfs.RootSpec(**spec["root"])
    if spec["privileged"]:  # the host's root mounts first: afterwards it could no longer read its own directories
        linux.unshare(linux.CLONE_NEWNS)
        rootfs.build_and_enter(root, staging=spec["staging"])
        linux.set_effective_user(spec["namespace_owner"])
        linux.unshare(linux.CLONE_NEWUSER)
        _wait_for_maps(control)
    else:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
        _wait_for_maps(control)
        rootfs.build_and_enter(root, staging=spec["staging"])
    rootfs.leave_host_ids()
    linux.join_new_session_keyring()
    control.send(b'{"event":"entered"}')
    os.set_inheritable(control.fileno(), True)
    os.execve(spec["python"], [spec["python"], *spec["arguments"], str(control.fileno())], spec["environment"])


def _wait_for_maps(control: socket.socket) -> None:
    control.send(b'{"event":"unshared"}')
    if not control.recv(64):
        raise OSError(0, "the supervisor went away", "id maps")


def main() -> int:
    """Run by the supervisor with the number of the control socket's descriptor as the only argument."""
    control = socket.socket(fileno=int(sys.argv[-1]))
    linux.close_all_but(control.fileno())
    try:
        launch(control)
    except OSError as error:
        control.send(json.dumps({"event": "failed", "message": f"{error.filename or 'launch'}: {error.strerror}"}).encode())
        return 1


if __name__ == "__main__":
    sys.exit(main())
