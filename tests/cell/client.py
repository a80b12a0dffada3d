"""A small synchronous host for one agent."""

from __future__ import annotations

import json
import os
import select
import socket
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cellblock_cell.link import Decoder, Frame, Kind, encode, pieces

PATIENCE_SECONDS = 30.0
OUTPUT_BYTES = 10_000_000


@dataclass
class Reply:
    """All that came for one call."""

    meta: dict[str, Any] = field(default_factory=dict)
    streams: dict[str, bytearray] = field(default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()})
    images: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    files: dict[int, bytearray] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)
    pieces: bytearray = field(default_factory=bytearray)

    @property
    def stdout(self) -> bytes:
        """Standard output."""
        return bytes(self.streams["stdout"])

    @property
    def stderr(self) -> bytes:
        """Standard error."""
        return bytes(self.streams["stderr"])

    @property
    def text(self) -> str:
        """Standard output without its last newline."""
        return self.stdout.decode().rstrip("\n")

    @property
    def error(self) -> str:
        """The kind of the tool's own failure."""
        return str(self.meta.get("error", {}).get("kind", ""))

    def take(self, frame: Frame) -> None:
        """Add a DATA or RESULT frame."""
        meta: dict[str, Any] = frame.meta
        if frame.kind is Kind.RESULT:
            self.meta = meta
        elif "stream" in meta:
            self.streams[meta["stream"]] += frame.body
        elif "image" in meta:
            before = self.images.get(meta["image"], ("", b""))[1]
            self.images[meta["image"]] = (meta["mimeType"], before + bytes(frame.body))
        elif "file" in meta:
            self.files.setdefault(meta["file"], bytearray()).extend(frame.body)
        elif "entries" in meta:
            self.entries += meta["entries"]
        else:
            self.pieces += frame.body


class AgentClient:
    """Speaks the link's host side; `pid` is the agent's."""

    def __init__(self, link: socket.socket, workspace: Path, pid: int) -> None:
        self.link = link
        self.workspace = workspace
        self.pid = pid
        self.hello: Frame | None = None
        self._decoder = Decoder()
        self._replies: dict[int, Reply] = defaultdict(Reply)
        self._done: set[int] = set()
        self._last = 0
        link.settimeout(PATIENCE_SECONDS)

    def start(self, tool: str, **arguments: Any) -> int:
        """Send a call; its number."""
        self._last += 1
        self.link.sendall(encode(Frame(Kind.CALL, self._last, {"tool": tool, **arguments})))
        return self._last

    def wait(self, number: int) -> Reply:
        """Read frames until the call's result."""
        while number not in self._done:
            self.read()
        self._done.remove(number)
        return self._replies.pop(number)

    def wait_for_output(self, number: int, text: bytes) -> None:
        """Read frames until the call has printed the text."""
        while text not in self._replies[number].stdout:
            assert number not in self._done, self._replies[number]
            self.read()

    def read(self) -> None:
        """Take what comes next; raises EOFError when the agent has gone."""
        data = self.link.recv(1 << 20)
        if not data:
            raise EOFError("the agent closed the link")
        for frame in self._decoder.feed(data):
            if frame.kind is Kind.HELLO:
                self.hello = frame
            else:
                self._replies[frame.call].take(frame)
                if frame.kind is Kind.RESULT:
                    self._done.add(frame.call)

    def cancel(self, number: int) -> None:
        """Interrupt a call."""
        self.link.sendall(encode(Frame(Kind.CANCEL, number, {"reason": "test"})))

    def start_code(self, code: str, **changes: Any) -> int:
        """Send a run_code call."""
        usual = {"language": "python", "runtime": "python", "clear_context": False, "timeout_seconds": 30.0, "output_bytes": OUTPUT_BYTES}
        return self.start("run_code", code=code, **{**usual, **changes})

    def run(self, code: str, **changes: Any) -> Reply:
        """Run Python code."""
        return self.wait(self.start_code(code, **changes))

    def start_command(self, command: str, **changes: Any) -> int:
        """Send a run_command call."""
        return self.start("run_command", command=command, **{"timeout_seconds": 30.0, "output_bytes": OUTPUT_BYTES, **changes})

    def command(self, command: str, **changes: Any) -> Reply:
        """Run a shell command."""
        return self.wait(self.start_command(command, **changes))

    def call(self, tool: str, **arguments: Any) -> Reply:
        """Any tool without uploads."""
        return self.wait(self.start(tool, **arguments))

    def write(self, files: dict[str, bytes]) -> Reply:
        """Write a batch of files."""
        return self.wait(self.upload(files))

    def upload(self, files: dict[str, bytes], *, end: bool = True) -> int:
        """Send a write_files call with its data, and without END when it is to stay open."""
        number = self.start("write_files", files=[{"path": path, "size": len(data)} for path, data in files.items()])
        for index, data in enumerate(files.values()):
            for piece in pieces(data):
                self.link.sendall(encode(Frame(Kind.DATA, number, {"file": index}, piece)))
        if end:
            self.finish_upload(number)
        return number

    def send_file_data(self, number: int, index: int, data: bytes) -> None:
        """One more piece of an upload."""
        self.link.sendall(encode(Frame(Kind.DATA, number, {"file": index}, data)))

    def finish_upload(self, number: int) -> None:
        """The upload is complete."""
        self.link.sendall(encode(Frame(Kind.END, number)))

    def wait_for_any(self, numbers: set[int]) -> int:
        """Read frames until one of the calls has its result; its number. Call `wait` for the result itself."""
        while not numbers & self._done:
            self.read()
        return min(numbers & self._done)

    def pending_output(self, number: int) -> bytes:
        """What a call that is under way has printed."""
        return self._replies[number].stdout

    def pending_pieces(self, number: int) -> bytes:
        """What has come of a stream that is under way."""
        return bytes(self._replies[number].pieces)

    def file(self, path: str, limit_bytes: int = 16 << 20) -> Reply:
        """Read one file."""
        return self.call("read_files", paths=[path], limit_bytes=limit_bytes)

    def wait_for_hello(self) -> None:
        """The agent is ready."""
        while self.hello is None:
            self.read()


class AgentTemplate:
    """The forking process; its control socket and environment."""

    def __init__(self, control: socket.socket, environment: dict[str, str]) -> None:
        self._control = control
        self._environment = environment

    @contextmanager
    def agent(self, workspace: Path, **more: str) -> Iterator[AgentClient]:
        """An agent that ends with the block, and all its processes with it."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                request = {"workspace": str(workspace), "environment": self._environment, **more}
                socket.send_fds(self._control, [json.dumps(request).encode()], [theirs.fileno()])
            client = AgentClient(ours, workspace, int(self._control.recv(64)))
            client.wait_for_hello()
            yield client
        wait_until_gone(client.pid)


def wait_until_gone(pid: int) -> None:
    """Until a process, which need not be a child, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([descriptor], [], [], PATIENCE_SECONDS)
        assert ready, f"process {pid} lives on"
    finally:
        os.close(descriptor)
