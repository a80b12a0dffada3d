"""GET and PUT of a session's files: signed like every request, but with a body that is not held in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256

from cellblock.errors import BadSignature, CellblockError
from cellblock.http.body import length_of, pieces
from cellblock.http.exchange import Receive
from cellblock.http.streamed_answer import StreamedAnswer
from cellblock.http.transfers import Transfers
from cellblock.model.requests import FileInSession
from cellblock.service.operations import Caller
from cellblock.wire import encoding
from cellblock.wire.encoding import Response

LINGER_BYTES = 16 * 1024 * 1024  # of a refused upload that are read on, so that its client comes to read the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A PUT whose head is proven. `digest` is what the body's SHA-256 must be, None when the client left the body unsigned."""

    file: FileInSession
    receive: Receive
    declared_length: str | None
    digest: str | None


async def receive_file(transfers: Transfers, caller: Caller, upload: Upload) -> Response:
    """Put the file in place. Raises CellblockError and ClientGone."""
    size = None if upload.declared_length is None else length_of(upload.declared_length)
    body = pieces(upload.receive)
    async with aclosing(body):
        try:
            await transfers.upload(caller, upload.file, _checked(body, upload.digest), size=size)
        except CellblockError as error:
            is_read = await _is_read_on(body)
            refusal = encoding.error(error, caller.request_id)
            return refusal if is_read else Response(refusal.status, {**refusal.headers, "Connection": "close"}, refusal.body)
    return Response(
        200, {"Content-Type": "application/json", "x-amzn-RequestId": caller.request_id}, encoding.json_bytes({"path": upload.file.path})
    )


async def send_file(transfers: Transfers, caller: Caller, file: FileInSession, answer: StreamedAnswer) -> None:
    """Send the file. Raises CellblockError and ClientGone; when the answer has begun it is cut off."""
    async with transfers.download(caller, file) as download, aclosing(download.pieces()) as pieces_of_file:
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(download.size),
            "x-amzn-RequestId": caller.request_id,
        }
        await answer.begin(200, headers)
        while (piece := await answer.unless_gone(anext(pieces_of_file, None))) is not None:
            await answer.piece(piece)
        await answer.end()


async def _checked(body: AsyncIterator[bytes], digest: str | None) -> AsyncIterator[bytes]:
    """The body, whose end is an error when it was another one that was signed."""
    hashed = sha256()
    async for piece in body:
        if digest is not None:
            hashed.update(piece)
        yield piece
    if digest is not None and hashed.hexdigest() != digest:
        raise BadSignature("the x-amz-content-sha256 header is not the SHA-256 of the body that arrived")


async def _is_read_on(body: AsyncIterator[bytes]) -> bool:
    left = LINGER_BYTES
    async for piece in body:
        left -= len(piece)
        if left < 0:
            return False
    return True
