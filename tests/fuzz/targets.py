"""What is fuzzed: each function takes any bytes and fails only when the product does what it must not."""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
import tempfile
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.eventstream import EventStreamBuffer, ParserError

from cellblock.errors import BodyTooLarge, CellblockError, ValidationFailed
from cellblock.http.body import Bodies
from cellblock.http.exchange import ClientGone
from cellblock.model.calls import (
    Call,
    FileToWrite,
    GetTask,
    ListFiles,
    ReadFiles,
    RemoveFiles,
    RunCommand,
    StartTask,
    StopTask,
    WriteFiles,
)
from cellblock.model.results import FileBlock, ImageBlock, LinkBlock, Structured, TextBlock, ToolResult
from cellblock.nodes import codec
from cellblock.wire.encoding import error, result_into
from cellblock.wire.eventstream import exception_event, result_event
from cellblock.wire.head import read_head
from cellblock.wire.operations import OPERATIONS, match
from cellblock.wire.signature import body_digest, read_authorization, verify
from cellblock.wire.validation import parse
from cellblock_cell.link import Decoder, Frame, Kind, LinkError, encode
from fuzz.source import Source
from fuzz.workspace import Play

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HEADERS = ("authorization", "x-amz-date", "host", "content-encoding", "content-length", "x-amzn-code-interpreter-session-id", "traceparent")
MEMBERS = sorted({member.name for operation in OPERATIONS for member in operation.input.members} | {"content", "path", "blob", "text"})
AGENT_WORDS = (
    *("exit_code", "seconds", "dropped_bytes", "outcome", "note", "error", "kind", "message", "status", "task_id", "stopped", "count"),
    *("files", "path", "size", "missing", "failed", "removed", "entries", "name", "stream", "image", "mimeType", "file"),
    *("done", "killed", "working", "stdout", "stderr", "image/png", "directory", "too_large", ""),
)
CALLS: tuple[Call[Any], ...] = (
    RunCommand(command="true", timeout_seconds=5, output_bytes=1000),
    StartTask(command="true", output_bytes=1000),
    GetTask("0"),
    StopTask("0"),
    WriteFiles((FileToWrite("a", b"x"),)),
    ReadFiles(paths=("a", "b"), limit_bytes=1000),
    ListFiles(""),
    RemoveFiles(("a",)),
)
BODY_LIMIT_BYTES = 200


def event_stream(data: bytes) -> None:
    """Any result is one event that botocore reads back, in whatever pieces it arrives."""
    source = Source(data)
    result = _result(source)
    sent = result_event(result)
    buffer = EventStreamBuffer()
    messages = []
    for start, end in _cuts(source, len(sent)):
        buffer.add_data(sent[start:end])
        messages += list(buffer)
    (message,) = messages
    expected = bytearray()
    result_into(expected, result)
    assert message.payload == expected
    json.loads(expected)
    assert message.headers[":event-type"] == "result"


def damaged_event_stream(data: bytes) -> None:
    """An event of which any byte was changed is never taken for another one."""
    source = Source(data)
    sent = bytearray(result_event(_result(source)))
    whole = bytes(sent)
    sent[source.number(len(sent))] ^= 1 + source.number(255)
    buffer = EventStreamBuffer()
    buffer.add_data(bytes(sent))
    try:
        read = list(buffer)
    except ParserError:
        return
    assert not read, whole


def request(data: bytes) -> None:
    """Any head and body are a request, or one of our errors that can be sent."""
    source = Source(data)
    operation = source.one_of(OPERATIONS)
    headers = [(source.one_of(HEADERS).encode(), source.piece()) for _ in range(source.number(6))]
    method = operation.method if source.number(4) else source.text()
    path = operation.path.format_map({"codeInterpreterIdentifier": "mine", "codeInterpreterId": "mine-0123456789"}).encode()
    path = path if source.number(4) else b"/" + source.piece()
    query = source.piece()
    body = json.dumps(source.json_object(MEMBERS)).encode() if source.number(2) else source.rest()
    try:
        head = read_head(method, path, query, headers)
        parse(match(head), head, body)
    except CellblockError as failure:
        error(failure, "id")
        exception_event(failure)


def signature(data: bytes) -> None:
    """No bytes in place of a signature are one, and none break its check."""
    source = Source(data)
    scope = (
        f"AWS4-HMAC-SHA256 Credential={source.text()}/20260102/r/bedrock-agentcore/aws4_request, SignedHeaders={source.text()}, Signature="
    )
    values = (scope.encode() + b"0" * 64, source.piece())
    headers = [
        (b"authorization", source.one_of(values)),
        (b"x-amz-date", source.one_of((b"20260102T000000Z", source.piece()))),
        (b"host", b"h"),
    ]
    try:
        head = read_head("GET", b"/code-interpreters", source.piece(), headers)
        verify(head, read_authorization(head, NOW), secrets=("s",), body_sha256=body_digest(source.rest()))
    except CellblockError:
        return
    raise AssertionError("a signature made of nothing was accepted")


