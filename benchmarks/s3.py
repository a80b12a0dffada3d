"""A large object copied in and out of a session by the AWS CLI, through the broker: what arrives, how fast, and the broker's memory."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _measuring import MB, Report, Samples, command_line, progress
from _serving import REGION, Server, Session, children, server

RCLONE = Path(sys.executable).with_name("rclone")
ROLE = "arn:aws:iam::000000000000:role/Measured"
KEYS = ("AKIAMEASURED00000000", "secretOfTheMeasuredServer000000000000000")
GRANTS = f'[roles."{ROLE}"]\nbuckets = ["arriving", "leaving"]\naccess_key_id = "{KEYS[0]}"\nsecret_access_key = "{KEYS[1]}"\n'
EFS = "arn:aws:elasticfilesystem:us-east-1:000000000000"
DISK = {
    "accessPointArn": f"{EFS}:access-point/fsap-0123456789abcdef0",
    "mountPath": "/mnt/disk",
    "fileSystemArn": f"{EFS}:file-system/fs-0123456789abcdef0",
}
OWNER = 12_345  # of the directory when root measures
BLOCK = 8 * MB
SECONDS = 3600


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, megabytes=(200, "MB of the object; `make soak` takes 5000"))
    size = arguments.megabytes * MB
    report = Report("s3")
    with tempfile.TemporaryDirectory(prefix="cellblock-s3-", dir=Path.cwd()) as name:
        directory = Path(name)
        make_object(directory / "s3" / "arriving" / "object", size)
        with s3_server(directory) as endpoint, serving(directory, endpoint) as running:
            seconds, broker_bytes = copy(running, size)
        lost = differing_bytes(directory / "s3" / "arriving" / "object", directory / "s3" / "leaving" / "object")
    report.add(f"{arguments.megabytes} MB in and out", seconds, unit="s", scale=1)
    report.note("both ways together", f"{2 * size / MB / seconds.p50:.0f} MB/s")
    report.judge("s3-lost", lost)
    report.judge("s3-memory", broker_bytes / MB)
    report.show(arguments)


def copy(running: Server, size: int) -> tuple[Samples, int]:
    """One pass through a session; its seconds and the most memory that the broker had."""
    client = running.client(read_timeout=SECONDS, retries={"total_max_attempts": 1})
    control = running.client(service="bedrock-agentcore-control")
    sandbox = {"networkMode": "SANDBOX"}
    made = control.create_code_interpreter(
        name="s3", networkConfiguration=sandbox, executionRoleArn=ROLE, filesystemConfigurations=[{"efsConfiguration": DISK}]
    )
    session = Session(client, interpreter=made["codeInterpreterId"])
    progress(f"{size // MB} MB through a session")
    command = (
        "cd /mnt/disk && aws s3 cp --only-show-errors s3://arriving/object . && aws s3 cp --only-show-errors object s3://leaving/object"
    )
    samples = Samples()
    with samples.time():
        session.invoke("executeCommand", command=command)
    return samples, max(
        peak_bytes(pid) for pid in children(running.pid) if b"cellblock.grants.broker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def peak_bytes(pid: int) -> int:
    """Of a process's memory (proc(5), VmHWM)."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def make_object(path: Path, size: int) -> None:
    """Of bytes that differ from block to block."""
    path.parent.mkdir(parents=True)
    (path.parent.parent / "leaving").mkdir()
    block = os.urandom(BLOCK)
    with path.open("wb") as file:
        for number in range(-(-size // BLOCK)):
            file.write((number.to_bytes(8, "big") + block[8:])[: size - number * BLOCK])


def differing_bytes(one: Path, other: Path) -> int:
    """How many bytes are not the same, missing ones too."""
    differing = abs(one.stat().st_size - other.stat().st_size)
    with one.open("rb") as left, other.open("rb") as right:
        while (block := left.read(BLOCK)) and (copied := right.read(BLOCK)):
            if block != copied:
                differing += sum(a != b for a, b in zip(block, copied, strict=False))
    return differing


@contextmanager
def serving(directory: Path, endpoint: str) -> Iterator[Server]:
    """A server whose sessions reach both buckets."""
    grants = directory / "grants.toml"
    grants.touch(mode=0o600)
    grants.write_text(f'{GRANTS}[file_systems."{DISK["accessPointArn"]}"]\ndirectory = "{directory / "disk"}"\n')
    (directory / "disk").mkdir()
    if os.geteuid() == 0:
        os.chown(directory / "disk", OWNER, OWNER)
    with server(pool_size=0, s3_endpoint=endpoint, grants_file=str(grants), region=REGION, call_timeout_seconds=SECONDS) as running:
        yield running


@contextmanager
def s3_server(directory: Path) -> Iterator[str]:
    """rclone's, which keeps objects on disk; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [RCLONE, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", ",".join(KEYS), directory / "s3"]
    environment = {"HOME": str(directory), "PATH": os.environ["PATH"], "TMPDIR": str(directory)}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    limit = time.monotonic() + SECONDS / 60
    while time.monotonic() < limit:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the S3 server does not listen")


if __name__ == "__main__":
    main()
