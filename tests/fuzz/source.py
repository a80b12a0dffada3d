"""Choices taken from a string of bytes, so that Hypothesis and a coverage-guided fuzzer drive the same targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

ValueT = TypeVar("ValueT")


class Source:
    """Gives values until the bytes are used up, and the smallest ones from then on."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    @property
    def is_empty(self) -> bool:
        """Whether every further choice is the smallest one."""
        return self._at >= len(self._data)

    def taken(self, count: int) -> bytes:
        """Up to so many bytes, as they are."""
        piece = bytes(self._data[self._at : self._at + count])
        self._at += count
        return piece

    def number(self, below: int) -> int:
        """A number from 0."""
        return int.from_bytes(self.taken(1 if below <= 256 else 4), "big") % below

    def one_of(self, values: Sequence[ValueT]) -> ValueT:
        """One of some values."""
        return values[self.number(len(values))]

    def piece(self) -> bytes:
        """Bytes of a length of their own."""
        return self.taken(self.number(64))

    def text(self) -> str:
        """Text, with whatever the bytes make of it."""
        return self.piece().decode("utf-8", "replace")

    def rest(self) -> bytes:
        """All that is left."""
        return self.taken(len(self._data))

    def json(self, names: Sequence[str], *, depth: int = 3) -> Any:
        """A value of JSON whose objects prefer these names."""
        kinds = 7 if depth else 5
        kind = self.number(kinds)
        if kind == 5:
            return [self.json(names, depth=depth - 1) for _ in range(self.number(4))]
        if kind == 6:
            return self.json_object(names, depth=depth - 1)
        scalars = (None, self.number(2) == 1, self.number(1 << 20) - 10, self.one_of(names), self.text())
        return scalars[kind]

    def json_object(self, names: Sequence[str], *, depth: int = 3) -> dict[str, Any]:
        """An object of JSON."""
        return {self.one_of(names): self.json(names, depth=depth) for _ in range(self.number(9))}
