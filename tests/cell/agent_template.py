"""Run by the runtime's Python: imports what a template imports, then forks an unconfined agent for each request."""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys

from cellblock_cell import agent, linux
from cellblock_cell.kernels import python

PR_SET_CHILD_SUBREAPER = 36


def main(control: socket.socket, modules: list[str]) -> None:
    """Serve until the control socket closes."""
    for name in modules:
        importlib.import_module(name)
    python.prepare()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control.send(b"ready")
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 65536, 1)
        if not data:
            return
        pid = os.fork()
        if pid == 0:
            be_agent(json.loads(data), socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])
        control.send(str(pid).encode())


def be_agent(request: dict[str, dict[str, str] | str], link: socket.socket) -> None:
    """Never returns."""
    try:
        linux.close_all_but(link.fileno())
        linux.prctl(PR_SET_CHILD_SUBREAPER, 1)
        if os.geteuid() == 0:
            linux.drop_capabilities()  # no cell has them
        limit = request.pop("file_bytes", None)
        config = agent.AgentConfig(**request)
        if limit:
            importlib.import_module("resource").setrlimit(1, (int(limit), int(limit)))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        os._exit(agent.serve(config, link))
    finally:
        os._exit(99)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
