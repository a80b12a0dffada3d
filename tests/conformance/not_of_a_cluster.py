"""The tests of this suite that look into the one process of a single server, by name, with what a cluster has instead."""

from __future__ import annotations

_REASONS = {
    "test_server_process.py": "starts, stops and kills the process of one server; tests/cluster has the ends of nodes and front ends",
    "test_usage.py": "reads the data directory of a server that has stopped; tests/cluster sums what several nodes burnt",
    "test_full_host.py::test_a_host_out_of_memory": "puts the one server's machine into a memory group",
    "test_command_line.py::test_run": "`cellblock run` starts a server of its own",
}


def reason(node_id: str) -> str | None:
    """Why a test does not run on a cluster; None when it does."""
    return next((text for name, text in _REASONS.items() if name in node_id), None)
