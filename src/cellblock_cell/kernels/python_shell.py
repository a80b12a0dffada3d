"""IPython as a session shows it: no prompts, no colours, no files, no terminal; pictures go out beside the text."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from IPython.core.autocall import IPyAutocall
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.macro import Macro
from IPython.lib.pretty import _repr_pprint
from traitlets.config import Config

_IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")  # the best first: one is shown
_TYPES = ["text/plain", *_IMAGE_TYPES]
_PLAIN_TYPES = frozenset({bool, bytes, complex, dict, float, int, list, set, str, tuple})
_MAY_BE_SPECIAL = re.compile(r"[%!?]|^\s*(?:>>>|\.\.\.|In ?\[|[,;/])|\A\s", re.MULTILINE)
_FIRST_WORD = re.compile(r"[^\W\d]\w*")
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

    def quiet(self) -> bool:
        """Whether a semicolon at the end asks to show nothing; IPython looks for it with the tokenizer."""
        return ";" in self.shell.history_manager.input_hist_parsed[-1] and super().quiet()

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


class TextFormatter(DisplayFormatter):
    """Asks about pictures only where there can be one: a tenth of a short run went into asking numbers."""

    def format(self, obj: object, include: object = None, exclude: object = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """All representations of an object; for Python's own types, unless the user gave them another, its text."""
        kind = type(obj)
        pictures = (formatter for name, formatter in self.formatters.items() if name in _IMAGE_TYPES)
        others = (self.ipython_display_formatter, self.mimebundle_formatter, *pictures)
        if include or exclude or kind not in _PLAIN_TYPES or any(kind in other.type_printers for other in others):
            found: tuple[dict[str, Any], dict[str, Any]] = super().format(obj, include=include, exclude=exclude)
            return found
        text = self.formatters["text/plain"]
        if text.type_printers.get(kind) is _repr_pprint and text.pprint and id(obj) not in text.singleton_printers:
            with contextlib.suppress(Exception):  # of a number that is too long to be shown: IPython says so
                return {"text/plain": repr(obj)}, {}
        return {"text/plain": text(obj)}, {}


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
        self._first_transforms = self._all_transforms()
        self.db: dict[str, Any] = {}  # of bookmarks and aliases; otherwise a directory of files

    def run(self, code: str) -> int:
        """Run one call's code; its exit code."""
        result = self.run_cell(code, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if isinstance(error, SystemExit):
            return _exit_code(error, self.show_error)
        return 0 if error is None else 1

    def transform_cell(self, raw_cell: str) -> str:
        """IPython's own syntax made Python; most code has none and is not taken apart to find that out."""
        if _MAY_BE_SPECIAL.search(raw_cell) or self._has_own_transforms() or self._may_be_command(raw_cell):
            transformed: str = super().transform_cell(raw_cell)
            return transformed
        return raw_cell if raw_cell.endswith("\n") else raw_cell + "\n"

    def _has_own_transforms(self) -> bool:
        return bool(self.autocall or self.input_transformers_post) or self._all_transforms() != self._first_transforms

    def _all_transforms(self) -> list[object]:
        manager = self.input_transformer_manager
        return [*manager.cleanup_transforms, *manager.line_transforms, *manager.token_transformers]

    def _may_be_command(self, code: str) -> bool:
        """A single line that begins with the name of a magic, a macro or an autocall is one, where IPython thinks so."""
        word = None if "\n" in code.rstrip("\n") else _FIRST_WORD.match(code)
        return word is not None and (isinstance(self.user_ns.get(word[0]), IPyAutocall | Macro) or self.find_magic(word[0]) is not None)

    def should_run_async(self, raw_cell: str, **named: Any) -> bool:
        """Whether the code awaits; IPython compiles it to find out."""
        return ("await" in raw_cell or "async" in raw_cell) and bool(super().should_run_async(raw_cell, **named))

    def init_display_formatter(self) -> None:
        """Ours."""
        self.display_formatter = TextFormatter(parent=self)
        self.configurables.append(self.display_formatter)

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
        self._forget_inputs()
        _close_fonts()

    def _forget_inputs(self) -> None:
        self.execution_count = 1
        self.history_manager.input_hist_parsed[:] = [""]
        self.history_manager.input_hist_raw[:] = [""]
        for name in ("_i00", "_i", "_ii", "_iii"):  # from which the next run makes what its code finds as `_i`
            setattr(self.history_manager, name, "")

    def ignore_warnings(self) -> None:
        """Of IPython itself, which speak of its prompt."""
        for message in _NOT_FOR_USERS:
            warnings.filterwarnings("ignore", message=message)

    def touch(self) -> None:
        """Run nothing, and so have the pages that every run writes to copied before the first one (fork(2): copy on write)."""
        self.run_cell("None", store_history=True)
        self._forget_inputs()

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
