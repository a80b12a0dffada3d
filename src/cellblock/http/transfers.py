"""Files of a session as streams: rights, the session's cell, and what fails there told as errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from cellblock.errors import CellblockError, FieldProblem, QuotaExceeded, ResourceNotFound, ValidationFailed
from cellblock.model.calls import Download, ToolFailed, WriteStream
from cellblock.model.requests import FileInSession
from cellblock.service.operations import Caller, Service

DISK_FULL, MISSING = "disk_full", "missing"


class Transfers:
    """Sends files into sessions and out of them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def upload(self, caller: Caller, file: FileInSession, pieces: AsyncIterator[bytes], *, size: int | None) -> None:
        """Write the file, whole or not at all; what `pieces` raises leaves nothing of it. Raises CellblockError."""
        async with self._service.use_session(caller, file) as cell:
            with _told(file.path):
                await cell.call(WriteStream(path=file.path, size=size, pieces=pieces))

    @asynccontextmanager
    async def download(self, caller: Caller, file: FileInSession) -> AsyncIterator[Download]:
        """The open file. Raises CellblockError, also while it is read."""
        async with self._service.use_session(caller, file) as cell:
            with _told(file.path):
                async with cell.download(file.path) as download:
                    yield download


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except ToolFailed as error:
        raise _refusal(path, error) from error


def _refusal(path: str, error: ToolFailed) -> CellblockError:
    if error.kind == MISSING:
        return ResourceNotFound(error.message)
    if error.kind == DISK_FULL:
        return QuotaExceeded(error.message)
    return ValidationFailed(error.message or f"{path}: {error.kind}", fields=(FieldProblem("path", error.message),))
