"""The answer to an Invoke whose client reads the output while it is produced: pieces, then the whole result."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from cellblock.errors import CellblockError
from cellblock.http.streamed_answer import StreamedAnswer
from cellblock.model.happenings import RequestRecord
from cellblock.model.requests import Invoke
from cellblock.model.results import ToolResult
from cellblock.service import tool_results
from cellblock.service.following import GATHER_SECONDS, OutputFollower
from cellblock.wire import encoding, eventstream
from cellblock.wire.head import Head

HEADER = "x-cellblock-stream"
WANTED = "output"
TOOLS = ("executeCode", "executeCommand")
LARGE_BYTES = 256 * 1024
NOTHING_YET = ToolResult(content=())


def is_wanted(head: Head, request: Invoke) -> bool:
    """Whether the client asks for pieces and the tool has some."""
    return head.headers.get(HEADER) == WANTED and request.tool in TOOLS


async def send_followed(
    work: Coroutine[Any, Any, ToolResult], follower: OutputFollower, answer: StreamedAnswer, record: RequestRecord
) -> None:
    """Run the work and send what it prints. Raises ClientGone, and CellblockError as long as nothing is sent."""
    headers = encoding.stream_headers(record.session_id, NOTHING_YET, record.request_id)
    run = asyncio.ensure_future(work)
    try:
        while (piece := await answer.unless_gone(follower.next(run))) is not None:
            await answer.begin(200, headers)
            await answer.piece(eventstream.result_event(piece))
            await asyncio.wait((run,), timeout=GATHER_SECONDS)
        body = await _last_event(run, answer, record)
        await answer.begin(200, headers)
        await answer.piece(body)
        await answer.end()
    finally:
        if not run.done():
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)


async def _last_event(run: asyncio.Future[ToolResult], answer: StreamedAnswer, record: RequestRecord) -> bytearray:
    try:
        result = run.result()
        record.is_error = result.is_error
        is_large = tool_results.size(result) > LARGE_BYTES
        return await asyncio.to_thread(eventstream.result_event, result) if is_large else eventstream.result_event(result)
    except CellblockError as error:
        if not answer.has_begun:
            raise
        record.error = error.code
        return eventstream.exception_event(error)
