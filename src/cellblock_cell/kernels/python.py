"""The Python kernel: the process that runs a session's Python code and keeps its variables.

What a user sees: `sys.exit(3)` and `exit(3)` end the code with exit code 3, a plain `exit` with 0, and the variables stay.
`input()` raises EOFError. What the code does to the standard streams, their descriptors and the handling of SIGINT lasts
until its end. A process that the code forks and that returns from the code ends there.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ctypes
import faulthandler
import fcntl
import io
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from os import environ  # to replace it: reading it here has no use
from types import FrameType
from typing import NoReturn, TextIO

from cellblock_cell import warmth
from cellblock_cell.kernels.python_shell import CellShell
from cellblock_cell.likeness import NO_LIKENESSES, Likenesses
from cellblock_cell.link import Decoder, Frame, Kind, encode, pieces
from cellblock_cell.rest import Rest

_READ_BYTES = 64 * 1024
_SPARE_AFTER_SECONDS = 0.03  # a client that starts a session and calls at once is faster
_KEY_BYTES = 624 * 4  # of the Mersenne twister
_INTERRUPT = frozenset({signal.SIGINT})
_signal = sys.modules["_signal"]  # what `signal` wraps in Python code, which costs a short run a twentieth and an interrupt may strike
_change_mask = _signal.pthread_sigmask
_handle = _signal.signal
_libc = ctypes.CDLL(None)
_flush_c_stream = _libc.fflush
_c_stdout = ctypes.c_void_p.in_dll(_libc, "stdout")


def prepare(environment: Mapping[str, str] | None = None) -> None:
    """Make the shell in the template and use each of its paths once, so that a fork finds everything warm.

    The environment is what most kernels will have; without one, each takes its own.
    """
    shell = CellShell.instance()
    shell.warm_up()
    shell.ignore_warnings()
    if environment is not None:
        _environment.take(environment)
    _numpy_state.find()


def rehearse(calls: Sequence[str]) -> None:
    """In the template: be a kernel for these calls, whose results nobody reads, and forget them."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for number, code in enumerate(calls, 1):
            ours.sendall(encode(Frame(Kind.CALL, number, {"code": code})))
        ours.shutdown(socket.SHUT_WR)
        shell = CellShell.instance()
        _Kernel(theirs).serve()
        shell.reset(new_session=False)
        shell.execution_count = 1


def main(connection: socket.socket, environment: Mapping[str, str], likenesses: Likenesses = NO_LIKENESSES) -> None:
    """Be the kernel at this end of the connection until it closes; for a process of its own, just forked."""
    _environment.take(environment)
    _numpy_state.renew()  # `random` has its own handler of forks; uuid, secrets, ssl and default_rng ask the system
    vars(threading.main_thread())["_native_id"] = threading.get_native_id()  # all that its handler of forks has to do here
    faulthandler.enable(file=2)
    sys.argv = [""]
    sys.path[:] = ["", *(entry for entry in sys.path if entry)]  # modules of the user's current directory
    vars(sys.modules["builtins"])["input"] = _no_input
    _Kernel(connection, likenesses).serve()


class _Environment:
    """The process's environment variables, compared as they were taken: to read `environ` itself costs a fork fifty pages."""

    def __init__(self) -> None:
        self._taken: Mapping[str, str] = {}

    def take(self, environment: Mapping[str, str]) -> None:
        """Have these variables and no others."""
        if environment == self._taken:
            return
        environ.clear()
        environ.update(environment)
        self._taken = {**environment}


class _NumpyState:
    """Where numpy's global generator keeps its state, which `numpy.random.seed` takes 130 pages of a fork to renew."""

    def __init__(self) -> None:
        self._address = 0

    def find(self) -> None:
        """In the template: the state's place, if what is written there is the generator's key."""
        numpy_random = sys.modules.get("numpy.random")
        generator = numpy_random.get_bit_generator() if numpy_random else None
        if numpy_random is None or generator is None or type(generator).__name__ != "MT19937":
            return
        numpy_random.seed()  # nothing is left over of numbers that were drawn in pairs
        self._address = generator.ctypes.state_address
        key = os.urandom(_KEY_BYTES)
        ctypes.memmove(self._address, key, _KEY_BYTES)
        if numpy_random.get_state()[1].tobytes() != key:
            self._address = 0

    def renew(self) -> None:
        """In a fork."""
        numpy_random = sys.modules.get("numpy.random")
        if self._address:
            ctypes.memmove(self._address, os.urandom(_KEY_BYTES), _KEY_BYTES)
        elif numpy_random is not None:
            numpy_random.seed()


_numpy_state = _NumpyState()
_environment = _Environment()


def _no_input(prompt: object = "", /) -> NoReturn:
    __tracebackhide__ = True
    raise EOFError(f"input({str(prompt)!r}) has nobody to ask: code in a session runs without a terminal")


