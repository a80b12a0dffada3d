"""A setting's text and value: parsed, checked, shown."""

from __future__ import annotations

import re
from dataclasses import Field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from cellblock.settings.groups.entry import rule_of

Value = str | int | float | bool | Path | tuple[str, ...]


class NotAllowed(ValueError):
    """The text is no value of the setting."""


def parse(item: Field[Any], kind: object, text: str) -> Value:
    """The value. Raises NotAllowed."""
    if kind is int or kind is float:
        return _parse_number(item, kind, text)
    if not _is_allowed_text(item, kind, text):
        raise NotAllowed
    if kind is bool:
        return text == "true"
    if kind is Path:
        return Path(text)
    if get_origin(kind) is tuple:
        return tuple(part for part in text.split(",") if part)
    return text


def allowed(item: Field[Any], kind: object) -> str:
    """What a setting may be, in words."""
    rule = rule_of(item)
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if kind is bool:
        return "true or false"
    if kind is Path:
        return "an absolute path"
    if kind in (int, float):
        number = "a whole number" if kind is int else "a number"
        return f"{number} from {_number(rule.minimum)} to {_number(rule.maximum)}"
    return rule.form_help or "a path or nothing"


def text_of(value: object) -> str:
    """A value as its setting is written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _parse_number(item: Field[Any], kind: type[int] | type[float], text: str) -> int | float:
    rule = rule_of(item)
    form = r"-?[0-9]{1,18}" if kind is int else r"-?[0-9]{1,9}(\.[0-9]{1,9})?"
    value = kind(text) if re.fullmatch(form, text) else None
    if value is None or (rule.minimum is not None and value < rule.minimum) or (rule.maximum is not None and value > rule.maximum):
        raise NotAllowed
    return value


def _is_allowed_text(item: Field[Any], kind: object, text: str) -> bool:
    if get_origin(kind) is Literal:
        return text in get_args(kind)
    if kind is bool:
        return text in ("true", "false")
    if kind is Path:
        return text.startswith("/")
    form = rule_of(item).form
    return not form or re.fullmatch(form, text) is not None


def _number(value: float | None) -> str:
    return "any" if value is None else f"{value:g}" if value != int(value) else str(int(value))
