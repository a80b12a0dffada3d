"""The languages that code can be in, one entry each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language, its runtimes with the default first, and whether cells have a kernel for it."""

    runtimes: tuple[str, ...]
    has_kernel: bool


LANGUAGES: dict[str, Language] = {
    "python": Language(runtimes=("python",), has_kernel=True),
    "javascript": Language(runtimes=("nodejs", "deno"), has_kernel=False),
    "typescript": Language(runtimes=("nodejs", "deno"), has_kernel=False),
}


def with_kernel() -> tuple[str, ...]:
    """The names of the languages that run here."""
    return tuple(name for name, language in LANGUAGES.items() if language.has_kernel)
