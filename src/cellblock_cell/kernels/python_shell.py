"""IPython as a session shows it: no prompts, no colours, no files, no terminal; pictures go out beside the text."""

from __future__ import annotations

import contextlib
import importlib
import io
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from IPython.core.autocall import IPyAutocall
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

_IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")  # the best first: one is shown
_TYPES = ["text/plain", *_IMAGE_TYPES]
_INLINE = "module://matplotlib_inline.backend_inline"
_WARM_UP = (
    "1 + 1",
    "def f(x):\n    return 1 / x\nf(0)",
    "x =",
    "!true",
)
_NOT_FOR_USERS = ("To exit: use 'exit', 'quit'", "Output cache limit")
_WARM_UP_PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.title('a')\nplt.show()"


class Leave(IPyAutocall):
    """`exit` and `quit`, called or not."""

    rewrite = False

    def __call__(self, code: object = 0) -> None:
        raise SystemExit(code)


class TextDisplayHook(DisplayHook):
    """Shows the value of a last expression without a prompt."""

    def write_output_prompt(self) -> None:
        """There is none."""

    def write_format_data(self, format_dict: Mapping[str, Any], md_dict: object = None) -> None:
        """Text to standard output, or a picture."""
        self.shell.present(format_dict)

    def log_output(self, format_dict: Mapping[str, Any]) -> None:
        """Nobody reads the log, and it would keep every picture."""


class TextDisplayPublisher(DisplayPublisher):
    """Shows what display() is given."""

    def publish(self, data: Mapping[str, Any], *_ignored: object, **_options: object) -> None:
        """Text to standard output, or a picture."""
        self.shell.present(data)

    def clear_output(self, wait: bool = False) -> None:
        """What was printed is printed."""


class CellShell(InteractiveShell):
    """The shell of one session's Python code."""

    show_image: Callable[[str, bytes | str], bool]
    show_error: Callable[[str], object]
    _quiet: ClassVar[Config] = Config(
        {
            "HistoryManager": {"enabled": False, "hist_file": ":memory:"},
            "InteractiveShell": {"colors": "nocolor", "separate_in": "", "separate_out": "", "separate_out2": ""},
        }
    )

    def __init__(self, **named: Any) -> None:
        super().__init__(config=self._quiet, displayhook_class=TextDisplayHook, display_pub_class=TextDisplayPublisher, **named)
        self.show_image = lambda mime_type, data: True
        self.show_error = len  # in the template nobody sees it
        self.display_formatter.active_types = _TYPES
        self.db: dict[str, Any] = {}  # of bookmarks and aliases; otherwise a directory of files

    def run(self, code: str) -> int:
        """Run one call's code; its exit code."""
        result = self.run_cell(code, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if isinstance(error, SystemExit):
            return _exit_code(error, self.show_error)
        return 0 if error is None else 1

    def present(self, data: Mapping[str, Any]) -> None:
        """Show the best representation: a picture, otherwise text."""
        for mime_type in _IMAGE_TYPES:
            if mime_type in data and self.show_image(mime_type, data[mime_type]):
                return
        if "text/plain" in data:
            print(data["text/plain"])  # noqa: T201

    def warm_up(self) -> None:
        """Run a little of everything and forget it."""
        _use_inline_figures(self)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            for code in (*_WARM_UP, _WARM_UP_PLOT):
                self.run_cell(code, store_history=True)
        self.reset(new_session=False)
        self.execution_count = 1
        _close_fonts()
        self.history_manager.input_hist_parsed[:] = [""]
        self.history_manager.input_hist_raw[:] = [""]

    def touch(self) -> None:
        """Run nothing, and so have the pages that every run writes to copied before the first one (fork(2): copy on write)."""
        for message in _NOT_FOR_USERS:  # not earlier: the template puts its filters back
            warnings.filterwarnings("ignore", message=message)
        self.run_cell("None")

    def init_ipython_dir(self, ipython_dir: str | None) -> None:
        """None: the home directory is the user's."""

    def init_profile_dir(self, profile_dir: object) -> None:
        """None."""

    def init_user_ns(self) -> None:
        """Add the ways out, and what multiprocessing looks for in the main module, which `reset` removes."""
        super().init_user_ns()
        self.user_ns["__spec__"] = None
        self.user_ns["exit"] = self.user_ns["quit"] = Leave(self)

    def system(self, cmd: str) -> None:
        """`!cmd` without a terminal: its output takes the same way as the code's own."""
        sys.stdout.flush()
        ended = subprocess.run(self.var_expand(cmd, depth=1), shell=True, executable="/bin/bash", check=False)
        self.user_ns["_exit_code"] = ended.returncode

    def enable_gui(self, gui: str | None = None) -> None:
        """No event loop of a window system."""

    def showtraceback(self, *arguments: Any, **named: Any) -> None:
        """Show every exception but the request to exit."""
        if not isinstance(sys.exc_info()[1], SystemExit):
            super().showtraceback(*arguments, **named)

    def _showtraceback(self, etype: object, evalue: object, stb: list[str]) -> None:
        self.show_error(self.InteractiveTB.stb2text(stb).rstrip("\n"))

    def _tee(self, channel: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()  # a copy of all output in the history

    def _format_exception_for_storage(self, exception: BaseException, *_rest: object) -> dict[str, str]:
        return {}  # a second traceback, for the history


def _exit_code(request: SystemExit, show_error: Callable[[str], object]) -> int:
    """As Python itself does it: a number is the status, another object is printed."""
    if request.code is None:
        return 0
    if isinstance(request.code, int):
        return request.code & 0xFF
    show_error(f"{request.code}\n")
    return 1


def _close_fonts() -> None:
    """Fonts that the warm-up opened would be closed in every fork, which costs memory there."""
    fonts = sys.modules.get("matplotlib.font_manager")
    if fonts is not None and hasattr(fonts, "_get_font"):
        fonts._get_font.cache_clear()


def _use_inline_figures(shell: CellShell) -> None:
    """Figures appear when they are shown; those left open at the end of a call stay as they are, as in a script."""
    try:
        importlib.import_module("matplotlib").use(_INLINE)
        importlib.import_module("matplotlib.pyplot").switch_backend(_INLINE)
        inline = importlib.import_module("matplotlib_inline.backend_inline")
    except ImportError:
        return
    inline.configure_inline_support(shell, _INLINE)
    shell.events.unregister("post_execute", inline.flush_figures)
