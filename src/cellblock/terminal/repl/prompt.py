"""The prompt: history that lasts, and an Enter that asks for another line while what is typed is not complete."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from cellblock.terminal.repl.lines import WORDS, is_complete

NAMES = {"python": "py", "javascript": "js", "typescript": "ts"}


def typed(history: Path, language: Callable[[], str]) -> Iterator[str]:
    """What a person types, one complete text after the other; ends at Ctrl-D. Esc and Enter run what is there as it is."""
    _make_private(history)
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(history)),
        multiline=True,
        key_bindings=_bindings(language),
        completer=WordCompleter([f"%{name}" for name in WORDS], sentence=True),
        complete_while_typing=False,
        prompt_continuation=lambda width, _line, _wraps: "…".rjust(max(0, width - 1)) + " ",
    )
    while True:
        try:
            yield session.prompt(lambda: f"{NAMES[language()]}> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def piped(lines: Iterator[str], language: Callable[[], str]) -> Iterator[str]:
    """What comes from a pipe, one complete text after the other."""
    text = ""
    for line in lines:
        text += line
        if is_complete(text.removesuffix("\n"), language()):
            yield text
            text = ""
    if text.strip():
        yield text


def _bindings(language: Callable[[], str]) -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.is_cursor_at_the_end and (is_complete(buffer.text, language()) or buffer.text.endswith("\n")):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=True)

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    return bindings


def _make_private(history: Path) -> None:
    """What was typed is nobody else's business."""
    history.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(history, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
