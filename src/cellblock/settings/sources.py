"""Where settings are written: a file in TOML, the environment, the options of a command; each as text with its place."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellblock.settings.groups.entry import SettingsError, flag, variable
from cellblock.settings.values import text_of

PREFIX = "CELLBLOCK_"
FILE_VARIABLE = "CELLBLOCK_CONFIG"


@dataclass(frozen=True, slots=True)
class Written:
    """The text of a setting, where it comes from, and how it stands there."""

    text: str
    origin: str
    line: str


def from_file(path: Path, names: Collection[str]) -> dict[str, Written]:
    """The settings of a file, `name = value` each. Raises SettingsError, which names the line."""
    try:
        source = path.read_text(encoding="utf-8")
        values = tomllib.loads(source)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    return {name: _of_file(path, source, name, value, names) for name, value in values.items()}


def from_environment(environment: Mapping[str, str], names: Collection[str]) -> dict[str, Written]:
    """The settings of an environment. Raises SettingsError for a variable of ours that is none."""
    known = {variable(name): name for name in names}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known and name != FILE_VARIABLE:
            raise _unknown(name, [variable(near) for near in _near(name.removeprefix(PREFIX).lower(), names)])
    return {name: Written(environment[key], key, f"{key}={environment[key]}") for key, name in known.items() if key in environment}


def from_flags(flags: Mapping[str, str]) -> dict[str, Written]:
    """The settings that a command's options give."""
    return {name: Written(text, flag(name), f"{flag(name)}={text}") for name, text in flags.items()}


def _of_file(path: Path, source: str, name: str, value: Any, names: Collection[str]) -> Written:
    number = _line_number(source, name)
    origin = f"{path}:{number}"
    if name not in names:
        raise _unknown(f"{origin}: {name}", _near(name, names))
    if isinstance(value, list) and all(isinstance(part, str) and "," not in part for part in value):
        value = tuple(value)
    if not isinstance(value, str | int | float | bool | tuple):
        raise SettingsError(f"{origin}: {name} must be a text, a number, true, false, or a list of texts")
    text = text_of(value)
    return Written(text, origin, f"{origin}: {name} = {text}")


def _near(name: str, names: Collection[str]) -> list[str]:
    near: list[str] = importlib.import_module("difflib").get_close_matches(name, names)  # which a start does not need
    return near


def _unknown(told: str, near: list[str]) -> SettingsError:
    question = f"did you mean {' or '.join(near)}? " if near else ""
    return SettingsError(f"{told} is not a setting; {question}`cellblock serve --help` lists all")


def _line_number(source: str, name: str) -> int:
    form = re.compile(rf"""\s*\[*\s*["']?{re.escape(name)}["']?\s*[=.\]]""")
    return next((number for number, line in enumerate(source.splitlines(), start=1) if form.match(line)), 1)
