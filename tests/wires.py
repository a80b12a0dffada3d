"""A namespace of the network at the end of a wire that can be pulled; root's alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

HERE, THERE = "10.213.77.1", "10.213.77.2"


def ip(*words: str) -> None:
    """The program of iproute2."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        pytest.skip(
            f"needs a machine that lets root lay wires between network namespaces: `ip {' '.join(words)}` said {done.stderr.strip()}"
        )


@dataclass(frozen=True)
class Wire:
    """A pair of interfaces, one of them in a namespace."""

    namespace: str
    far_end: str

    def cut(self) -> None:
        """Nothing comes through, and nobody is told."""
        ip("-n", self.namespace, "link", "set", self.far_end, "down")

    def mend(self) -> None:
        """It is as before."""
        ip("-n", self.namespace, "link", "set", self.far_end, "up")


@contextmanager
def pulled_wire() -> Iterator[Wire]:
    """For a block."""
    name = f"cb{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
        ip("addr", "add", f"{HERE}/30", "dev", f"{name}a")
        ip("link", "set", f"{name}a", "up")
        ip("-n", name, "addr", "add", f"{THERE}/30", "dev", f"{name}b")
        ip("-n", name, "link", "set", f"{name}b", "up")
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "route", "add", "default", "via", HERE)
        yield Wire(name, f"{name}b")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, timeout=20)
