"""Becomes a cell's user-mode network stack: a program with the host's network, no file of the host, and no rights beyond that cell.

It runs beside the cells, not in one. What the cell sends is parsed by this program; who takes it over finds himself in the cell's
own user namespace, in a root with the program's libraries and a device for taps.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import select
import signal
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from cellblock_cell import linux, rootfs
from cellblock_cell.linux import MS_BIND, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC

_DEVICES, _TUN = "/dev/net", "/dev/net/tun"
_TUN_NUMBER = os.makedev(10, 200)
_STAGING = "/tmp"
_OPEN_FILES = 1024  # each connection of the cell is one
NAMESPACE = "/network"  # where the program finds the cell's


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What the host asks for: paths are bound read-only where they are; `owner` is the id to become, if root asks.

    The stack joins the control groups of the cell's agent by writing to the descriptors, and so takes its time from that cell's share.
    Its input ends when the server does; its output tells the server that it is ready.
    """

    owner: int | None
    groups: list[int]
    user_namespace: int
    network_namespace: int
    binds: list[str]
    links: dict[str, str]
    name_servers: str
    confines_itself: bool  # the program reads /proc/self and then mounts an empty root of its own over /tmp
    program: list[str]


def launch(wanted: Launch) -> None:
    """Does not return. Raises OSError when a step fails."""
    os.umask(0o022)
    for descriptor in wanted.groups:
        os.write(descriptor, b"0")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    if wanted.owner is not None:
        _make_device(wanted.owner)
        os.fchown(sys.stdout.fileno(), wanted.owner, wanted.owner)  # for who opens it by its name in /proc
        os.setgroups([])
        os.setresgid(wanted.owner, wanted.owner, wanted.owner)
        os.setresuid(wanted.owner, wanted.owner, wanted.owner)
    linux.enter_namespace(wanted.user_namespace, linux.CLONE_NEWUSER)
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
    _enter_root(wanted)
    linux.join_new_session_keyring()
    for descriptor in (wanted.user_namespace, wanted.network_namespace, *wanted.groups):
        os.set_inheritable(descriptor, False)
    linux.keep_capabilities(linux.CAP_NET_ADMIN, linux.CAP_SYS_ADMIN)  # of the cell's user namespace: to enter its network
    linux.no_new_privileges()
    _end_with_server()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and a program inherits that: pasta of 2023 then gives up
    os.execve(wanted.program[0], wanted.program, {})


def _end_with_server() -> None:
    """Last, since a change of rights takes the signal back (prctl(2)); the server may have ended before."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if select.select([sys.stdin], [], [], 0)[0]:
        raise OSError(errno.EPIPE, "the server has ended", "launch")


def _make_device(owner: int) -> None:
    """Root can open /dev/net/tun, an ordinary id often not: this process gets a device of its own, which no other sees."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=MS_REC | MS_PRIVATE)
    linux.mount("devices", _DEVICES, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=4k,nr_inodes=4")
    os.mknod(_TUN, stat.S_IFCHR | 0o600, _TUN_NUMBER)
    os.chown(_TUN, owner, owner)


def _enter_root(wanted: Launch) -> None:
    linux.mount("none", "/", flags=MS_REC | MS_PRIVATE)
    linux.mount("stack", _STAGING, "tmpfs", MS_NOSUID, "mode=755,size=1m")
    root = Path(_STAGING)
    for path in wanted.binds:
        rootfs.bind_read_only(path, root / path.lstrip("/"))
    for name, target in wanted.links.items():
        (root / name.lstrip("/")).symlink_to(target)
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "resolv.conf").write_text(wanted.name_servers)
    _bind_file(_TUN, root / _TUN.lstrip("/"))
    _bind_file(f"/proc/self/fd/{wanted.network_namespace}", root / NAMESPACE.lstrip("/"))
    if wanted.confines_itself:
        (root / "tmp").mkdir()
        (root / "proc" / "self").mkdir(parents=True)  # its own entry alone: /proc names every process of the host
        linux.mount("/proc/self", str(root / "proc" / "self"), flags=MS_BIND)
    linux.pivot_root(_STAGING)
    linux.restrict("/", linux.MS_RDONLY | MS_NOSUID | MS_NOEXEC)


def _bind_file(source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch()
    linux.mount(source, str(target), flags=MS_BIND)


def main() -> int:
    """Run by the host with what it asks for as the last argument."""
    try:
        launch(Launch(**json.loads(sys.argv[-1])))
    except OSError as error:
        sys.stderr.write(f"{error.filename or 'launch'}: {error.strerror}\n")
    return 71
