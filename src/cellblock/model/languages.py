"""The languages that code can be in, one entry each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language: the runtimes that run it, with the default first, and the endings of its files."""

    runtimes: tuple[str, ...]
    endings: tuple[str, ...]


LANGUAGES: dict[str, Language] = {
    "python": Language(runtimes=("python",), endings=(".py",)),
    "javascript": Language(runtimes=("nodejs", "deno"), endings=(".js", ".mjs", ".cjs")),
    "typescript": Language(runtimes=("nodejs", "deno"), endings=(".ts", ".mts", ".cts")),
}


def language_of(name: str) -> str:
    """The language of a file by its name; Python when the name does not say."""
    ending = PurePath(name).suffix.lower()
    return next((language for language, entry in LANGUAGES.items() if ending in entry.endings), "python")
