"""Detached mounts of host directories, made by a short-lived process for the cell that will attach them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from cellblock.errors import MountFailed
from cellblock.model.calls import Mount

_SECONDS = 20  # a network file system that does not answer keeps the start waiting, and nobody else
_MESSAGE_BYTES = 64 * 1024
_log = structlog.get_logger("cellblock.mounts")
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from cellblock_cell import detach; sys.exit(detach.main())"


async def detach(mounts: Sequence[Mount], *, code: Path, host_ids: tuple[int, int] | None) -> tuple[int, ...]:
    """A descriptor for each mount, which the caller closes. Raises MountFailed."""
    uid, gid = host_ids or (None, None)
    wishes = [{"directory": str(mount.directory), "read_only": mount.read_only, "uid": uid, "gid": gid} for mount in mounts]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(json.dumps(wishes).encode())
        await _run(code, theirs, mounts)
        theirs.close()
        answer, descriptors, _, _ = socket.recv_fds(ours, _MESSAGE_BYTES, len(mounts))
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    message: dict[str, Any] = json.loads(answer) if answer else {"failed": 0, "reason": "the process that mounts died"}
    if "failed" in message:
        raise _failed(mounts[message["failed"]], message["reason"])
    return tuple(descriptors)


def _failed(mount: Mount, reason: str) -> MountFailed:
    _log.error("a file system could not be mounted", name=mount.name, directory=str(mount.directory), reason=reason)
    return MountFailed(mount.name, reason)


async def _run(code: Path, control: socket.socket, mounts: Sequence[Mount]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-B", "-c", _PROGRAM, str(code), str(control.fileno())),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        pass_fds=(control.fileno(),),
        env={},
        cwd="/",
    )
    try:
        async with asyncio.timeout(_SECONDS):
            await process.wait()
    except TimeoutError as error:
        raise _failed(mounts[0], f"it took more than {_SECONDS} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
