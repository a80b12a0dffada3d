"""The AWS event stream: one message for the result of a tool, or one for an error after the stream began."""

from __future__ import annotations

import struct
from zlib import crc32

from cellblock.errors import CellblockError, Internal
from cellblock.results import ToolResult
from cellblock.wire.encoding import error_members, json_bytes, result_members
from cellblock.wire.tool_shapes import ERROR_SHAPES, stream_name

PAYLOAD_MAX_BYTES = 24 * 1024 * 1024  # botocore refuses a larger one

_LENGTHS = struct.Struct("!II")  # of the whole message, of its headers
_CHECKSUM = struct.Struct("!I")
_STRING_TYPE = 7


def result_event(result: ToolResult) -> bytes:
    """The one event of a call. Raises Internal when the result is larger than a client takes."""
    headers = {":event-type": "result", ":content-type": "application/json", ":message-type": "event"}
    return _message(headers, json_bytes(result_members(result)))


def exception_event(error: CellblockError) -> bytes:
    """An error after the answer's headers are sent; one that streams do not have is an internal one."""
    told = error if error.code in ERROR_SHAPES else Internal("the call failed")
    headers = {":exception-type": stream_name(told.code), ":content-type": "application/json", ":message-type": "exception"}
    return _message(headers, json_bytes(error_members(told)))


def _message(headers: dict[str, str], payload: bytes) -> bytes:
    if len(payload) > PAYLOAD_MAX_BYTES:
        raise Internal(f"a result of {len(payload)} bytes is over the {PAYLOAD_MAX_BYTES} bytes that one event can carry")
    head = b"".join(_header(name, value) for name, value in headers.items())
    lengths = _LENGTHS.pack(_LENGTHS.size + 2 * _CHECKSUM.size + len(head) + len(payload), len(head))
    prelude = lengths + _CHECKSUM.pack(crc32(lengths))
    checksum = crc32(payload, crc32(head, crc32(prelude)))
    return b"".join((prelude, head, payload, _CHECKSUM.pack(checksum)))


def _header(name: str, value: str) -> bytes:
    raw_name, raw_value = name.encode("ascii"), value.encode("ascii")
    return struct.pack(f"!B{len(raw_name)}sBH", len(raw_name), raw_name, _STRING_TYPE, len(raw_value)) + raw_value