def http_body(data: bytes) -> None:
    """A body is exactly the pieces that came, never more than its limit, or one of the three refusals."""
    source = Source(data)
    messages: list[MutableMapping[str, Any]] = []
    for _ in range(source.number(8)):
        messages.append({"type": "http.request", "body": source.piece(), "more_body": source.number(8) > 0})
    messages.append({"type": "http.disconnect"})
    declared = source.one_of((None, str(source.number(400)), source.text()))
    sent = b""
    for message in messages:
        sent += message.get("body", b"")
        if not message.get("more_body", False):
            break

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop(0)

    async def read() -> bytes:
        bodies = Bodies(1)
        with bodies.place() as place:
            return await bodies.read(receive, place, declared_length=declared, limit_bytes=BODY_LIMIT_BYTES)

    try:
        body = asyncio.run(read())
    except (BodyTooLarge, ValidationFailed, ClientGone):
        return
    assert body == sent
    assert len(body) <= BODY_LIMIT_BYTES


def link(data: bytes) -> None:
    """Any bytes are the same frames however they are cut, and every frame is one that could have been sent."""
    source = Source(data)
    stream = b"".join(_frame(source) for _ in range(source.number(4))) + (source.piece() if source.number(2) else b"")
    whole = _decoded([stream])
    assert _decoded([stream[start:end] for start, end in _cuts(source, len(stream))]) == whole
    for frame in whole[0]:
        (again,), _ = _decoded([encode(frame)])
        assert (again.kind, again.call, again.body) == (frame.kind, frame.call, frame.body)


def forged_agent(data: bytes) -> None:
    """Whatever an agent answers is a reply of the right kind, a failure of the tool, or the end of the link."""
    source = Source(data)
    call = source.one_of(CALLS)
    collected = codec.expect(call)
    try:
        for _ in range(source.number(4)):
            meta = _through_json(source.json_object(AGENT_WORDS))
            collected.add(Frame(Kind.DATA, 1, meta, source.piece()))
        meta = _through_json(source.json_object(AGENT_WORDS))
        failed = codec.failure(meta)
        reply = failed or codec.reply(call, meta, collected)
    except LinkError:
        return
    json.dumps(repr(reply)).encode()


def file_tools(data: bytes) -> None:
    """A workspace full of links, FIFOs and odd names gives nothing of what lies outside, and changes nothing there."""
    with tempfile.TemporaryDirectory() as place:
        Play(Path(place), Source(data)).run()


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (event_stream, damaged_event_stream, request, signature, http_body, link, forged_agent, file_tools)
}


def _result(source: Source) -> ToolResult:
    blocks = (
        lambda: TextBlock(source.text()),
        lambda: ImageBlock(data=source.piece(), mime_type=source.text()),
        lambda: FileBlock(uri=source.text(), mime_type=source.text(), content=source.one_of((source.text(), source.piece()))),
        lambda: LinkBlock(uri=source.text(), name=source.text(), description="File", size=source.number(1000)),
    )
    content = tuple(source.one_of(blocks)() for _ in range(source.number(4)))
    structured = Structured(stdout=source.text(), stderr=source.text(), exit_code=source.number(256)) if source.number(2) else None
    return ToolResult(content=content, structured=structured, is_error=source.number(2) == 1)


def _cuts(source: Source, length: int) -> list[tuple[int, int]]:
    places = sorted({0, length, *(source.number(length + 1) for _ in range(source.number(5)))})
    return list(itertools.pairwise(places))


def _frame(source: Source) -> bytes:
    meta = json.dumps(source.json_object(AGENT_WORDS)).encode() if source.number(4) else source.piece()
    body = source.piece()
    version, kind, reserved = source.one_of((1, 1, 1, 2)), source.number(9), source.one_of((0, 0, 0, 1))
    lengths = source.one_of(((len(meta), len(body)), (len(meta), len(body)), (source.number(1 << 30), source.number(1 << 30))))
    return struct.pack(">BBHIII", version, kind, reserved, source.number(1 << 20), *lengths) + meta + body


def _decoded(pieces: list[bytes]) -> tuple[list[Frame], bool]:
    """The frames up to the first broken one, and whether one was broken."""
    decoder = Decoder()
    frames: list[Frame] = []
    for byte in b"".join(pieces) if len(pieces) == 1 else b"":
        try:
            frames += decoder.feed(bytes([byte]))
        except LinkError:
            return frames, True
    return (frames, False) if len(pieces) == 1 else _decoded_in_pieces(pieces)


def _decoded_in_pieces(pieces: list[bytes]) -> tuple[list[Frame], bool]:
    """The same, where a broken frame takes those before it in its piece with it."""
    decoder = Decoder()
    frames: list[Frame] = []
    for piece in pieces:
        try:
            frames += decoder.feed(piece)
        except LinkError:
            return _decoded([b"".join(pieces)])[0], True
    return frames, False


def _through_json(meta: dict[str, Any]) -> Any:
    return json.loads(json.dumps(meta))
