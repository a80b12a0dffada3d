"""The client for plain Python: a session is a `with` block, and every method waits."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO, Self

from cellblock.clients import messages
from cellblock.clients.connections import Connections
from cellblock.clients.messages import Events, Named, Request
from cellblock.clients.results import ClientError, Entry, Output, Result, RunFailed, ServiceError
from cellblock.clients.saving import saved
from cellblock.clients.server import Server, find_server
from cellblock.clients.transport import PIECE_BYTES, Limits

BUILT_IN = "aws.codeinterpreter.v1"
OnOutput = Callable[[Output], None]


class Client:
    """A server, and the connections to it that many sessions may share, from several threads too."""

    def __init__(self, server: Server | None = None, *, data_dir: str | Path | None = None, limits: Limits | None = None) -> None:
        self.server = server or find_server(data_dir)
        self._connections = Connections(self.server, limits or Limits())

    def session(self, interpreter: str = BUILT_IN, *, name: str | None = None, timeout_seconds: int | None = None) -> Session:
        """A session of this client, started when its block is entered."""
        return Session(interpreter, name=name, timeout_seconds=timeout_seconds, client=self)

    def close(self) -> None:
        """Close the connections; sessions that were not stopped live on until their time is over."""
        self._connections.close()

    def __enter__(self) -> Self:
        """For a block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connections."""
        self.close()

    def ask(self, request: Request, content: Any = None) -> bytes:
        """The body of the answer. Raises ServiceError and ConnectionFailed."""
        status, headers, body = self._connections.send(request, content)
        if status >= 300:
            raise messages.error_of(status, headers, body)
        return body

    def stream(self, request: Request) -> Iterator[bytes]:
        """The body of the answer as it comes; whoever stops reading closes the connection."""
        with self._connections.open(request) as answer:
            if answer.status >= 300:
                raise messages.error_of(answer.status, answer.headers, answer.read())
            yield from answer.pieces()


class Session:
    """A sandbox of your own: `with Session() as session: print(session.run("6 * 7"))`."""

    def __init__(
        self, interpreter: str = BUILT_IN, *, name: str | None = None, timeout_seconds: int | None = None, client: Client | None = None
    ) -> None:
        self._start = messages.start(interpreter, name=name, timeout_seconds=timeout_seconds)
        self._interpreter = interpreter
        self._client = client or Client()
        self._owns_client = client is None
        self._named: Named | None = None

    @property
    def id(self) -> str:
        """The session's id. Raises ClientError before it is started."""
        return self._session.session_id

    def __enter__(self) -> Self:
        """Start the session."""
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the session."""
        self.stop()

    def start(self) -> Self:
        """Start the session; `stop` ends it. A `with` block does both."""
        self._named = Named(self._interpreter, json.loads(self._client.ask(self._start))["sessionId"])
        return self

    def stop(self) -> None:
        """End the session, and everything in it; one that has ended by itself is fine."""
        named, self._named = self._named, None
        try:
            if named is not None:
                self._client.ask(named.stop())
        except ServiceError as error:
            if error.code not in messages.OVER:
                raise
        finally:
            if self._owns_client:
                self._client.close()

    def run(self, code: str, language: str = "python", *, on_output: OnOutput | None = None, **arguments: Any) -> Result:
        """Run code; variables stay for the next call. `on_output` is called with what it prints while it runs."""
        return self._run("executeCode", {"code": code, "language": language, **arguments}, on_output)

    def command(self, command: str, *, on_output: OnOutput | None = None) -> Result:
        """Run a shell command in the workspace."""
        return self._run("executeCommand", {"command": command}, on_output)

    def stream(self, code: str, language: str = "python", **arguments: Any) -> Iterator[Output | Result]:
        """Run code: what it prints, piece by piece, and the result last. Whoever stops reading interrupts it."""
        return self._follow("executeCode", {"code": code, "language": language, **arguments})

    def invoke(self, tool: str, **arguments: Any) -> Result:
        """Any of the nine tools, with the arguments of the API."""
        (result,) = Events().feed(self._client.ask(self._session.invoke(tool, arguments)))
        assert isinstance(result, Result)
        return result

    def start_task(self, command: str) -> Task:
        """Start a shell command that runs beside other calls."""
        return Task(self, self.invoke("startCommandExecution", command=command).raise_for_error().task_id or "")

    def write(self, path: str, data: str | bytes) -> None:
        """Write a file; its directories are made."""
        content = data.encode() if isinstance(data, str) else data
        self._client.ask(self._session.file("PUT", path, content), content)

    def read(self, path: str) -> bytes:
        """A file's content, of any size that fits in memory; `download` for the others."""
        return self._client.ask(self._session.file("GET", path))

    def read_text(self, path: str) -> str:
        """A file's content as UTF-8."""
        return self.read(path).decode()

    def upload(self, source: str | Path | BinaryIO, path: str | None = None) -> str:
        """Send a file of any size as a stream; its path in the session, which is its own name unless another is given."""
        if not isinstance(source, str | os.PathLike):
            return self._send(source, path or PurePosixPath(str(getattr(source, "name", "upload"))).name)
        with Path(source).open("rb") as file:
            return self._send(file, path or Path(source).name)

    def download(self, path: str, target: str | Path | BinaryIO | None = None) -> None:
        """Fetch a file of any size as a stream, whole or not at all; into the current directory unless a target is given."""
        pieces = self._client.stream(self._session.file("GET", path))
        if target is not None and not isinstance(target, str | os.PathLike):
            for piece in pieces:
                target.write(piece)
            return
        with saved(Path(target or PurePosixPath(path).name)) as file:
            for piece in pieces:
                file.write(piece)

    def files(self, directory: str = "") -> tuple[Entry, ...]:
        """The names in a directory."""
        return self.invoke("listFiles", directoryPath=directory).raise_for_error().entries

    def remove(self, *paths: str) -> None:
        """Remove files and whole directories. Raises RunFailed when one is missing; the others are removed."""
        self.invoke("removeFiles", paths=list(paths)).raise_for_error()

    @property
    def _session(self) -> Named:
        if self._named is None:
            raise ClientError("the session is not started; use it in a `with` block")
        return self._named

    def _send(self, file: BinaryIO, path: str) -> str:
        self._client.ask(self._session.file("PUT", path), iter(lambda: file.read(PIECE_BYTES), b""))
        return path

    def _run(self, tool: str, arguments: Mapping[str, Any], on_output: OnOutput | None) -> Result:
        if on_output is None:
            return self.invoke(tool, **arguments)
        for item in self._follow(tool, arguments):
            if isinstance(item, Result):
                return item
            on_output(item)
        raise ClientError("the answer ended without a result")

    def _follow(self, tool: str, arguments: Mapping[str, Any]) -> Iterator[Output | Result]:
        events = Events(is_followed=True)
        for data in self._client.stream(self._session.invoke(tool, arguments, is_followed=True)):
            yield from events.feed(data)


class Task:
    """A shell command that runs beside other calls."""

    def __init__(self, session: Session, task_id: str) -> None:
        self._session = session
        self.id = task_id

    def status(self) -> Result:
        """How it does: `task_status` is working, completed, failed or canceled, and `stdout` is what it has printed so far."""
        return self._session.invoke("getTask", taskId=self.id)

    def stop(self) -> None:
        """End it and its processes. Raises RunFailed when it has ended."""
        result = self._session.invoke("stopTask", taskId=self.id)
        if result.is_error:
            raise RunFailed(result)
