"""What systemd and the server tell each other: sockets that are held for it (sd_listen_fds(3)), and how it is (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Literal

FIRST_DESCRIPTOR = 3


def held_sockets(environment: Mapping[str, str]) -> tuple[socket.socket, ...]:
    """The listening sockets that were handed to this process."""
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        return ()
    held = tuple(socket.socket(fileno=number) for number in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)))
    for one in held:
        one.set_inheritable(False)
    return held


def tell(environment: Mapping[str, str], state: Literal["READY", "RELOADING", "STOPPING"]) -> None:
    """Say how the server is; nobody is there to hear it when it was not started by a service manager."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    message = f"{state}=1\n" + (f"MONOTONIC_USEC={time.monotonic_ns() // 1000}\n" if state == "RELOADING" else "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            sender.send(message.encode())
        except OSError:
            return  # the manager is gone; the server need not go with it
