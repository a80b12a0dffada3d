"""The client for asyncio: as the one for plain Python, with `async with` and `await`."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO, Self

import httpx

from cellblock.clients import messages
from cellblock.clients.messages import Events, Named, Request
from cellblock.clients.results import ClientError, Entry, Output, Result, RunFailed, ServiceError
from cellblock.clients.saving import saved
from cellblock.clients.server import Server, find_server
from cellblock.clients.transport import PIECE_BYTES, Limits, options, sent, told

BUILT_IN = "aws.codeinterpreter.v1"
OnOutput = Callable[[Output], None]


class AsyncClient:
    """A server, and the connections to it that many sessions may share."""

    def __init__(self, server: Server | None = None, *, data_dir: str | Path | None = None, limits: Limits | None = None) -> None:
        self.server = server or find_server(data_dir)
        self._http = httpx.AsyncClient(**options(self.server, limits or Limits()))

    def session(self, interpreter: str = BUILT_IN, *, name: str | None = None, timeout_seconds: int | None = None) -> AsyncSession:
        """A session of this client, started when its block is entered."""
        return AsyncSession(interpreter, name=name, timeout_seconds=timeout_seconds, client=self)

    async def close(self) -> None:
        """Close the connections; sessions that were not stopped live on until their time is over."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """For a block."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connections."""
        await self.close()

    async def ask(self, request: Request, content: Any = None) -> bytes:
        """The body of the answer. Raises ServiceError and ConnectionFailed."""
        with told(self.server):
            response = await self._http.request(**sent(self.server, request, content))
        if response.status_code >= 300:
            raise messages.error_of(response.status_code, response.headers, response.content)
        return response.content

    async def stream(self, request: Request) -> AsyncGenerator[bytes, None]:
        """The body of the answer as it comes; whoever closes it closes the connection."""
        with told(self.server):
            async with self._http.stream(**sent(self.server, request, None)) as response:
                if response.status_code >= 300:
                    raise messages.error_of(response.status_code, response.headers, await response.aread())
                async for piece in response.aiter_raw():
                    yield piece


