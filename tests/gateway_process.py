"""A `cellblock gateway` in a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from running_server import CELLBLOCK


@dataclass(frozen=True)
class RunningGateway:
    """Where it listens, and what it lets in."""

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What a client sends."""
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def serving_gateway(file: Path, environment: dict[str, str]) -> Iterator[RunningGateway]:
    """A gateway for the block; it must stop cleanly."""
    command = [CELLBLOCK, "gateway", file, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().removeprefix("gateway is ready on ").strip()
            yield RunningGateway(url.removesuffix("/mcp"), process.stdout.readline().removeprefix("token: ").strip())
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
