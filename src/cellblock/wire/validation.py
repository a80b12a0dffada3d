"""Reads a request into its dataclass by its operation's shape, and names every bad field at once.

The body is taken apart without copying (msgspec's Raw): a large one at once, and level by level only to name what is wrong with it. A
large file in it is left in base64 until it is sent on.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeVar, cast
from urllib.parse import unquote_plus

import msgspec

from cellblock.errors import FieldProblem, ValidationFailed
from cellblock.model.base64_text import Base64Text
from cellblock.model.requests import OperationRequest
from cellblock.wire.head import Head
from cellblock.wire.operations import Match
from cellblock.wire.shapes import Blob, Boolean, Integer, List, Map, Member, Shape, Structure, Text

ITEMS_MAX = 10_000  # of a list for which the API has no limit: a body of tiny items must not become gigabytes of objects
PROBLEMS_NAMED = 100
_PROBLEMS_IN_MESSAGE = 10
_SMALL_BYTES = 256 * 1024
_ITEMS_AT_ONCE = 64  # of a list in a body that is read at once: a type with a field for each
_QUERY_VALUES_MAX = 20
_NAME_SHOWN = 64
_NO_QUERY: Mapping[str, str] = MappingProxyType({})

_TEXT = msgspec.json.Decoder(str)
_INTEGER = msgspec.json.Decoder(int)
_BOOLEAN = msgspec.json.Decoder(bool)
_BLOB = msgspec.json.Decoder(bytes)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_MAP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError)
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")

Found = msgspec.Raw | msgspec.Struct | msgspec.UnsetType  # what stands in the body for a member: undecoded, or taken apart already
ValueT = TypeVar("ValueT")


def parse(match: Match, head: Head, body: bytes | memoryview) -> OperationRequest:
    """The request as its dataclass. Raises ValidationFailed with every field that is missing or out of its limits."""
    structure = match.operation.input
    problems = _Problems()
    values = _read_outside(structure, match, head, problems)
    if structure.in_body:
        values |= _read_members(structure, _members_of_body(structure, body), "", problems)
    problems.raise_any()
    return cast("OperationRequest", _built(structure, values))


class _Problems:
    """What is wrong with a request; only so many are kept, the others are counted."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[FieldProblem] = []

    def add(self, name: str, message: str) -> None:
        self.count += 1
        if self.count <= PROBLEMS_NAMED:
            self._kept.append(FieldProblem(name, message))

    def raise_any(self) -> None:
        if not self.count:
            return
        told = "; ".join(f"{problem.name} {problem.message}" for problem in self._kept[:_PROBLEMS_IN_MESSAGE])
        more = self.count - _PROBLEMS_IN_MESSAGE
        lead = "" if self.count == 1 else f"{self.count} fields are not valid: "
        raise ValidationFailed(f"{lead}{told}" + (f"; and {more} more" if more > 0 else ""), fields=tuple(self._kept))


def _built(structure: Structure, values: dict[str, Any]) -> object:
    if structure.build is None:
        return values
    return structure.build(**{structure.by_name[name].field: value for name, value in values.items()})


# Path, query and headers


def _read_outside(structure: Structure, match: Match, head: Head, problems: _Problems) -> dict[str, Any]:
    query = _query_values(head.query, problems) if head.query else _NO_QUERY
    sources: dict[str, Mapping[str, str]] = {"uri": match.path_values, "query": query, "header": head.headers}
    values: dict[str, Any] = {}
    for member, key in _outside(structure):
        text = sources[member.location].get(key)
        if text is None:
            _require(member, member.name, problems)
        elif (value := _value_of_text(member.shape, text, member.name, problems)) is not None:
            values[member.name] = value
    return values


@lru_cache(maxsize=64)
def _outside(structure: Structure) -> tuple[tuple[Member, str], ...]:
    """The members in path, query and headers, and the keys that a head has them under."""
    outside = (member for member in structure.members if member.location != "body")
    return tuple((member, member.key.lower() if member.location == "header" else member.key) for member in outside)


def _query_values(query: str, problems: _Problems) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in query.split("&", _QUERY_VALUES_MAX):
        raw_key, _, raw_value = pair.partition("=")
        try:
            key, value = unquote_plus(raw_key, errors="strict"), unquote_plus(raw_value, errors="strict")
        except UnicodeDecodeError:
            problems.add("query", "is not UTF-8 when its percent-encoding is undone")
            continue
        if key in values:
            problems.add(key[:_NAME_SHOWN], "is given more than once in the query; give it once")
        values[key] = value
    return values


def _value_of_text(shape: Shape, text: str, name: str, problems: _Problems) -> str | int | None:
    if isinstance(shape, Text):
        return _checked_text(shape, text, name, problems)
    if not isinstance(shape, Integer):
        raise TypeError(f"{name}: a {type(shape).__name__} does not travel outside the body")
    if not _WHOLE_NUMBER.fullmatch(text):
        problems.add(name, "must be a whole number")
        return None
    return _checked_integer(shape, int(text), name, problems)


