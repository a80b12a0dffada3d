"""Run on the host for one cell: copies mounts of host directories that the cell will attach, with the owner's id as the cell's."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from cellblock_cell import linux

_RESTRICTED = linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NODEV


class Unmountable(Exception):
    """A directory that cannot be given to a cell, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A directory, and the host ids of the cell; none when the caller's own are the cell's."""

    directory: str
    read_only: bool
    uid: int | None
    gid: int | None


def main() -> int:
    """Take wishes from the socket whose descriptor is the argument, answer with mounts in their order or with a reason."""
    control = socket.socket(fileno=int(sys.argv[-1]))
    wishes = [Wish(**wish) for wish in json.loads(control.recv(64 * 1024))]
    try:
        if os.geteuid() != 0:
            _enter_namespaces()
    except OSError as error:
        control.send(json.dumps({"failed": 0, "reason": f"{error.filename}: {error.strerror}"}).encode())
        return 1
    mounts: list[int] = []
    for number, wish in enumerate(wishes):
        try:
            mounts.append(_detached(wish))
        except (OSError, Unmountable) as error:
            control.send(json.dumps({"failed": number, "reason": _reason(error)}).encode())
            return 1
    linux.send_with_descriptors(control, b"{}", mounts)
    return 0


def _reason(error: OSError | Unmountable) -> str:
    """Without the path, which is the host's."""
    if isinstance(error, Unmountable):
        return str(error)
    return "its directory is reached by a link" if error.errno == errno.ELOOP else str(error.strerror)


def _enter_namespaces() -> None:
    """An ordinary user may copy mounts in a mount namespace of its own (user_namespaces(7))."""
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _detached(wish: Wish) -> int:
    """No link is followed on the way: code that may write to a directory above must not choose what is mounted."""
    directory = linux.open_without_links(wish.directory)
    try:
        if wish.uid is None or wish.gid is None:
            return linux.detach_mount(directory, _attributes(wish))
        owner = os.fstat(directory)
        if not wish.read_only and 0 in (owner.st_uid, owner.st_gid):
            raise Unmountable("its directory belongs to root and would be written to by code; it needs an owner and a group of its own")
        return _with_owner(directory, wish, owner)
    finally:
        os.close(directory)


def _with_owner(directory: int, wish: Wish, owner: os.stat_result) -> int:
    """Show the files of the directory's owner as the cell's (mount_setattr(2), MOUNT_ATTR_IDMAP)."""
    namespace = _user_namespace(f"{owner.st_uid} {wish.uid} 1", f"{owner.st_gid} {wish.gid} 1")
    try:
        return linux.detach_mount(directory, _attributes(wish), namespace)
    except OSError as error:
        raise Unmountable(f"what holds its directory cannot show other owners ({error.strerror})") from error
    finally:
        os.close(namespace)


def _user_namespace(uid_map: str, gid_map: str) -> int:
    """A descriptor of a user namespace with these maps; a child makes it and ends when its pipe closes."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _hold_namespace(theirs)
    theirs.close()
    with ours:
        if not ours.recv(1):
            raise Unmountable("no user namespace can be made")
        Path(f"/proc/{pid}/uid_map").write_text(uid_map)
        Path(f"/proc/{pid}/gid_map").write_text(gid_map)
        namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    os.waitpid(pid, 0)
    return namespace


def _hold_namespace(control: socket.socket) -> None:
    try:
        linux.unshare(linux.CLONE_NEWUSER)
        control.send(b"1")
        control.recv(1)
    finally:
        os._exit(0)


def _attributes(wish: Wish) -> int:
    return _RESTRICTED | (linux.MOUNT_ATTR_RDONLY if wish.read_only else 0)


if __name__ == "__main__":
    sys.exit(main())
