"""One call of the host: its number, its tool, and its arguments with their types."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock_cell.link import Frame, Meta


class ToolError(Exception):
    """The tool itself cannot do what was asked; the host learns the kind and the message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    @property
    def meta(self) -> Meta:
        """What the RESULT frame says."""
        return {"error": {"kind": self.kind, "message": self.message}}


@dataclass(frozen=True, slots=True)
class Call:
    """The host's CALL frame; every reader raises ToolError "bad_call" when the argument is absent or of another type."""

    number: int
    tool: str
    arguments: Meta

    @classmethod
    def from_frame(cls, frame: Frame) -> Call:
        """The call that a frame asks for."""
        return cls(frame.call, str(frame.meta.get("tool", "")), frame.meta)

    def text(self, name: str) -> str:
        """An argument that is a string."""
        value = self.arguments.get(name)
        if isinstance(value, str):
            return value
        raise self._is_bad(name)

    def flag(self, name: str) -> bool:
        """An argument that is true or false; absent is false."""
        return self.arguments.get(name, False) is True

    def integer(self, name: str) -> int:
        """An argument that is a whole number."""
        value = self.arguments.get(name)
        if isinstance(value, int):
            return value
        raise self._is_bad(name)

    def seconds(self, name: str) -> float:
        """An argument that is a duration."""
        value = self.arguments.get(name)
        if isinstance(value, int | float):
            return float(value)
        raise self._is_bad(name)

    def texts(self, name: str) -> list[str]:
        """An argument that is a list of strings."""
        value = self.arguments.get(name)
        if isinstance(value, list):
            texts = [item for item in value if isinstance(item, str)]
            if len(texts) == len(value):
                return texts
        raise self._is_bad(name)

    def files(self, name: str) -> list[tuple[str, int]]:
        """An argument that is a list of objects with a path and a size."""
        value = self.arguments.get(name)
        found: list[tuple[str, int]] = []
        for item in value if isinstance(value, list) else ():
            if isinstance(item, dict) and isinstance(path := item.get("path"), str) and isinstance(size := item.get("size"), int):
                found.append((path, size))
        if isinstance(value, list) and len(found) == len(value):
            return found
        raise self._is_bad(name)

    def _is_bad(self, name: str) -> ToolError:
        return ToolError("bad_call", f"{self.tool or 'the call'} has no valid argument {name}")
