"""The prompt: what is typed is understood, runs in a session, and what comes back is shown without steering the terminal."""

from __future__ import annotations

import base64
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cellblock.clients.results import Image
from cellblock.runtime.builds import Runtime
from cellblock.terminal.repl.images import PNG, protocol_of, save, shown
from cellblock.terminal.repl.lines import Code, Command, LineError, Word, is_complete, read_line
from cellblock.terminal.repl.prompt import piped
from running_server import CELLBLOCK, RunningServer, environment, serving

PLOT = "import matplotlib.pyplot as p; _ = p.plot([1, 2]); p.show()"
SECONDS = 40.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, built_runtime: Runtime) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("repl") / "data") as running:
        yield running


def told(server: RunningServer, directory: Path, text: str, *options: str) -> str:
    """What the prompt prints for lines from a pipe."""
    command = [CELLBLOCK, "repl", "--data-dir", server.data_dir, "--cache-dir", directory / "cache", *options]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS, cwd=directory, env=environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("  \n", None),
        ("!ls -l", Command("ls -l")),
        ("%language ts", Word("language", ("ts",))),
        ('%upload "a file.csv" b.csv', Word("upload", ("a file.csv", "b.csv"))),
        ("%timeit 1", Code("%timeit 1")),
        ("x = 1\n!ls", Code("x = 1\n!ls")),
    ],
)
def test_line_is_code_a_command_or_a_word(text: str, expected: object) -> None:
    assert read_line(text) == expected


@pytest.mark.parametrize("text", ["%language", "%upload", "%upload a b c", '%upload "a'])
def test_word_that_lacks_something_says_how_it_is_written(text: str) -> None:
    with pytest.raises(LineError):
        read_line(text)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("x = 1", "python", True),
        ("for x in y:", "python", False),
        ("for x in y:\n    print(x)", "python", False),
        ("for x in y:\n    print(x)\n", "python", True),
        ("f(1,", "python", False),
        ("x = '''", "python", False),
        ("x = (]", "python", True),
        ("await f()", "python", True),
        ("%timeit", "python", True),
        ("const x = {", "javascript", False),
        ("const x = { a: [1] }", "javascript", True),
        ("f('{')", "typescript", True),
        ("`a\n", "javascript", False),
        ("if (x) {\n\n", "javascript", True),
    ],
)
def test_enter_asks_for_more_until_the_text_is_complete(text: str, language: str, expected: bool) -> None:
    assert is_complete(text, language) is expected


def test_lines_of_a_pipe_come_as_complete_texts() -> None:
    lines = ["x = 1\n", "if x:\n", "    y\n", "else:\n", "    z\n", "\n", "!ls\n", "f(\n", "1)\n", "g("]
    assert list(piped(iter(lines), lambda: "python")) == ["x = 1\n", "if x:\n    y\nelse:\n    z\n\n", "!ls\n", "f(\n1)\n", "g("]


def test_variables_commands_and_languages_of_one_session(server: RunningServer, tmp_path: Path) -> None:
    said = told(server, tmp_path, "x = 40\nx + 2\n!echo from-$((1 + 2))\n%language ts\nconst y: number = 5\ny * 2\n%language py\nx\n1/0\n")
    assert said.splitlines()[:4] == ["42", "from-3", "10", "40"]
    assert "ZeroDivisionError: division by zero" in said
    assert "\x1b" not in said


