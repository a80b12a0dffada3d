"""A `cellblock serve` in a process of its own on a free port, and stock boto3 clients for it."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cellblock.machine.data_directory import read_credentials
from processes import children, descendants, is_alive, is_template

CELLBLOCK = Path(sys.executable).with_name("cellblock")
BUILT_IN = "aws.codeinterpreter.v1"
REGION = "us-west-2"
NO_RETRIES = {"total_max_attempts": 1}
STOP_SECONDS = 30
CLUSTER_DATABASE = "TESTS_CLUSTER_DATABASE"  # a PostgreSQL; set while the tests run on clusters
READY = re.compile(r"cellblock is ready on (https?://\S+)")

ValueT = TypeVar("ValueT")
Json = dict[str, Any]


def until(value: Callable[[], ValueT], *, seconds: float = 30.0) -> ValueT:
    """Ask again until the answer is true, at most so long; each asking is a request or a look at the kernel's tables."""
    limit = time.monotonic() + seconds
    while not (found := value()):
        assert time.monotonic() < limit, f"not within {seconds:g} seconds"
    return found


def environment(**settings: object) -> dict[str, str]:
    """This process's environment with settings of the service and without any that point AWS clients somewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BEDROCK_AGENTCORE_"))}
    return kept | {f"CELLBLOCK_{name.upper()}": str(value) for name, value in settings.items()}


def refused(function: Callable[..., Any], **arguments: Any) -> Json:
    """The error that a call ends with, as botocore parsed it."""
    with pytest.raises(ClientError) as caught:
        function(**arguments)
    response: Json = caught.value.response
    return response


def template_of(server: RunningServer) -> int:
    """The server's child from which cells are cloned."""
    (template,) = templates_of(server)
    return template


def templates_of(server: RunningServer) -> list[int]:
    """One for each process that has cells."""
    return [pid for own in server.homes for pid in children(own) if is_template(pid)]


