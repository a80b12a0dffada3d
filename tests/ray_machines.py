"""Ray on this machine, for tests: a head and more nodes of Ray, each of processes and a directory of its own, nothing in anybody's home."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from processes import command_line, descendants, is_alive
from running_server import until

STORE_BYTES = 80_000_000  # Ray's least
PORTS = range(6400, 9900)  # outside those that Ray gives to its workers
READY_SECONDS = 60
CPUS = 1
UNUSED_LISTS = (
    *("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands", "setup_commands"),
    *("head_setup_commands", "worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"),
)


@dataclass
class RayNode:
    """A node of Ray: `ray start --block` and what it started."""

    name: str
    process: subprocess.Popen[bytes]
    directory: Path

    def pids(self, program: str) -> list[int]:
        """Those of its processes whose command names the program."""
        return [pid for pid in descendants(self.process.pid) if program in " ".join(command_line(pid))]

    def kill(self) -> None:
        """As if the machine had lost its power."""
        below = descendants(self.process.pid)
        for pid in (self.process.pid, *below):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        until(lambda: not any(is_alive(pid) for pid in below))


@dataclass
class RayMachines:
    """A head without processors, and the nodes beside it."""

    base: Path
    port: int
    environment: dict[str, str]
    nodes: list[RayNode] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Of the head."""
        return f"{own_address()}:{self.port}"

    def variables(self) -> dict[str, str]:
        """What a front end's environment needs to speak with it."""
        return {name: value for name, value in self.environment.items() if name.startswith("RAY_")}

    def start_head(self, *options: str, **variables: str) -> RayNode:
        """Wait until it answers."""
        where = ["--head", "--port", str(self.port), "--num-cpus", "0", "--include-dashboard=false"]
        head = self._start("head", [*where, *options], variables)
        until(lambda: _answers(self.address), seconds=READY_SECONDS)
        return head

    def add(self, name: str, *, within: Sequence[str] = ()) -> RayNode:
        """One more machine, started by those words."""
        return self._start(name, ["--address", self.address, "--num-cpus", str(CPUS), "--node-name", name], {}, within)

    def stop(self) -> None:
        """Kill all of them."""
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self.base, ignore_errors=True)

    def log(self) -> str:
        """What they wrote."""
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(self.base.glob("*.log")))

    def _start(self, name: str, options: list[str], variables: dict[str, str], within: Sequence[str] = ()) -> RayNode:
        directory = self.base / f"{name}-{len(self.nodes)}-{secrets.token_hex(2)}"  # a machine that comes back finds nothing
        ray = str(Path(sys.executable).with_name("ray"))
        command = [*within, ray, "start", "--block", "--object-store-memory", str(STORE_BYTES), "--temp-dir", str(directory), *options]
        with directory.with_suffix(".log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment | variables, start_new_session=True
            )
        node = RayNode(name, process, directory)
        self.nodes.append(node)
        return node


@contextmanager
def ray_machines(**variables: str) -> Iterator[RayMachines]:
    """For a block; the test is skipped where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs Ray (pip install 'cellblock[cluster]')")
    base = Path(tempfile.mkdtemp(prefix="cellblock-ray-", dir="/tmp"))  # sockets' paths are short
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "CELLBLOCK_"))}
    own = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_enable_metrics_collection": "0", "HOME": str(base)}
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    machines = RayMachines(base, free_port(), kept | own | token | variables)
    try:
        yield machines
    finally:
        machines.stop()


def own_address() -> str:
    """The one that Ray takes for this machine's; loopback's where there is no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("8.8.8.8", 80))  # sends nothing
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def free_port() -> int:
    """One below Ray's own."""
    for port in PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise AssertionError("no port is free")


def fake_autoscaler(path: Path, address: str, *, most: int, idle_minutes: float) -> Path:
    """The configuration of Ray's provider of machines that are processes of this one; the wheel lacks its example."""
    head = "f" * 51 + "00000"
    content: dict[str, object] = {
        "cluster_name": "fake",
        "max_workers": most,
        "idle_timeout_minutes": idle_minutes,
        "upscaling_speed": 1.0,
        "provider": {"type": "fake_multinode", "gcs_address": address, "head_node_id": head}
        | {"launch_multiple": True, "use_node_id_as_ip": True, "disable_node_updaters": True},
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "cells": {"resources": {"CPU": CPUS, "object_store_memory": STORE_BYTES}, "node_config": {}, "max_workers": most},
        },
        "head_node_type": "ray.head.default",
        "auth": {"ssh_user": "nobody"},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
    }
    content |= {name: [] for name in UNUSED_LISTS}
    path.write_text(json.dumps(content))
    return path


def autoscaler_variables() -> dict[str, str]:
    """What its head needs in its environment."""
    return {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1", "RAY_OVERRIDE_NODE_ID_FOR_TESTING": "f" * 51 + "00000"}


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True