def _require(member: Member, name: str, problems: _Problems) -> None:
    if not member.required:
        return
    where = f" (as the header {member.key})" if member.location == "header" else ""
    problems.add(name, f"is required{where}")


# The body


def _members_of_body(structure: Structure, body: bytes | memoryview) -> msgspec.Struct:
    """The body's members, undecoded; one pass over it that finds every fault of its syntax."""
    if len(body) > _SMALL_BYTES:
        with contextlib.suppress(*_NOT_JSON, RecursionError):
            return _deep_decoder(structure).decode(body)
    try:
        return _members_decoder(structure).decode(body or b"{}")
    except _NOT_JSON:
        raise _unreadable_body("must be a JSON object in UTF-8") from None
    except RecursionError:
        raise _unreadable_body("is nested too deeply") from None


def _unreadable_body(problem: str) -> ValidationFailed:
    return ValidationFailed(f"the request body {problem}", reason="CannotParse", fields=(FieldProblem("body", problem),))


@lru_cache(maxsize=64)
def _members_decoder(structure: Structure) -> msgspec.json.Decoder[msgspec.Struct]:
    """Finds the structure's members in an object and steps over unknown ones without keeping them."""
    members = [(member.name, msgspec.Raw, msgspec.Raw()) for member in structure.in_body]
    return msgspec.json.Decoder(msgspec.defstruct("Members", members))


@lru_cache(maxsize=64)
def _deep_decoder(structure: Structure) -> msgspec.json.Decoder[msgspec.Struct]:
    """Finds the members of the structures within, too; refuses what is no structure, null, or longer than `_ITEMS_AT_ONCE`."""
    return msgspec.json.Decoder(_deep_type(structure))


def _deep_type(structure: Structure) -> type[msgspec.Struct]:
    return msgspec.defstruct("Members", [(member.name, *_deep_field(member.shape)) for member in structure.in_body])


def _deep_field(shape: Shape) -> tuple[Any, Any]:
    """Its type and what stands for its absence."""
    if isinstance(shape, Structure):
        return _deep_type(shape) | msgspec.UnsetType, msgspec.UNSET
    if isinstance(shape, List) and isinstance(shape.item, Structure):
        item = _deep_type(shape.item) | msgspec.UnsetType
        items: list[tuple[str, Any, Any]] = [(f"item{i}", item, msgspec.UNSET) for i in range(_ITEMS_AT_ONCE)]
        items.append(("more", msgspec.UnsetType, msgspec.UNSET))
        return msgspec.defstruct("Items", items, array_like=True) | msgspec.UnsetType, msgspec.UNSET
    return msgspec.Raw, msgspec.Raw()


@lru_cache(maxsize=1)
def _first_items_decoder() -> msgspec.json.Decoder[msgspec.Struct]:
    """Finds the first items of a list, one more than allowed, and steps over the others without keeping them."""
    items = [(f"item{i}", msgspec.Raw, msgspec.Raw()) for i in range(ITEMS_MAX + 1)]
    return msgspec.json.Decoder(msgspec.defstruct("Items", items, array_like=True))


def _read_members(structure: Structure, members: msgspec.Struct, prefix: str, problems: _Problems) -> dict[str, Any]:
    values: dict[str, Any] = {}
    present = 0
    for member, raw in zip(structure.in_body, msgspec.structs.astuple(members), strict=True):
        if _is_absent(raw):
            if member.required:
                _require(member, prefix + member.name, problems)
            continue
        present += 1
        if (value := _value(member.shape, raw, prefix + member.name, problems)) is not None:
            values[member.name] = value
    if structure.union and present != 1:
        problems.add(prefix.rstrip("."), f"must have exactly one of {', '.join(structure.by_name)}")
    return values


def _is_absent(raw: Found) -> bool:
    if isinstance(raw, msgspec.Raw):
        return not len(raw) or (len(raw) == 4 and bytes(raw) == b"null")
    return raw is msgspec.UNSET


def _value(shape: Shape, raw: Found, name: str, problems: _Problems) -> object | None:
    """The checked value; None when it is not valid, which `problems` then says."""
    if isinstance(shape, Structure):
        return _structure(shape, raw, name, problems)
    if isinstance(shape, List):
        return _list(shape, raw, name, problems)
    assert isinstance(raw, msgspec.Raw)  # the deep decoder takes nothing else apart
    match shape:
        case Text():
            text = _decoded(_TEXT, raw, "a string", name, problems)
            return None if text is None else _checked_text(shape, text, name, problems)
        case Integer():
            number = _decoded(_INTEGER, raw, "a whole number", name, problems)
            return None if number is None else _checked_integer(shape, number, name, problems)
        case Boolean():
            return _decoded(_BOOLEAN, raw, "true or false", name, problems)
        case Blob():
            return _blob(shape, raw, name, problems)
        case Map():
            return _map(shape, raw, name, problems)
    raise TypeError(f"{name}: a {type(shape).__name__} is not part of a request")


