"""The first process of a cell: takes the host's calls, runs the tools, and ends when the link does."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from cellblock_cell.call import Call, ToolError
from cellblock_cell.channel import HostLink
from cellblock_cell.children import Children
from cellblock_cell.code_runs import CodeRuns
from cellblock_cell.commands import Commands
from cellblock_cell.config import AgentConfig
from cellblock_cell.downloads import Download
from cellblock_cell.files import Answer, list_files, read_files, remove_files
from cellblock_cell.languages import PYTHON, launches
from cellblock_cell.link import VERSION, Frame, Kind, Meta
from cellblock_cell.loop import Loop
from cellblock_cell.output import Abandoned
from cellblock_cell.paths import Workspace
from cellblock_cell.rest import Rest
from cellblock_cell.tasks import Tasks
from cellblock_cell.uploads import Upload
from cellblock_cell.workbench import Workbench

__all__ = ["AgentConfig", "serve"]

_UMASK = 0o022


def serve(config: AgentConfig, link: socket.socket) -> int:
    """Serve the host until the link closes, then kill what runs; the exit status for this process.

    The process must be single-threaded and hold no descriptor but 0, 1, 2, the link and the entrance. It needs to be the first process
    of its PID namespace, or a child subreaper, to reap orphans; as the first process its end is the end of all others.
    """
    os.umask(_UMASK)
    os.chdir(config.workspace)
    link.set_inheritable(False)
    agent = _Agent(config, link)
    try:
        return agent.run()
    finally:
        agent.close()


class _Agent:
    def __init__(self, config: AgentConfig, link: socket.socket) -> None:
        loop = Loop()
        self._link = HostLink(loop, link, on_frame=self._received, on_end=self._link_ended)
        self._bench = Workbench(config, loop, self._link, Children(loop, config.entrance), Abandoned())
        self._workspace = Workspace(config.workspace)
        self._runs = {key: CodeRuns(self._bench, launch) for key, launch in launches(config).items()}
        self._commands = Commands(self._bench)
        self._tasks = Tasks(self._bench)
        self._transfers: dict[int, Upload | Download] = {}
        self._rest = Rest(config.likenesses.agent, config.memory)
        loop.call_at_rest(config.likenesses.rest_seconds, self._rest.begin)
        self._tools: dict[str, Callable[[Call], Meta | None]] = {
            "run_code": self._run_code,
            "run_command": self._commands.submit,
            "start_task": self._tasks.start,
            "get_task": lambda call: self._link.answer(self._tasks.get(call)),
            "stop_task": self._tasks.stop,
            "write_files": self._begin_upload,
            "read_stream": self._begin_download,
            "read_files": lambda call: self._answer(call, read_files(self._workspace, call)),
            "list_files": lambda call: self._answer(call, list_files(self._workspace, call)),
            "remove_files": lambda call: self._answer(call, remove_files(self._workspace, call)),
            "ping": lambda call: {},
        }

    def run(self) -> int:
        """Until the link ends."""
        self._runs[PYTHON].warm_up()
        self._link.send(Frame(Kind.HELLO, meta={"version": VERSION, "pid": os.getpid()}))
        self._bench.loop.run()
        return 0

    def close(self) -> None:
        """Kill what runs."""
        self._bench.children.kill_all()
        self._link.close()

    def _received(self, frame: Frame) -> None:
        if frame.kind is Kind.CALL:
            self._begin(Call.from_frame(frame))
        elif frame.kind is Kind.DATA and frame.call in self._transfers:
            self._finish(frame.call, lambda: self._transfers[frame.call].feed(frame))
        elif frame.kind is Kind.END and frame.call in self._transfers:
            self._finish(frame.call, self._transfers[frame.call].finish)
        elif frame.kind is Kind.CANCEL:
            self._cancel(frame.call)

    def _begin(self, call: Call) -> None:
        if call.arguments.get("code") != "":  # a cell that waits is warmed up without any
            self._rest.call_came()
        tool = self._tools.get(call.tool, _unknown_tool)
        self._finish(call.number, lambda: tool(call))

    def _finish(self, number: int, work: Callable[[], Meta | None]) -> None:
        """Do the work; None means that the RESULT frame comes later."""
        try:
            meta = work()
        except ToolError as error:
            meta = error.meta
        if meta is not None:
            self._transfers.pop(number, None)
            self._link.send(Frame(Kind.RESULT, number, meta))

    def _cancel(self, number: int) -> None:
        if number in self._transfers:
            self._transfers.pop(number).abort()
            self._link.send(Frame(Kind.RESULT, number, ToolError("canceled", "the transfer was canceled").meta))
        elif not self._commands.cancel(number):
            any(runs.cancel(number) for runs in self._runs.values())

    def _run_code(self, call: Call) -> None:
        runs = self._runs.get(call.text("runtime"))
        if runs is None:
            raise ToolError("unknown_runtime", f"there is no kernel for {call.text('runtime')}")
        runs.submit(call)

    def _begin_upload(self, call: Call) -> None:
        self._transfers[call.number] = Upload(self._workspace, call)

    def _begin_download(self, call: Call) -> None:
        self._transfers[call.number] = Download(self._workspace, self._link, call)

    def _answer(self, call: Call, answer: Answer) -> None:
        self._link.answer(_with_result(call.number, answer))

    def _link_ended(self, _reason: str) -> None:
        self._bench.loop.stop()


def _unknown_tool(call: Call) -> Meta:
    raise ToolError("bad_call", f"there is no tool {call.tool}")


def _with_result(number: int, answer: Answer) -> Answer:
    try:
        meta = yield from answer
    except ToolError as error:
        meta = error.meta
    except OSError as error:
        meta = ToolError("io", error.strerror or "the file system failed").meta
    yield Frame(Kind.RESULT, number, meta)
    return meta
