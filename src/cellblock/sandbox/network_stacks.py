"""The programs that can be a cell's user-mode network stack: where they run, and how each is told the same network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cellblock.errors import HostNotReady
from cellblock_cell.stack_launch import NAMESPACE

TUN = Path("/dev/net/tun")
NAME_SERVER = "198.18.0.3"  # where the stack passes questions on to the host's own name server
INTERFACE = "tap0"
_NETWORK, _LENGTH = "198.18.0.0", 24  # of RFC 2544's range for laboratories, in which no service of the internet can be
_ADDRESS, _GATEWAY = "198.18.0.100", "198.18.0.2"  # those that slirp4netns takes in this network; pasta is told them
_PACKET_BYTES = 65520


@dataclass(frozen=True, slots=True)
class Stack:
    """One program. It writes to its output when the cell has its interface; `confines_itself` is told to `Launch`."""

    name: str
    arguments: Callable[[], list[str]]
    confines_itself: bool

    def missing(self) -> str:
        """Why this machine cannot run it for this user; the empty string when it can."""
        if shutil.which(self.name) is None:
            return f"{self.name} is not installed"
        if not TUN.exists():
            return f"{TUN} is missing"
        if not os.access(TUN, os.R_OK | os.W_OK):
            return f"{TUN} is closed to this user"
        return ""

    def command(self) -> list[str]:
        """The whole command. Raises HostNotReady."""
        program = shutil.which(self.name)
        if program is None:
            raise HostNotReady(f"{self.name} is not installed")
        return [program, *self.arguments()]


def _slirp4netns() -> list[str]:
    """The host's loopback stays closed, and the program denies itself what it does not need."""
    network = ["--configure", f"--mtu={_PACKET_BYTES}", f"--cidr={_NETWORK}/{_LENGTH}", "--disable-host-loopback"]
    return [*network, "--ready-fd=1", "--exit-fd=0", "--enable-seccomp", "--netns-type=path", NAMESPACE, INTERFACE]


def _pasta() -> list[str]:
    """No port is forwarded unasked, and the gateway's address is not the host's loopback.

    It writes its id once its own root and its interface are made. Newer ones close every descriptor but the first three.
    """
    addresses = ["--address", _ADDRESS, "--netmask", str(_LENGTH), "--gateway", _GATEWAY, "--dns-forward", NAME_SERVER]
    interface = ["--ipv4-only", "--config-net", "--ns-ifname", INTERFACE, "--mtu", str(_PACKET_BYTES)]
    closed = ["--no-map-gw", *("-t", "none"), *("-u", "none"), *("-T", "none"), *("-U", "none")]
    silent = ["--no-dhcp", "--no-dhcpv6", "--no-ndp", "--no-ra", "--no-icmp"]
    process = ["--foreground", "--quiet", "--pid", "/proc/self/fd/1", "--netns-only", "--no-netns-quit", "--netns", NAMESPACE]
    return [*addresses, *interface, *closed, *silent, *process]


PASTA = Stack("pasta", _pasta, confines_itself=True)
SLIRP4NETNS = Stack("slirp4netns", _slirp4netns, confines_itself=False)
STACKS = (SLIRP4NETNS, PASTA)


def stack_for(wanted: str) -> Stack | None:
    """The one that a setting names; without a name slirp4netns, where it can run.

    Never pasta unasked: in the versions of 2023 a session that sends a datagram opens the port that it sends from on every address
    of the host, loopback included, and is given what anybody sends there.
    """
    named = next((stack for stack in STACKS if stack.name == wanted), None)
    return named or (None if SLIRP4NETNS.missing() else SLIRP4NETNS)
