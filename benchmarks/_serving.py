"""A real server in a process and a data directory of its own, and stock clients of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import boto3
from botocore.config import Config

from cellblock.machine.data_directory import read_credentials

INTERPRETER = "aws.codeinterpreter.v1"
REGION = "us-east-1"
CELLBLOCK = Path(sys.executable).parent / "cellblock"
PROCESSES_OF_A_CELL = 2  # the agent and its Python kernel
READY_SECONDS = 0.1  # a cell that waits readies itself for its first call, the last time 0.06 s after it is there
REST_SECONDS = 2  # for those that wait until sessions are at rest; what they have given back then does not depend on it
_READY = re.compile(r"cellblock is ready on (http://\S+)")
_STOP_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server; everything that is asked about its process comes from /proc."""

    url: str
    pid: int
    data_dir: Path
    log: Path

    @property
    def template_pid(self) -> int:
        """The process that cells are cloned from."""
        return children(self.pid)[0]

    def client(self, connections: int = 10, *, service: str = "bedrock-agentcore", **config: Any) -> Any:
        """A stock client of the data plane, unless it is to be another."""
        key = read_credentials(self.data_dir)
        if key is None:
            raise RuntimeError(f"{self.data_dir} holds no credentials")
        session = boto3.Session(aws_access_key_id=key.id, aws_secret_access_key=key.secret, region_name=REGION)
        return session.client(service, endpoint_url=self.url, config=Config(max_pool_connections=connections, **config))

    def create_interpreter(self, mode: str) -> str:
        """The id of one with this network mode."""
        control = self.client(service="bedrock-agentcore-control")
        made = control.create_code_interpreter(name="measured", networkConfiguration={"networkMode": mode})
        return str(made["codeInterpreterId"])

    def cells(self) -> list[list[int]]:
        """The processes of each cell."""
        return cells_of(self.template_pid)

    def wait_for_pool(self, waiting: int, *, busy: int = 0) -> None:
        """Until so many cells wait for a session beside the busy ones: all are there, as ready as they get, and nothing is under way."""
        while True:
            cells = self.cells()
            if are_at_rest(cells, waiting + busy) and (not waiting or all(age_seconds(cell[-1]) > READY_SECONDS for cell in cells)):
                break
            self.ping()  # gives the server its time: one core may be all there is
        self.ping()  # the server has taken what the last cell said before this question came

    def wait_for_rest(self, busy: int) -> None:
        """Until so many cells have given back the memory that they have in common, where this machine can."""
        rested: set[int] = set()
        while gives_back(self.template_pid) and len(rested) < busy:
            rested |= {cell[0] for cell in self.cells() if cell[0] not in rested and has_rested(cell)}
            self.ping()

    def ping(self) -> None:
        """One question and answer outside the API."""
        with urllib.request.urlopen(f"{self.url}/ping") as answer:
            answer.read()

    def requests(self, operation: str) -> list[dict[str, Any]]:
        """The server's own log lines of an operation, with its milliseconds."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == "request" and line.get("operation") == operation]


@dataclass(slots=True)
class Session:
    """One session of a client."""

    client: Any
    interpreter: str = INTERPRETER
    id: str = field(init=False)

    def __post_init__(self) -> None:
        self.id = self.client.start_code_interpreter_session(codeInterpreterIdentifier=self.interpreter)["sessionId"]

    def invoke(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The result of one tool."""
        answer = self.client.invoke_code_interpreter(
            codeInterpreterIdentifier=self.interpreter, sessionId=self.id, name=tool, arguments=arguments
        )
        results = [event["result"] for event in answer["stream"]]
        if len(results) != 1 or results[0].get("isError"):
            raise RuntimeError(f"{tool} failed: {str(results)[:500]}")
        return cast("dict[str, Any]", results[0])

    def run(self, code: str) -> str:
        """What Python code prints."""
        return str(self.invoke("executeCode", language="python", code=code)["structuredContent"]["stdout"])

    def describe(self) -> None:
        """GetCodeInterpreterSession: everything but the cell."""
        self.client.get_code_interpreter_session(codeInterpreterIdentifier=self.interpreter, sessionId=self.id)

    def describe_twice(self) -> None:
        """As many requests as a start with its first result."""
        self.describe()
        self.describe()

    def stop(self) -> None:
        """StopCodeInterpreterSession."""
        self.client.stop_code_interpreter_session(codeInterpreterIdentifier=self.interpreter, sessionId=self.id)


