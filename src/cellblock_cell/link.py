"""The framed byte protocol between host and agent, and between agent and kernel."""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Iterator
from typing import NamedTuple

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

    HELLO = 1  # agent: ready for calls; of a kernel it is heard and means nothing
    CALL = 2  # host: run one tool; the call number is the host's
    DATA = 3  # either side: a piece of a file, of output, of an image
    END = 4  # host: the uploads of this call are complete
    RESULT = 5  # agent: the call is over
    CANCEL = 6  # host: interrupt this call


_KINDS = {kind.value: kind for kind in Kind}
_NO_META: Meta = {}  # of every frame that has none; nobody changes a frame's


class Frame(NamedTuple):
    """One message: a small JSON object and raw bytes."""

    kind: Kind
    call: int = 0
    meta: Meta = _NO_META
    body: bytes | memoryview = b""


_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_from_json = json.JSONDecoder().decode


def encode(frame: Frame) -> bytes:
    """The bytes of a frame; raises LinkError when a part is over its limit."""
    return b"".join((head(frame), frame.body))


def head(frame: Frame) -> bytes:
    """The bytes of a frame before those of its body; raises LinkError when a part is over its limit."""
    meta = _to_json(frame.meta).encode("utf-8", "replace") if frame.meta else b""
    if len(meta) > META_LIMIT_BYTES:
        raise LinkError(f"meta of {len(meta)} bytes is over the limit of {META_LIMIT_BYTES}")
    if len(frame.body) > BODY_LIMIT_BYTES:
        raise LinkError(f"body of {len(frame.body)} bytes is over the limit of {BODY_LIMIT_BYTES}")
    return _HEADER.pack(VERSION, frame.kind, 0, frame.call, len(meta), len(frame.body)) + meta


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
        if not self._buffer:
            frames, start = _frames(data)
            self._buffer += memoryview(data)[start:]
            return frames
        self._buffer += data
        frames, start = _frames(self._buffer)
        del self._buffer[:start]
        return frames


def _frames(data: bytes | bytearray) -> tuple[list[Frame], int]:
    """The whole frames that the data begins with, and where they end."""
    frames: list[Frame] = []
    start = 0
    with memoryview(data) as view:  # a slice of a bytearray itself would be one copy more
        while (taken := _take(view, start)) is not None:
            frame, start = taken
            frames.append(frame)
    return frames, start


def _take(data: memoryview, start: int) -> tuple[Frame, int] | None:
    if len(data) - start < _HEADER.size:
        return None
    version, number, reserved, call, meta_length, body_length = _HEADER.unpack_from(data, start)
    if version != VERSION or reserved:
        raise LinkError(f"frame of version {version}, this side speaks {VERSION}")
    kind = _KINDS.get(number)
    if kind is None:
        raise LinkError(f"frame of unknown kind {number}")
    if meta_length > META_LIMIT_BYTES or body_length > BODY_LIMIT_BYTES:
        raise LinkError(f"frame announces {meta_length} + {body_length} bytes, over the limit")
    middle = start + _HEADER.size + meta_length
    if len(data) < middle + body_length:
        return None
    meta = _meta(bytes(data[start + _HEADER.size : middle]))
    return Frame(kind, call, meta, bytes(data[middle : middle + body_length])), middle + body_length


def _meta(text: bytes) -> Meta:
    if not text:
        return _NO_META
    try:
        value = _from_json(text.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise LinkError("frame whose meta is not JSON") from error
    if not isinstance(value, dict):
        raise LinkError("frame whose meta is not an object")
    return value
