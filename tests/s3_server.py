"""A real S3 server that keeps its objects on disk: rclone's, on loopback, with one access key."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

RCLONE = Path(sys.executable).with_name("rclone")
KEY_ID, SECRET = "AKIAS3SERVER00000000", "secretOfTheServerThatNoSessionMaySee0000"
REGION = "us-west-2"
_START_SECONDS = 30


@dataclass(frozen=True)
class S3Server:
    """Its URL, and the directory in which a bucket is a directory and an object a file."""

    url: str
    directory: Path

    @property
    def client(self) -> Any:
        """boto3 with the server's own key, as an operator has it."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(s3={"addressing_style": "path"}),
        )

    def bucket(self, name: str, **objects: str) -> Path:
        """A bucket with objects."""
        (self.directory / name).mkdir(exist_ok=True)
        for key, text in objects.items():
            (self.directory / name / key).write_text(text)
        return self.directory / name


def free_port() -> int:
    """One that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def s3_server(directory: Path, *options: str) -> Iterator[S3Server]:
    """One for the block."""
    directory.mkdir(exist_ok=True)
    port = free_port()
    command = [
        RCLONE,
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        f"{KEY_ID},{SECRET}",
        "--vfs-cache-mode",
        "off",
        "--dir-cache-time",
        "10ms",  # with 0 rclone never rests
    ]
    environment = {"HOME": str(directory), "PATH": os.environ["PATH"], "RCLONE_CONFIG": str(directory.parent / "rclone.conf")}
    with subprocess.Popen([*command, *options, directory], stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            wait_for_port(port)
            yield S3Server(f"http://127.0.0.1:{port}", directory)
        finally:
            process.terminate()


def wait_for_port(port: int) -> None:
    """Until somebody listens there."""
    limit = time.monotonic() + _START_SECONDS
    while time.monotonic() < limit:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError(f"nothing listens on port {port}")
