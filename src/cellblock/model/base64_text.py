"""Bytes that stay in base64 until somebody takes them, so that a large file is never in memory a second time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pybase64

_PIECE_CHARACTERS = 128 * 1024  # 96 KiB of bytes: what the allocator gives and takes back without asking the kernel for pages


@dataclass(frozen=True, slots=True, eq=False)
class Base64Text:
    """A file of a request; its pieces are made anew each time they are asked for."""

    text: memoryview
    length: int

    @classmethod
    def of(cls, text: memoryview) -> Base64Text:
        """Checked from beginning to end: the alphabet of RFC 4648, padded, nothing else. Raises ValueError."""
        length = sum(map(len, _decoded(text)))
        if length != len(text) // 4 * 3 - bytes(text[-2:]).count(b"="):  # a piece may end with padding that stands inside of the whole
            raise ValueError("padding before the end")
        return cls(text, length)

    def __len__(self) -> int:
        return self.length

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """All of it, in order."""
        return _decoded(self.text)


def _decoded(text: memoryview) -> Iterator[bytes]:
    for start in range(0, len(text), _PIECE_CHARACTERS):
        yield pybase64.b64decode(text[start : start + _PIECE_CHARACTERS], validate=True)
