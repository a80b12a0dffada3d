"""One conversation with a session: what is typed is done, and what comes back is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cellblock.clients.blocking import Session
from cellblock.clients.results import ClientError, Output, Result, ServiceError
from cellblock.terminal.output import plain, terminal_text
from cellblock.terminal.repl.images import Protocol, save, shown
from cellblock.terminal.repl.lines import HELP, LANGUAGES, Code, Command, LineError, Word, read_line

INTERRUPTED = "interrupted; variables are kept"


class SessionOver(Exception):
    """The session is not there any more; the message says why."""


@dataclass(slots=True)
class Screen:
    """Where text goes; `is_terminal` text from the session is kept from steering the terminal."""

    write: Callable[[str], None]
    is_terminal: bool
    images: Protocol

    def say(self, line: str) -> None:
        """A line of our own."""
        self.write(f"{line}\n")

    def session_text(self, text: str) -> None:
        """Text of the session."""
        self.write(terminal_text(text) if self.is_terminal else text)


class Conversation:
    """Keeps the language between lines."""

    def __init__(self, session: Session, screen: Screen, directory: Path) -> None:
        self._session = session
        self._screen = screen
        self._directory = directory
        self.language, self._runtime = LANGUAGES["python"]

    def take(self, text: str) -> bool:
        """Do what is typed; False when it asks for the end. Raises SessionOver."""
        try:
            line = read_line(text)
            if isinstance(line, Word):
                return self._word(line)
            if isinstance(line, Code):
                self._run(lambda on_output: self._session.run(line.text, self.language, on_output=on_output, runtime=self._runtime))
            elif isinstance(line, Command):
                self._run(lambda on_output: self._session.command(line.text, on_output=on_output))
        except KeyboardInterrupt:
            self._screen.say(f"\n{INTERRUPTED}")
        except ServiceError as error:
            if "is not active" in error.message:
                raise SessionOver(error.message) from error
            self._screen.say(plain(error.message))
        except (LineError, ClientError, OSError) as error:
            self._screen.say(plain(str(error)))
        return True

    def choose(self, name: str) -> None:
        """Choose a language. Raises LineError."""
        if name not in LANGUAGES:
            raise LineError(f"the languages are {', '.join(LANGUAGES)}")
        self.language, self._runtime = LANGUAGES[name]

    def _run(self, call: Callable[[Callable[[Output], None]], Result]) -> None:
        """Text as it comes, images when it is over."""
        pieces: list[str] = []

        def show(output: Output) -> None:
            pieces.append(output.text)
            self._screen.session_text(output.text)

        result = call(show)
        said = "".join(pieces)
        rest = result.text if not said else result.text.splitlines()[-1] if result.is_error and result.text else ""
        if rest and rest not in said:
            self._screen.session_text(("" if said.endswith("\n") or not said else "\n") + rest)
            said += rest
        if said and not said.endswith("\n"):
            self._screen.say("")
        for image in result.images:
            path = save(image, self._directory)
            self._screen.write(shown(image, self._screen.images))
            self._screen.say(f"saved {path.name}")

    def _word(self, word: Word) -> bool:
        match word.name, word.given:
            case "quit", _:
                return False
            case "help", _:
                self._screen.say(HELP)
            case "session", _:
                self._screen.say(self._session.id)
            case "language", (name,):
                self.choose(name)
            case "reset", _:
                self._session.run("", self.language, runtime=self._runtime, clearContext=True)
            case "upload", (source, *target):
                self._screen.say(f"uploaded {plain(self._session.upload(source, *target))}")
            case "download", (source, *target):
                self._download(source, Path(*target) if target else self._directory / PurePosixPath(source).name)
            case "files", given:
                for entry in self._session.files(*given):
                    self._screen.say(f"{'directory' if entry.is_directory else entry.size or 0:>12}  {plain(entry.name)}")
        return True

    def _download(self, source: str, target: Path) -> None:
        if target.exists():
            raise LineError(f"{target} is there; name another file: %download {source} FILE")
        self._session.download(source, target)
        self._screen.say(f"saved {target}")