def _decoded(decoder: msgspec.json.Decoder[ValueT], raw: msgspec.Raw, wanted: str, name: str, problems: _Problems) -> ValueT | None:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        problems.add(name, f"must be {wanted}")
    except _NOT_JSON:
        problems.add(name, "is not valid JSON in UTF-8")
    except RecursionError:  # decoded from a deeper frame than the body was
        problems.add(name, "is nested too deeply")
    return None


def _blob(shape: Blob, raw: msgspec.Raw, name: str, problems: _Problems) -> bytes | Base64Text | None:
    data: bytes | Base64Text | None = _left_in_base64(raw) if len(raw) > _SMALL_BYTES else None
    if data is None:
        data = _decoded(_BLOB, raw, "bytes in base64, padded and without line breaks", name, problems)
    if data is not None and shape.max is not None and len(data) > shape.max:
        problems.add(name, f"must have at most {shape.max} bytes, not {len(data)}")
        return None
    return data


def _left_in_base64(raw: msgspec.Raw) -> Base64Text | None:
    """None for what is no string of plain base64, which may be one with escapes."""
    text = memoryview(raw)
    if text[0] != ord('"'):
        return None
    try:
        return Base64Text.of(text[1:-1])
    except ValueError:
        return None


def _list(shape: List, raw: Found, name: str, problems: _Problems) -> tuple[object, ...] | None:
    before = problems.count
    items = _items(raw, name, problems)
    if items is None:
        return None
    most = ITEMS_MAX if shape.max is None else shape.max
    if not shape.min <= len(items) <= most:
        problems.add(name, f"must have {shape.min} to {most} items, not {len(items) if len(items) <= ITEMS_MAX else 'more'}")
        return None
    values = tuple(_value(shape.item, item, f"{name}[{index}]", problems) for index, item in enumerate(items))
    return values if problems.count == before else None


def _items(raw: Found, name: str, problems: _Problems) -> Sequence[Found] | None:
    if isinstance(raw, msgspec.Struct):
        return [item for item in msgspec.structs.astuple(raw) if item is not msgspec.UNSET]
    assert isinstance(raw, msgspec.Raw)
    if len(raw) <= _SMALL_BYTES:
        return _decoded(_LIST, raw, "a list", name, problems)
    first = _decoded(_first_items_decoder(), raw, "a list", name, problems)
    return None if first is None else [item for item in msgspec.structs.astuple(first) if len(item)]


def _map(shape: Map, raw: msgspec.Raw, name: str, problems: _Problems) -> dict[str, object] | None:
    before = problems.count
    entries = _decoded(_MAP, raw, "an object", name, problems)
    if entries is None:
        return None
    if shape.max is not None and len(entries) > shape.max:
        problems.add(name, f"must have at most {shape.max} entries, not {len(entries)}")
        return None
    values: dict[str, object] = {}
    for key, item in entries.items():
        entry = f"{name}.{key[:_NAME_SHOWN]}"
        _checked_text(shape.key, key, f"{entry} (the key)", problems)
        values[key] = _value(shape.value, item, entry, problems)
    return values if problems.count == before else None


def _structure(shape: Structure, raw: Found, name: str, problems: _Problems) -> object | None:
    before = problems.count
    members = _decoded(_members_decoder(shape), raw, "an object", name, problems) if isinstance(raw, msgspec.Raw) else raw
    if not isinstance(members, msgspec.Struct):
        return None
    values = _read_members(shape, members, f"{name}.", problems)
    return _built(shape, values) if problems.count == before else None


# Limits


def _checked_text(shape: Text, text: str, name: str, problems: _Problems) -> str | None:
    if (problem := _text_problem(shape, text)) is None:
        return text
    problems.add(name, problem)
    return None


def _text_problem(shape: Text, text: str) -> str | None:
    if shape.enum:
        return None if text in shape.enum else f"must be one of {', '.join(shape.enum)}"
    if shape.max is not None and not shape.min <= len(text) <= shape.max:
        return f"must have {shape.min} to {shape.max} characters, not {len(text)}"
    if shape.expression and not shape.expression.fullmatch(text):
        return f"must match the pattern {shape.pattern}"
    return None


def _checked_integer(shape: Integer, number: int, name: str, problems: _Problems) -> int | None:
    low, high = shape.min, shape.max
    if (low is None or number >= low) and (high is None or number <= high):
        return number
    problems.add(name, f"must be from {low} to {high}")
    return None