class _Kernel:
    def __init__(self, connection: socket.socket, likenesses: Likenesses = NO_LIKENESSES) -> None:
        connection.setblocking(True)
        self._connection = connection
        self._decoder = Decoder()
        self._inbox: deque[Frame] = deque()
        self._lock = threading.Lock()  # guards the connection's sending side: display() may be called by any thread
        self._streams = _Streams()
        self._rest = Rest(likenesses.kernel)
        self._rest_seconds = likenesses.rest_seconds
        self._call = 0
        self._images = 0
        self._pid = os.getpid()
        self._shell = CellShell.instance()
        self._shell.show_image = self._show_image
        self._shell.show_error = self._streams.write_error

    def serve(self) -> None:
        _handle(signal.SIGINT, _stay)
        self._streams.restore()
        self._use_spare_time()
        while self._receive():
            while self._inbox:
                frame = self._inbox.popleft()
                if frame.kind is Kind.CALL:
                    if frame.meta["code"]:  # a cell that waits is warmed up without any
                        self._rest.call_came()
                    self._answer(frame.call, str(frame.meta["code"]))
            if self._rest.is_due and self._is_left_alone(self._rest_seconds):
                self._rest.begin()

    def _use_spare_time(self) -> None:
        """Until the first call comes, have the pages copied that runs write to; a cell that waits for its session, those of a DataFrame."""
        for seconds, touch in ((0, self._shell.touch), (_SPARE_AFTER_SECONDS, warmth.touch)):
            if not self._is_left_alone(seconds):
                return
            touch()

    def _is_left_alone(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        ready, _, _ = select.select([self._connection], [], [], seconds)
        return not ready

    def _receive(self, flags: int = 0) -> bool:
        """Read what is there; False at the end of the connection."""
        data = self._connection.recv(_READ_BYTES, flags)
        self._inbox.extend(self._decoder.feed(data))
        return bool(data)

    def _answer(self, call: int, code: str) -> None:
        self._call, self._images = call, 0
        self._streams.restore()
        exit_code = self._run(code)
        _handle(signal.SIGINT, _stay)
        self._streams.restore()
        self._streams.flush()
        if os.getpid() != self._pid:
            os._exit(exit_code)
        self._call, call = 0, self._call
        self._send([Frame(Kind.RESULT, call, {"exit_code": exit_code})])

    def _run(self, code: str) -> int:
        """Interruptible from the first step to the last, wherever the signal strikes."""
        try:
            try:
                _handle(signal.SIGINT, signal.default_int_handler)
                self._raise_if_canceled()
                exit_code: int = self._shell.run(code)
                return exit_code
            finally:
                _handle(signal.SIGINT, _stay)
        except BaseException:  # an interrupt outside the user's code, or a shell that the user's code broke
            try:  # noqa: SIM105  an interrupt could strike in the code of a `with`
                _change_mask(signal.SIG_BLOCK, _INTERRUPT)  # takes effect also when it raises for one that came before
            except KeyboardInterrupt:
                pass
            _handle(signal.SIGINT, _stay)
            _change_mask(signal.SIG_UNBLOCK, _INTERRUPT)
            self._streams.write_error(traceback.format_exc())
            return 1

    def _raise_if_canceled(self) -> None:
        """Comes after the handler: an interrupt before it has left its frame, one after it arrives as a signal."""
        with contextlib.suppress(BlockingIOError):
            self._receive(socket.MSG_DONTWAIT)
        if any(frame.kind is Kind.CANCEL and frame.call == self._call for frame in self._inbox):
            raise KeyboardInterrupt

    def _show_image(self, mime_type: str, data: bytes | str) -> bool:
        """Send an image; False when it is none. Between calls, and in a forked process, there is nobody to show it to."""
        try:
            image = data if isinstance(data, bytes) else data.encode() if "svg" in mime_type else base64.b64decode(data, validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return False
        if not image or not self._call or os.getpid() != self._pid:
            return bool(image)
        meta: dict[str, str | int] = {"image": self._images, "mimeType": mime_type, "size": len(image)}
        self._images += 1
        with _interrupts_deferred():
            self._send([Frame(Kind.DATA, self._call, {**meta}, piece) for piece in pieces(image)])
        return True

    def _send(self, frames: list[Frame]) -> None:
        with self._lock:
            for frame in frames:
                self._connection.sendall(encode(frame))


class _Streams:
    """Standard output and standard error, put back whatever the user's code does to them."""

    def __init__(self) -> None:
        self._kept = [(number, fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3)) for number in (1, 2)]
        self.stdout = _text_stream(1)
        self.stderr = _text_stream(2)

    def restore(self) -> None:
        for number, kept in self._kept:
            with contextlib.suppress(OSError):  # closed by the user's code, who then sees no output
                os.dup2(kept, number)
        if not _is_usable(self.stdout):
            self.stdout = _text_stream(1)
        if not _is_usable(self.stderr):
            self.stderr = _text_stream(2)
        vars(sys).update(stdout=self.stdout, __stdout__=self.stdout, stderr=self.stderr, __stderr__=self.stderr)

    def write_error(self, text: str) -> None:
        """To the call's standard error, wherever the code sends its own."""
        with contextlib.suppress(Exception):  # sys.stdout may be anything by now
            sys.stdout.flush()
        self.restore()
        self.stderr.write(text)
        self.stderr.flush()

    def flush(self) -> None:
        for stream in (self.stdout, self.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        _flush_c_stream(_c_stdout)


def _text_stream(descriptor: int) -> TextIO:
    errors = "surrogateescape" if descriptor == 1 else "backslashreplace"  # exact bytes out; an error is shown in any case
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors=errors, line_buffering=True)


def _is_usable(stream: TextIO) -> bool:
    try:
        return not stream.closed
    except ValueError:  # detached from its descriptor
        return False


@contextlib.contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """A frame that an interrupt cuts in two would break the connection."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _frame: arrived.append(number))
    try:
        yield
    finally:
        _handle(signal.SIGINT, handler)
        if arrived:
            signal.raise_signal(signal.SIGINT)


def _stay(_number: int, _frame: FrameType | None) -> None:
    """Between runs an interrupt comes too late and changes nothing."""