def test_files_go_in_and_come_out(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    said = told(
        server, tmp_path, "%upload data.csv in.csv\nopen('out.txt', 'w').write(open('in.csv').read() * 2)\n%files\n%download out.txt\n"
    )
    assert (tmp_path / "out.txt").read_text() == "a,b\n1,2\n" * 2
    assert re.search(r"8  in\.csv", said)
    assert "out.txt is there; name another file" in told(server, tmp_path, "open('out.txt', 'w').close()\n%download out.txt\n")


def test_image_is_saved_beside_under_a_name_that_is_free(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "figure-1.png").write_text("mine")
    assert "saved figure-2.png" in told(server, tmp_path, PLOT + "\n")
    assert (tmp_path / "figure-1.png").read_text() == "mine"
    assert (tmp_path / "figure-2.png").read_bytes().startswith(PNG)


def test_mistakes_are_told_and_the_conversation_goes_on(server: RunningServer, tmp_path: Path) -> None:
    said = told(server, tmp_path, "%language cobol\n%upload missing.csv\n%download missing.txt\nprint('on')\n%quit\nprint('not reached')\n")
    assert "the languages are python" in said
    assert "missing.csv" in said
    assert said.splitlines()[-1] == "on"


def test_session_that_is_over_ends_the_prompt_with_the_reason(server: RunningServer, tmp_path: Path) -> None:
    command = [CELLBLOCK, "repl", "--data-dir", server.data_dir, "--timeout", "1"]
    text = "import time\ntime.sleep(20)\nprint('x')\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path, env=environment())
    assert done.returncode == 1
    assert "is not active" in done.stderr
    assert "cellblock repl" in done.stderr


class Screen:
    """The user's side of a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unread = b""

    def type(self, keys: bytes) -> None:
        """Press them."""
        os.write(self._descriptor, keys)

    def until(self, expected: bytes) -> bytes:
        """What is shown up to this; what follows is for the next reader."""
        limit = time.monotonic() + SECONDS
        while expected not in self._unread:
            piece = self._more(limit)
            assert piece, self._unread
            self._unread += piece
        shown, _, self._unread = self._unread.partition(expected)
        return shown + expected

    def until_end(self) -> None:
        """All of it."""
        limit = time.monotonic() + SECONDS
        while self._more(limit):
            pass

    def _more(self, limit: float) -> bytes:
        ready, _, _ = select.select([self._descriptor], [], [], max(0.0, limit - time.monotonic()))
        assert ready, self._unread
        try:
            return os.read(self._descriptor, 65536)
        except OSError:  # the other side has closed it (pty(7))
            return b""


@contextmanager
def terminal(server: RunningServer, directory: Path, **variables: str) -> Iterator[Screen]:
    """The prompt on a terminal of its own."""
    ours, theirs = pty.openpty()
    command = [CELLBLOCK, "repl", "--data-dir", server.data_dir, "--cache-dir", directory / "cache"]
    shown = environment() | {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"} | variables
    with subprocess.Popen(command, cwd=directory, env=shown, pass_fds=(theirs,), preexec_fn=lambda: os.login_tty(theirs)) as process:
        os.close(theirs)
        screen = Screen(ours)
        try:
            yield screen
            screen.until(b"py>")  # before it a Ctrl-D would be the terminal's own
            screen.type(b"\x04")
            screen.until_end()
            assert process.wait(30) == 0
        finally:
            process.kill()
            os.close(ours)


def test_terminal_has_history_several_lines_interrupts_and_images(server: RunningServer, tmp_path: Path) -> None:
    with terminal(server, tmp_path, TERM_PROGRAM="WezTerm") as screen:
        screen.until(b"py>")
        screen.type(b"for x in (6, 7):\r    print(x * 111)\r\r")
        assert b"666" in screen.until(b"777")
        screen.type(b"import time; print('started'); time.sleep(100)\r")
        screen.until(b"started\r\n")
        screen.type(b"\x03")
        screen.until(b"variables are kept")
        screen.type(PLOT.encode() + b"\r")
        assert b"\x1b]1337;File=inline=1;" in screen.until(b"saved figure-1.png")
        screen.type(b"print('\\x1b]0;stolen\\x07')\r")
        assert b"\x1b]0;stolen" not in screen.until(b"\\x1b]0;stolen\\x07\r\n")
    history = tmp_path / "cache" / "repl-history"
    assert "time.sleep(100)" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color"}, "none"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, "none"),
    ],
)
def test_terminal_that_shows_images_is_known(variables: dict[str, str], expected: str) -> None:
    assert protocol_of(variables, is_terminal=True) == expected
    assert protocol_of(variables, is_terminal=False) == "none"


def test_kitty_gets_the_image_in_pieces(tmp_path: Path) -> None:
    image = Image("image/png", PNG + bytes(10_000))
    text = shown(image, "kitty")
    pieces = re.findall(r"\x1b_G(?:a=T,f=100,)?m=([01]);([^\x1b]*)\x1b\\", text)
    assert [more for more, _ in pieces] == ["1"] * (len(pieces) - 1) + ["0"]
    assert base64.b64decode("".join(piece for _, piece in pieces)) == image.data
    assert max(len(piece) for _, piece in pieces) <= 4096


def test_what_only_says_that_it_is_an_image_is_saved_and_not_shown(tmp_path: Path) -> None:
    image = Image("image/png", b"\x1b]0;stolen\x07")
    assert shown(image, "iterm2") == shown(image, "kitty") == ""
    assert save(image, tmp_path).read_bytes() == image.data
