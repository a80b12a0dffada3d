"""Code on one runtime: calls queue, a kernel is started when one is needed, and its death ends one call only."""

from __future__ import annotations

from collections import deque

from cellblock_cell.call import Call, ToolError
from cellblock_cell.children import End
from cellblock_cell.images import Images
from cellblock_cell.kernel import Kernel, Launch, is_result
from cellblock_cell.link import Frame, Kind, LinkError, Meta
from cellblock_cell.loop import Timer
from cellblock_cell.output import Stream
from cellblock_cell.run import Outcome, Run, Stop
from cellblock_cell.workbench import Workbench

_GATHER_SECONDS = 0.002  # what a short run prints leaves together with its result
_LEFT = End(0)  # process.exit(): the code is done, and nothing went wrong
_LOST = "The variables are lost, files are kept; the next call starts afresh."


class CodeRuns:
    """The calls of one runtime. What is printed between two calls, by threads or child processes, is dropped."""

    def __init__(self, bench: Workbench, launch: Launch) -> None:
        self._bench = bench
        self._launch = launch
        self._queue: deque[Run] = deque()
        self._current: Run | None = None
        self._images = Images(bench.link, 0)
        self._kernel: Kernel | None = None
        self._gathering: Timer | None = None
        self._note = ""

    def warm_up(self) -> None:
        """Start the kernel before the first call, which need not wait until it is ready: its connection keeps the call. Raises OSError."""
        self._kernel = self._start_kernel()

    def submit(self, call: Call) -> None:
        """Run the code after the calls that came before. Raises ToolError."""
        _program(call)
        self._queue.append(Run(self._bench.loop, self._bench.link, call))
        self._begin_next()

    def cancel(self, number: int) -> bool:
        """Interrupt the call or take it out of the queue; whether it was one of these."""
        if self._current is not None and self._current.call.number == number:
            self._current.cancel()
            return True
        for run in self._queue:
            if run.call.number == number:
                self._queue.remove(run)
                run.cancel()
                return True
        return False

    def _begin_next(self) -> None:
        while self._current is None and self._queue:
            run = self._queue.popleft()
            try:
                self._begin(run)
            except ToolError as error:
                self._current = None
                self._bench.link.send(Frame(Kind.RESULT, run.call.number, error.meta))

    def _begin(self, run: Run) -> None:
        if run.call.flag("clear_context"):
            self._discard_kernel()
        kernel = self._kernel = self._kernel or self._start_kernel_for_call()
        kernel.pipes.drain()  # what was printed since the last call
        try:
            kernel.channel.send(Frame(Kind.CALL, run.call.number, _program(run.call)))
        except LinkError as error:
            raise ToolError("bad_call", "the code is too long for one call") from error
        self._current = run  # the rest is done while the kernel wakes up; nothing of it is heard before the loop's next round
        self._gather(kernel)
        self._images = Images(self._bench.link, run.call.number)
        run.start(Stop(ask=lambda: kernel.interrupt(run.call.number), force=kernel.kill))
        kernel.feeds(self._bench.link)

    def _gather(self, kernel: Kernel) -> None:
        """A long run's output goes out as it comes."""
        kernel.pipes.hold(True)
        self._gathering = self._bench.loop.call_after(_GATHER_SECONDS, lambda: kernel.pipes.hold(False))

    def _start_kernel_for_call(self) -> Kernel:
        try:
            return self._start_kernel()
        except OSError as error:
            raise ToolError("no_process", f"the kernel could not be started: {error.strerror}") from error

    def _start_kernel(self) -> Kernel:
        return Kernel(self._bench.loop, self._bench.children, self, self._launch)

    def _discard_kernel(self) -> None:
        self._note = ""
        if self._kernel is not None:
            self._kernel.disown(self._bench.abandoned)
            self._kernel.kill()
            self._kernel = None

    def kernel_sent(self, frame: Frame) -> None:
        """Part of the KernelOwner protocol."""
        run = self._current
        if frame.kind is Kind.DATA and run is not None:
            try:
                self._images.take(frame)
            except LinkError as error:
                self._refuse(str(error))
        elif frame.kind is Kind.RESULT:
            if run is None or frame.call != run.call.number or not is_result(frame):
                self._refuse("a result of no run")
            else:
                self._end(run, int(str(frame.meta["exit_code"])))

    def kernel_printed(self, stream: Stream, data: bytes) -> None:
        """Part of the KernelOwner protocol."""
        if self._current is not None:
            self._current.write(stream, data)

    def kernel_ended(self, end: End, fault: str) -> None:
        """Part of the KernelOwner protocol."""
        if self._kernel is not None:
            self._kernel.feeds_nothing(self._bench.link)
            self._kernel.disown(self._bench.abandoned)
            self._kernel = None
        run, self._current = self._current, None
        if run is None:
            self._note = f"The kernel {end.text} between two calls, so this call had a fresh one: variables of earlier calls are lost."
        else:
            outcome: Outcome = "done" if end == _LEFT else "killed"
            run.finish(end.exit_code, outcome=outcome, note=_why(end, fault, was_stopping=run.is_stopping))
        self._begin_next()

    def _refuse(self, what: str) -> None:
        if self._kernel is not None:
            self._kernel.channel.pause()
            self._kernel.kill(f"it sent {what}")

    def _end(self, run: Run, exit_code: int) -> None:
        kernel = self._kernel
        with self._bench.link.together():
            if kernel is not None:
                kernel.pipes.drain()
            notes, self._note = " ".join(filter(None, (self._note, self._images.note))), ""
            run.finish(exit_code, note=notes)
        self._current = None
        if kernel is not None:
            self._stop_gathering(kernel)
            kernel.feeds_nothing(self._bench.link)
        self._begin_next()

    def _stop_gathering(self, kernel: Kernel) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
        kernel.pipes.hold(False)


def _program(call: Call) -> Meta:
    return {"code": call.text("code"), "language": call.text("language")}


def _why(end: End, fault: str, *, was_stopping: bool) -> str:
    if was_stopping:
        return f"The code did not stop when it was interrupted, so the kernel was killed. {_LOST}"
    if fault:
        return f"The kernel was killed because {fault}. {_LOST}"
    if end.signal == 9:
        return f"The kernel was killed by SIGKILL: by the code itself, or because memory ran out. {_LOST}"
    return f"The kernel {end.text}. {_LOST}"
