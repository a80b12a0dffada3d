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
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20)


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
    """For a block; the test is skipped where none can be laid."""
    name = f"cb{os.getpid()}"
    try:
        try:
            _lay(name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"needs a machine that lets root lay wires between network namespaces: {error} {error.stderr.strip()}")
        yield Wire(name, f"{name}b")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, timeout=20)


def _lay(name: str) -> None:
    ip("netns", "add", name)
    ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
    ip("addr", "add", f"{HERE}/30", "dev", f"{name}a")
    ip("link", "set", f"{name}a", "up")
    ip("-n", name, "addr", "add", f"{THERE}/30", "dev", f"{name}b")
    ip("-n", name, "link", "set", f"{name}b", "up")
    ip("-n", name, "link", "set", "lo", "up")
    ip("-n", name, "route", "add", "default", "via", HERE)
