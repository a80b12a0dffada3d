"""Stands in for systemd where none runs: does what `cellblock.service` says with the commands of the documentation."""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

PLACE = Path(os.environ["SYSTEMD_PLACE"])
UNIT = PLACE / "etc/systemd/system/cellblock.service"
PID = PLACE / "main.pid"
START_SECONDS = 100.0


def start() -> None:
    """Type=notify: done when the server says that it is ready."""
    (command,) = re.findall(r"^ExecStart=(.*)", UNIT.read_text(), re.MULTILINE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0cellblock-systemctl-{os.getpid()}")
        manager.settimeout(START_SECONDS)
        with (PLACE / "journal").open("a") as journal:
            process = subprocess.Popen(
                shlex.split(command),
                stdin=subprocess.DEVNULL,
                stdout=journal,
                stderr=journal,
                start_new_session=True,
                env=os.environ | {"NOTIFY_SOCKET": f"@cellblock-systemctl-{os.getpid()}"},
            )
        PID.write_text(str(process.pid))
        assert manager.recv(100) == b"READY=1\n"


def stop() -> None:
    """Done when the main process is gone."""
    pidfd = os.pidfd_open(int(PID.read_text()))
    signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    assert select.select([pidfd], [], [], START_SECONDS)[0]
    PID.unlink()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["daemon-reload"]:
            assert UNIT.exists()
        case ["enable", "--now", "cellblock"] | ["start", "cellblock"]:
            start()
        case ["stop", "cellblock"]:
            stop()
        case other:
            sys.exit(f"not understood: {other}")