@dataclass(frozen=True)
class RunningServer:
    """A running server and what a client needs."""

    process: subprocess.Popen[str]
    url: str
    data_dir: Path
    key_id: str
    secret: str

    def client(self, service: str, *, secret: str | None = None, key_id: str | None = None, region: str = REGION, **config: Any) -> Any:
        """A boto3 client that tries once and may have many connections."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key_id or self.key_id,
            aws_secret_access_key=secret or self.secret,
            config=Config(**({"retries": NO_RETRIES, "max_pool_connections": 40, "read_timeout": 100} | config)),
        )

    @cached_property
    def data(self) -> Any:
        """The data plane."""
        return self.client("bedrock-agentcore")

    @cached_property
    def control(self) -> Any:
        """The control plane."""
        return self.client("bedrock-agentcore-control")

    @property
    def homes(self) -> list[int]:
        """The processes that have cells."""
        return [self.process.pid]

    def operator_environment(self, **settings: object) -> dict[str, str]:
        """For commands that look into its store."""
        return environment(**settings)

    def client_environment(self) -> dict[str, str]:
        """The environment of a client's process after `eval "$(cellblock env)"`."""
        return environment() | {
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": self.url,
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL": self.url,
            "BEDROCK_AGENTCORE_DP_ENDPOINT": self.url,
            "BEDROCK_AGENTCORE_CP_ENDPOINT": self.url,
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def start(self, interpreter: str = BUILT_IN, **arguments: Any) -> ServedSession:
        """A session; the caller stops it, or the server's end does."""
        started = self.data.start_code_interpreter_session(codeInterpreterIdentifier=interpreter, **arguments)
        return ServedSession(self, self.data, interpreter, started["sessionId"])

    @contextmanager
    def session(self, **arguments: Any) -> Iterator[ServedSession]:
        """A session for the block."""
        session = self.start(**arguments)
        try:
            yield session
        finally:
            session.end()

    def create(self, name: str, **more: Any) -> Json:
        """An interpreter without a network."""
        made: Json = self.control.create_code_interpreter(**{"name": name, "networkConfiguration": {"networkMode": "SANDBOX"}} | more)
        return made

    def stop(self) -> None:
        """SIGTERM; all that it started must be gone when it is."""
        below = descendants(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_SECONDS) == 0
        left = {pid for pid in below if is_alive(pid)}
        assert not left, "processes of the server are left"


@dataclass(frozen=True)
class ServedSession:
    """A session as a client has it."""

    server: RunningServer
    client: Any
    interpreter: str
    id: str

    @property
    def named(self) -> Json:
        """The members that name it."""
        return {"codeInterpreterIdentifier": self.interpreter, "sessionId": self.id}

    def answer(self, tool: str, *, client: Any = None, **arguments: Any) -> Json:
        """All that boto3 gives for a call."""
        invoked: Json = (client or self.client).invoke_code_interpreter(**self.named, name=tool, arguments=arguments)
        return invoked

    def invoke(self, tool: str, *, client: Any = None, **arguments: Any) -> Json:
        """The one result of a tool."""
        (event,) = self.answer(tool, client=client, **arguments)["stream"]
        result: Json = event["result"]
        return result

    def run(self, code: str, **more: Any) -> Json:
        """The result of Python code."""
        return self.invoke("executeCode", language="python", code=code, **more)

    def printed(self, code: str, **more: Any) -> str:
        """What Python code prints; it must not fail."""
        result = self.run(code, **more)
        assert result["isError"] is False, result
        output: str = result["structuredContent"]["stdout"]
        return output

    def command(self, command: str) -> Json:
        """The result of a shell command."""
        return self.invoke("executeCommand", command=command)

    def write(self, **files: str | bytes) -> None:
        """Write files whose names are identifiers."""
        written = self.invoke("writeFiles", content=[file_of(path, data) for path, data in files.items()])
        assert written["isError"] is False, written

    def refused(self, tool: str, **arguments: Any) -> Json:
        """The error that a call of a tool ends with."""
        return refused(self.client.invoke_code_interpreter, **self.named, name=tool, arguments=arguments)

    def get(self) -> Json:
        """The session as the API describes it."""
        described: Json = self.client.get_code_interpreter_session(**self.named)
        return described

    def stop(self) -> Json:
        """Stop it."""
        stopped: Json = self.client.stop_code_interpreter_session(**self.named)
        return stopped

    def end(self) -> None:
        """Stop it unless it is over."""
        try:
            self.stop()
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConflictException":
                raise


def file_of(path: str, data: str | bytes) -> Json:
    """A file as writeFiles takes it."""
    return {"path": path, "text": data} if isinstance(data, str) else {"path": path, "blob": data}


def texts(result: Json) -> list[str]:
    """The text blocks of a result."""
    return [block["text"] for block in result["content"] if block["type"] == "text"]


@contextmanager
def serving(data_dir: Path, **settings: object) -> Iterator[RunningServer]:
    """A server for the block; it must stop cleanly, unless the block has ended it. A cluster where the tests are run on one."""
    if database := os.environ.get(CLUSTER_DATABASE):
        with importlib.import_module("cluster_processes").serving_cluster(data_dir, database, **settings) as cluster:
            yield cluster
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir.with_suffix(".log")
    command = [CELLBLOCK, "serve", "--port", "0", "--data-dir", data_dir]
    with (
        log.open("a") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(**settings)) as process,
    ):
        try:
            url = _ready(process, log)
            key = read_credentials(data_dir)
            assert key is not None
            server = RunningServer(process, url, data_dir, key.id, key.secret)
            yield server
            if process.poll() is None:
                server.stop()
        finally:
            process.kill()


def _ready(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()  # ends when the server ends
    found = READY.fullmatch(line.strip())
    assert found, f"the server did not start: {line}{log.read_text()}"
    return found[1]
