"""The AWS event stream: one message for the result of a tool, or one for an error after the stream began."""

from __future__ import annotations

import struct
from zlib import crc32

from cellblock.errors import CellblockError, Internal
from cellblock.model.results import ToolResult
from cellblock.wire.encoding import error_members, json_bytes, result_into
from cellblock.wire.tool_shapes import ERROR_SHAPES, stream_name

PAYLOAD_MAX_BYTES = 24 * 1024 * 1024  # botocore refuses a larger one

_LENGTHS = struct.Struct("!II")  # of the whole message, of its headers
_CHECKSUM = struct.Struct("!I")
_PRELUDE_BYTES = _LENGTHS.size + _CHECKSUM.size
_STRING_TYPE = 7


def result_event(result: ToolResult) -> bytearray:
    """The one event of a call. Raises Internal when the result is larger than a client takes."""
    message = bytearray(_RESULT)
    start = len(message)
    result_into(message, result)
    if (size := len(message) - start) > PAYLOAD_MAX_BYTES:
        raise Internal(f"a result of {size} bytes is over the {PAYLOAD_MAX_BYTES} bytes that one event can carry")
    return _finish(message, start)


def exception_event(error: CellblockError) -> bytearray:
    """An error after the answer's headers are sent; one that streams do not have is an internal one."""
    told = error if error.code in ERROR_SHAPES else Internal("the call failed")
    headers = {":exception-type": stream_name(told.code), ":content-type": "application/json", ":message-type": "exception"}
    message = _begin(headers)
    start = len(message)
    message += json_bytes(error_members(told))
    return _finish(message, start)


def _begin(headers: dict[str, str]) -> bytearray:
    """Room for the prelude, then the headers; the payload is appended in place, so that a file's megabytes are copied once."""
    message = bytearray(_PRELUDE_BYTES)
    for name, value in headers.items():
        message += _header(name, value)
    return message


def _finish(message: bytearray, payload_start: int) -> bytearray:
    _LENGTHS.pack_into(message, 0, len(message) + _CHECKSUM.size, payload_start - _PRELUDE_BYTES)
    _CHECKSUM.pack_into(message, _LENGTHS.size, crc32(message[: _LENGTHS.size]))
    message += _CHECKSUM.pack(crc32(message))
    return message


def _header(name: str, value: str) -> bytes:
    raw_name, raw_value = name.encode("ascii"), value.encode("ascii")
    return struct.pack(f"!B{len(raw_name)}sBH", len(raw_name), raw_name, _STRING_TYPE, len(raw_value)) + raw_value


_RESULT = _begin({":event-type": "result", ":content-type": "application/json", ":message-type": "event"})
