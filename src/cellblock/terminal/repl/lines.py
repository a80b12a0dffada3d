"""What a person types: code, `!command` or `%word`, and whether it is complete."""

from __future__ import annotations

import codeop
import shlex
import warnings
from dataclasses import dataclass

LANGUAGES = {
    "python": ("python", "python"),
    "py": ("python", "python"),
    "javascript": ("javascript", "nodejs"),
    "js": ("javascript", "nodejs"),
    "typescript": ("typescript", "nodejs"),
    "ts": ("typescript", "nodejs"),
    "deno": ("typescript", "deno"),
}
_PAIRS = {")": "(", "]": "[", "}": "{"}


class LineError(Exception):
    """A word that there is not, or that lacks something; the message says how it is written."""


@dataclass(frozen=True, slots=True)
class Code:
    """Code in the language that is chosen."""

    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A shell command."""

    text: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the prompt's own, with what it is given."""

    name: str
    given: tuple[str, ...]


def read_line(text: str) -> Code | Command | Word | None:
    """What is typed; None for nothing. Raises LineError. A `%` that is no word of ours is the kernel's own."""
    stripped = text.strip()
    if not stripped:
        return None
    if stripped.startswith("!") and "\n" not in stripped:
        return Command(stripped[1:].strip())
    if stripped.startswith("%") and "\n" not in stripped and stripped[1:].split(maxsplit=1)[:1]:
        name = stripped[1:].split(maxsplit=1)[0]
        if name in WORDS:
            return Word(name, _given(name, stripped[1 + len(name) :]))
    return Code(text)


def is_complete(text: str, language: str) -> bool:
    """Whether the text can run, or wants another line."""
    if text.lstrip().startswith(("!", "%")):
        return True
    return _is_complete_python(text) if language == "python" else _is_balanced(text)


def _given(name: str, rest: str) -> tuple[str, ...]:
    least, most, _ = WORDS[name]
    try:
        given = tuple(shlex.split(rest))
    except ValueError as error:
        raise LineError(f"%{name}: {error}") from error
    if not least <= len(given) <= most:
        raise LineError(f"it is written: {WORDS[name][2].partition('  ')[0]}")
    return given


def _is_complete_python(text: str) -> bool:
    """A block ends at an empty line, as everywhere where Python is typed."""
    last = text.rpartition("\n")[2]
    if last.strip() and last.startswith((" ", "\t")):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return codeop.compile_command(text, symbol="exec") is not None
    except (SyntaxError, ValueError, OverflowError):
        return True  # the kernel says what is wrong, and knows more than plain Python: top-level await, magics


def _is_balanced(text: str) -> bool:
    """Whether brackets and template literals are closed, by a rough look at quotes; two empty lines end all doubt."""
    if text.endswith("\n\n"):
        return True
    opened: list[str] = []
    quote, before = "", ""
    for letter in text:
        if quote:
            quote = "" if letter == quote and before != "\\" else quote if letter != "\n" or quote == "`" else ""
        elif letter in "'\"`":
            quote = letter
        elif letter in _PAIRS.values():
            opened.append(letter)
        elif letter in _PAIRS and opened and opened[-1] == _PAIRS[letter]:
            opened.pop()
        before = "" if before == "\\" else letter
    return not opened and quote != "`"


WORDS = {
    "language": (1, 1, "%language python|js|ts|deno  choose the language; Python's and the others' variables stay apart"),
    "upload": (1, 2, "%upload FILE [NAME]  send a file of this machine into the session"),
    "download": (1, 2, "%download NAME [FILE]  fetch a file of the session"),
    "files": (0, 1, "%files [DIRECTORY]  list files of the session"),
    "reset": (0, 0, "%reset  forget the variables of the language"),
    "session": (0, 0, "%session  show the session's id"),
    "help": (0, 0, "%help  show this"),
    "quit": (0, 0, "%quit  end the session; Ctrl-D does too"),
}
HELP = "\n".join([*(text for _, _, text in WORDS.values()), "!COMMAND  run a shell command in the workspace"])
