"""The framed byte protocol between host and agent, and between agent and kernel."""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

VERSION = 1
META_LIMIT_BYTES = 4 * 1024 * 1024
BODY_LIMIT_BYTES = 1024 * 1024
_HEADER = struct.Struct(">BBHIII")  # version, kind, reserved (0), call, length of meta, length of body

Scalar = str | int | float | bool | None
Meta = dict[str, "Scalar | list[Scalar] | list[dict[str, Scalar]] | dict[str, Scalar]"]


class LinkError(Exception):
    """The other side sent bytes that are not a frame; the link cannot be used further."""


class Kind(enum.IntEnum):
    """What a frame says."""

    HELLO = 1  # agent or kernel: ready for calls
    CALL = 2  # host: run one tool; the call number is the host's
    DATA = 3  # either side: a piece of a file, of output, of an image
    END = 4  # host: the uploads of this call are complete
    RESULT = 5  # agent: the call is over
    CANCEL = 6  # host: interrupt this call


_KINDS = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: a small JSON object and raw bytes."""

    kind: Kind
    call: int = 0
    meta: Meta = field(default_factory=dict)
    body: bytes | memoryview = b""


def encode(frame: Frame) -> bytes:
    """The bytes of a frame; raises LinkError when a part is over its limit."""
    meta = json.dumps(frame.meta, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") if frame.meta else b""
    if len(meta) > META_LIMIT_BYTES:
        raise LinkError(f"meta of {len(meta)} bytes is over the limit of {META_LIMIT_BYTES}")
    if len(frame.body) > BODY_LIMIT_BYTES:
        raise LinkError(f"body of {len(frame.body)} bytes is over the limit of {BODY_LIMIT_BYTES}")
    header = _HEADER.pack(VERSION, frame.kind, 0, frame.call, len(meta), len(frame.body))
    return b"".join((header, meta, frame.body))


def pieces(data: bytes | memoryview) -> Iterator[memoryview]:
    """The data in bodies that fit a frame each; nothing for no data."""
    view = memoryview(data)
    for start in range(0, len(view), BODY_LIMIT_BYTES):
        yield view[start : start + BODY_LIMIT_BYTES]


class Decoder:
    """Turns a byte stream into frames and holds at most one unfinished frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete; raises LinkError on the first malformed one."""
        self._buffer += data
        frames: list[Frame] = []
        start = 0
        while (taken := self._take(start)) is not None:
            frame, start = taken
            frames.append(frame)
        del self._buffer[:start]
        return frames

    def _take(self, start: int) -> tuple[Frame, int] | None:
        if len(self._buffer) - start < _HEADER.size:
            return None
        version, kind, reserved, call, meta_length, body_length = _HEADER.unpack_from(self._buffer, start)
        if version != VERSION or reserved:
            raise LinkError(f"frame of version {version}, this side speaks {VERSION}")
        if kind not in _KINDS:
            raise LinkError(f"frame of unknown kind {kind}")
        if meta_length > META_LIMIT_BYTES or body_length > BODY_LIMIT_BYTES:
            raise LinkError(f"frame announces {meta_length} + {body_length} bytes, over the limit")
        middle = start + _HEADER.size + meta_length
        if len(self._buffer) < middle + body_length:
            return None
        meta = _meta(bytes(self._buffer[start + _HEADER.size : middle]))
        with memoryview(self._buffer) as view:  # a slice of the buffer itself would be one copy more
            body = bytes(view[middle : middle + body_length])
        return Frame(Kind(kind), call, meta, body), middle + body_length


def _meta(text: bytes) -> Meta:
    if not text:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LinkError("frame whose meta is not JSON") from error
    if not isinstance(value, dict):
        raise LinkError("frame whose meta is not an object")
    return value