class AsyncSession:
    """A sandbox of your own: `async with AsyncSession() as session: print(await session.run("6 * 7"))`."""

    def __init__(
        self, interpreter: str = BUILT_IN, *, name: str | None = None, timeout_seconds: int | None = None, client: AsyncClient | None = None
    ) -> None:
        self._start = messages.start(interpreter, name=name, timeout_seconds=timeout_seconds)
        self._interpreter = interpreter
        self._client = client or AsyncClient()
        self._owns_client = client is None
        self._named: Named | None = None

    @property
    def id(self) -> str:
        """The session's id. Raises ClientError before it is started."""
        return self._session.session_id

    async def __aenter__(self) -> Self:
        """Start the session."""
        return await self.start()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the session."""
        await self.stop()

    async def start(self) -> Self:
        """Start the session; `stop` ends it. An `async with` block does both."""
        self._named = Named(self._interpreter, json.loads(await self._client.ask(self._start))["sessionId"])
        return self

    async def stop(self) -> None:
        """End the session, and everything in it; one that has ended by itself is fine."""
        named, self._named = self._named, None
        try:
            if named is not None:
                await self._client.ask(named.stop())
        except ServiceError as error:
            if error.code not in messages.OVER:
                raise
        finally:
            if self._owns_client:
                await self._client.close()

    async def run(self, code: str, language: str = "python", *, on_output: OnOutput | None = None, **arguments: Any) -> Result:
        """Run code; variables stay for the next call. `on_output` is called with what it prints while it runs."""
        return await self._run("executeCode", {"code": code, "language": language, **arguments}, on_output)

    async def command(self, command: str, *, on_output: OnOutput | None = None) -> Result:
        """Run a shell command in the workspace."""
        return await self._run("executeCommand", {"command": command}, on_output)

    def stream(self, code: str, language: str = "python", **arguments: Any) -> AsyncGenerator[Output | Result, None]:
        """Run code: what it prints, piece by piece, and the result last. Whoever closes it interrupts the run."""
        return self._follow("executeCode", {"code": code, "language": language, **arguments})

    async def invoke(self, tool: str, **arguments: Any) -> Result:
        """Any of the nine tools, with the arguments of the API."""
        (result,) = Events().feed(await self._client.ask(self._session.invoke(tool, arguments)))
        assert isinstance(result, Result)
        return result

    async def start_task(self, command: str) -> AsyncTask:
        """Start a shell command that runs beside other calls."""
        started = await self.invoke("startCommandExecution", command=command)
        return AsyncTask(self, started.raise_for_error().task_id or "")

    async def write(self, path: str, data: str | bytes) -> None:
        """Write a file; its directories are made."""
        content = data.encode() if isinstance(data, str) else data
        await self._client.ask(self._session.file("PUT", path, content), content)

    async def read(self, path: str) -> bytes:
        """A file's content, of any size that fits in memory; `download` for the others."""
        return await self._client.ask(self._session.file("GET", path))

    async def read_text(self, path: str) -> str:
        """A file's content as UTF-8."""
        return (await self.read(path)).decode()

    async def upload(self, source: str | Path | BinaryIO, path: str | None = None) -> str:
        """Send a file of any size as a stream; its path in the session, which is its own name unless another is given."""
        if not isinstance(source, str | os.PathLike):
            return await self._send(source, path or PurePosixPath(str(getattr(source, "name", "upload"))).name)
        file = await asyncio.to_thread(Path(source).open, "rb")
        with file:
            return await self._send(file, path or Path(source).name)

    async def download(self, path: str, target: str | Path | BinaryIO | None = None) -> None:
        """Fetch a file of any size as a stream, whole or not at all; into the current directory unless a target is given."""
        async with aclosing(self._client.stream(self._session.file("GET", path))) as pieces:
            if target is not None and not isinstance(target, str | os.PathLike):
                await _copy(pieces, target)
                return
            with saved(Path(target or PurePosixPath(path).name)) as file:
                await _copy(pieces, file)

    async def files(self, directory: str = "") -> tuple[Entry, ...]:
        """The names in a directory."""
        return (await self.invoke("listFiles", directoryPath=directory)).raise_for_error().entries

    async def remove(self, *paths: str) -> None:
        """Remove files and whole directories. Raises RunFailed when one is missing; the others are removed."""
        (await self.invoke("removeFiles", paths=list(paths))).raise_for_error()

    @property
    def _session(self) -> Named:
        if self._named is None:
            raise ClientError("the session is not started; use it in an `async with` block")
        return self._named

    async def _send(self, file: BinaryIO, path: str) -> str:
        await self._client.ask(self._session.file("PUT", path), _pieces(file))
        return path

    async def _run(self, tool: str, arguments: Mapping[str, Any], on_output: OnOutput | None) -> Result:
        if on_output is None:
            return await self.invoke(tool, **arguments)
        async with aclosing(self._follow(tool, arguments)) as items:
            async for item in items:
                if isinstance(item, Result):
                    return item
                on_output(item)
        raise ClientError("the answer ended without a result")

    async def _follow(self, tool: str, arguments: Mapping[str, Any]) -> AsyncGenerator[Output | Result, None]:
        events = Events(is_followed=True)
        async with aclosing(self._client.stream(self._session.invoke(tool, arguments, is_followed=True))) as pieces:
            async for data in pieces:
                for item in events.feed(data):
                    yield item


class AsyncTask:
    """A shell command that runs beside other calls."""

    def __init__(self, session: AsyncSession, task_id: str) -> None:
        self._session = session
        self.id = task_id

    async def status(self) -> Result:
        """How it does: `task_status` is working, completed, failed or canceled, and `stdout` is what it has printed so far."""
        return await self._session.invoke("getTask", taskId=self.id)

    async def stop(self) -> None:
        """End it and its processes. Raises RunFailed when it has ended."""
        result = await self._session.invoke("stopTask", taskId=self.id)
        if result.is_error:
            raise RunFailed(result)


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
        yield piece


async def _copy(pieces: AsyncIterator[bytes], file: BinaryIO) -> None:
    async for piece in pieces:
        await asyncio.to_thread(file.write, piece)
