"""What the host grants to one cell before it is closed: directories, certificates, and ports at which the host itself answers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path

from cellblock_cell import linux
from cellblock_cell.linux import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY

MOUNTS = "/mnt"
CERTIFICATES = "/opt/cellblock/certificates"
BUNDLE = "bundle.pem"
_BACKLOG = 64
_BUFFER_BYTES = 128 * 1024  # of each direction of a connection, which the host's kernel holds
_COPIED_BYTES = 1 << 20


def offer_ports(ports: Sequence[int], services: int) -> None:
    """Listen on loopback and give the listeners to the host, which accepts by itself: no process of the cell stands between.

    It happens before the rights go, because a port below 1024 cannot be taken by the code.
    """
    with socket.socket(fileno=services) as channel:
        listeners = [_listener(port) for port in ports]
        try:
            linux.send_with_descriptors(channel, b"listeners", [listener.fileno() for listener in listeners])
        finally:
            for listener in listeners:
                listener.close()


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # accepted connections inherit them and are not tuned further (tcp(7))
        listener.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
    listener.bind(("127.0.0.1", port))
    listener.listen(_BACKLOG)
    return listener


def attach_mounts(names: Sequence[str], descriptors: Sequence[int]) -> None:
    """Put detached mounts, which the host made and restricted, below one directory that nothing else can be written to."""
    linux.mount("granted", MOUNTS, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,nr_inodes=256,mode=755")
    for name, descriptor in zip(names, descriptors, strict=True):
        target = Path(MOUNTS) / name
        target.mkdir()
        linux.attach_mount(descriptor, str(target))
        os.close(descriptor)
    linux.restrict(MOUNTS, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)


def keep_certificates(descriptor: int) -> None:
    """A copy of the certificates for this cell, as large as they are, that it cannot write to."""
    size = os.fstat(descriptor).st_size
    linux.mount(
        "certificates", CERTIFICATES, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, f"size={size + _COPIED_BYTES},nr_inodes=8,mode=755"
    )
    with (Path(CERTIFICATES) / BUNDLE).open("wb") as copy:
        for piece in _pieces(descriptor):
            copy.write(piece)
    os.close(descriptor)
    linux.restrict(CERTIFICATES, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)


def _pieces(descriptor: int) -> Iterable[bytes]:
    at = 0
    while piece := os.pread(descriptor, _COPIED_BYTES, at):
        yield piece
        at += len(piece)