@contextmanager
def server(**settings: str | int) -> Iterator[Server]:
    """A server with these settings (lower case, without the prefix) for as long as the block runs.

    Its pool keeps its size unless `max_pool_size` is given, so that each sample meets as many waiting cells.
    """
    with tempfile.TemporaryDirectory(prefix="cellblock-benchmark-") as directory:
        data_dir, log = Path(directory, "data"), Path(directory, "server.log")
        command: list[str | Path] = [CELLBLOCK, "serve", "--port", "0", "--data-dir", data_dir]
        environment = dict(os.environ) | {
            f"CELLBLOCK_{name.upper()}": str(value) for name, value in ({"max_pool_size": 0} | settings).items()
        }
        with log.open("w") as lines, subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=lines, text=True) as process:
            try:
                yield Server(url=_wait_until_ready(process, log), pid=process.pid, data_dir=data_dir, log=log)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(_STOP_SECONDS)


def _wait_until_ready(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    for line in process.stdout:  # ends when the server ends
        if found := _READY.search(line):
            return found[1]
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")


def children(pid: int) -> list[int]:
    """The processes that it started and that live."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, _text(path).split())
    return found


def descendants(pid: int) -> list[int]:
    """The process and everything below it."""
    return [pid, *(inner for child in children(pid) for inner in descendants(child))]


def cells_of(template_pid: int) -> list[list[int]]:
    """The processes of each cell of a template."""
    return [descendants(pid) for pid in children(template_pid)]


def are_at_rest(cells: list[list[int]], count: int) -> bool:
    """Whether there are so many cells, all with their kernel and none of their processes at work."""
    whole = [cell for cell in cells if len(cell) >= PROCESSES_OF_A_CELL]
    return len(whole) == len(cells) == count and all(is_asleep(pid) for cell in cells for pid in cell)


def has_rested(cell: list[int]) -> bool:
    """Whether its agent and its kernel have compared themselves with what sessions have in common, and are done."""
    return len(cell) >= PROCESSES_OF_A_CELL and all(likenesses(pid) > 1 and is_asleep(pid) for pid in cell[:PROCESSES_OF_A_CELL])


def gives_back(template_pid: int) -> bool:
    """Whether the template has something for its cells to compare themselves with."""
    return likenesses(template_pid) > 0


def likenesses(pid: int) -> int:
    """In how many places the process has that memory; one is where all processes have it to compare."""
    return _text(Path(f"/proc/{pid}/maps")).count("/memfd:cellblock-likeness")


def is_asleep(pid: int) -> bool:
    """Whether it waits for something (proc(5), the third field of stat)."""
    return _text(Path(f"/proc/{pid}/stat")).rpartition(") ")[2].startswith("S")


def age_seconds(pid: int) -> float:
    """How long ago it began (proc(5), the 22nd field of stat, in ticks of the clock since the machine's start)."""
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(") ")[2].split()
    return float(_text(Path("/proc/uptime")).split()[0]) - int(fields[19]) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def memory_bytes(pid: int, *names: str) -> int:
    """The sum of these lines of smaps_rollup or status, such as Private_Dirty or VmRSS."""
    text = _text(Path(f"/proc/{pid}/status")) + _text(Path(f"/proc/{pid}/smaps_rollup"))
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE))
    return sum(int(found.get(name, 0)) * 1024 for name in names)


def available_bytes() -> int:
    """What the kernel says that programs could still get (proc(5), MemAvailable)."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _text(path: Path) -> str:
    """Nothing for a process that is gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
