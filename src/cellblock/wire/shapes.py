"""A small language for what the API's members may hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Location = Literal["uri", "query", "header", "body"]


@dataclass(frozen=True)
class Text:
    """A string; the pattern holds for the whole of it."""

    min: int = 0
    max: int | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()

    @cached_property
    def expression(self) -> re.Pattern[str] | None:
        """The pattern, compiled at first use."""
        return re.compile(self.pattern) if self.pattern else None


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number."""

    min: int | None = None
    max: int | None = None


@dataclass(frozen=True, slots=True)
class Boolean:
    """True or false."""


@dataclass(frozen=True, slots=True)
class Double:
    """A number."""


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A time, written in ISO 8601 with its zone."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes, written in base64; the limit counts the bytes."""

    max: int | None = None


@dataclass(frozen=True, slots=True)
class List:
    """Items of one shape."""

    item: Shape
    min: int = 0
    max: int | None = None


@dataclass(frozen=True, slots=True)
class Map:
    """Texts under texts."""

    key: Text
    value: Text
    max: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A named part of a structure.

    `wire_name` is its name in a header or query; `field` is its name in the dataclass that the structure is read into.
    """

    name: str
    shape: Shape
    required: bool = False
    location: Location = "body"
    wire_name: str = ""
    field: str = ""

    @property
    def key(self) -> str:
        """What the value is found under on the wire."""
        return self.wire_name or self.name


@dataclass(frozen=True, eq=False)
class Structure:
    """Members by name; read into `build` or, without it, kept as a dictionary in the API's names.

    A union has exactly one of its members. Structures are compared by identity, so that what is derived from one can be kept.
    """

    members: tuple[Member, ...]
    union: bool = False
    event_stream: bool = False
    build: Callable[..., object] | None = None

    @cached_property
    def by_name(self) -> dict[str, Member]:
        """The members under the API's names."""
        return {member.name: member for member in self.members}

    @cached_property
    def in_body(self) -> tuple[Member, ...]:
        """The members that the body has."""
        return tuple(member for member in self.members if member.location == "body")


Shape = Text | Integer | Boolean | Double | Timestamp | Blob | List | Map | Structure
