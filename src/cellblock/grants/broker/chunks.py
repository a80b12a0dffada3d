"""Takes a body out of aws-chunked: the pieces, their signatures by the session's key and the trailer end at the broker, as the head's do.

Servers that speak the protocol of S3 differ in what they know of this coding; a plain body of a known length all of them take.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import h11

from cellblock.grants.broker.refusals import invalid

CODING = "aws-chunked"
UNSIGNED = "UNSIGNED-PAYLOAD"
_STREAMING = "STREAMING-"
_LINE_BYTES = 1024
_TRAILER_BYTES = 8 * 1024
_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")
_GONE = {"x-amz-decoded-content-length", "x-amz-trailer", "x-amz-sdk-checksum-algorithm", "transfer-encoding"}


class NotChunked(h11.RemoteProtocolError):
    """A body that is not what its head says."""


def is_chunked(headers: Mapping[str, str]) -> bool:
    """Whether the body is coded so."""
    return headers.get("x-amz-content-sha256", "").startswith(_STREAMING)


def plain(headers: Mapping[str, str]) -> dict[str, str]:
    """The head for the body that is taken out. Raises Refused."""
    length = headers.get("x-amz-decoded-content-length", "")
    if not (length.isascii() and length.isdecimal() and len(length) <= len(str(1 << 53))):
        raise invalid("a body in pieces needs x-amz-decoded-content-length")
    kept = {name: value for name, value in headers.items() if name not in _GONE}
    codings = [coding.strip() for coding in kept.pop("content-encoding", "").split(",")]
    if left := ",".join(coding for coding in codings if coding and coding.lower() != CODING):
        kept["content-encoding"] = left
    return kept | {"content-length": str(int(length)), "x-amz-content-sha256": UNSIGNED}


class Unchunker:
    """Feed it the body as it comes."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0  # of the piece that has begun
        self._take_line = self._begin
        self._trailer_bytes = 0
        self.is_over = False

    def feed(self, data: bytes) -> bytes:
        """What the data brings of the plain body. Raises NotChunked."""
        self._buffer += data
        out = bytearray()
        while self._buffer:
            if self.is_over:
                raise NotChunked("something follows the last piece")
            if self._left:
                out += self._piece()
            elif (line := self._line()) is not None:
                self._take_line(line)
            else:
                break
        return bytes(out)

    def _piece(self) -> bytes:
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: len(piece)]
        self._left -= len(piece)
        return piece

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, _LINE_BYTES)
        if end < 0:
            if len(self._buffer) >= _LINE_BYTES:
                raise NotChunked("a line without end")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _begin(self, line: bytes) -> None:
        """The size of a piece, with a signature or without."""
        size, _, _ = line.partition(b";")
        if not _SIZE.fullmatch(size):
            raise NotChunked("a piece does not begin with its size")
        self._left = int(size, 16)
        self._take_line = self._end_piece if self._left else self._take_trailer

    def _end_piece(self, line: bytes) -> None:
        if line:
            raise NotChunked("a piece is not as long as it says")
        self._take_line = self._begin

    def _take_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _TRAILER_BYTES:
            raise NotChunked("a trailer without end")
        self.is_over = not line
