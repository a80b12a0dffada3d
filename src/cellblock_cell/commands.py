"""Shell commands: each in a fresh shell, a session of its own, with no terminal and no input."""

from __future__ import annotations

import signal
from collections.abc import Callable

from cellblock_cell.call import Call, ToolError
from cellblock_cell.children import End, kill_group
from cellblock_cell.output import OutputPipes, Sink
from cellblock_cell.run import Run, Stop
from cellblock_cell.workbench import Workbench


class Shell:
    """A shell that runs one command; `on_end` comes when the shell ends, whoever still holds its pipes."""

    def __init__(self, bench: Workbench, command: str, *, sink: Sink, on_end: Callable[[End], None]) -> None:
        self._bench = bench
        self._on_end = on_end
        self._is_stopping = False
        config = bench.config
        if "\0" in command:
            raise ToolError("bad_call", "a command cannot hold a NUL character")
        try:
            self.pipes = OutputPipes(bench.loop, sink)
        except OSError as error:
            raise _not_started(error) from error
        try:
            arguments = [config.shell, "-c", command]
            self._pid = bench.children.spawn(arguments, {**config.environment}, stdout=self.pipes.stdout, stderr=self.pipes.stderr)
        except OSError as error:
            self.pipes.close()
            raise _not_started(error) from error
        finally:
            self.pipes.close_ends()
        bench.children.add(self._pid, self._ended)

    def stop(self) -> None:
        """Ask the whole group to end; what is left of it dies with the shell."""
        self._is_stopping = True
        kill_group(self._pid, signal.SIGTERM)
        kill_group(self._pid, signal.SIGCONT)  # a stopped process would not see the other

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        kill_group(self._pid, signal.SIGKILL)

    def _ended(self, end: End) -> None:
        if self._is_stopping:
            self.kill()
        self.pipes.drain()
        self._on_end(end)
        self._bench.abandoned.add(self.pipes)


def _not_started(error: OSError) -> ToolError:
    return ToolError("no_process", f"the command could not be started: {error.strerror}")


class Commands:
    """The run_command calls that are under way; they do not wait for each other."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._runs: dict[int, Run] = {}

    def submit(self, call: Call) -> None:
        """Run a command. Raises ToolError."""
        run = Run(self._bench.loop, self._bench.link, call)
        shell = Shell(self._bench, call.text("command"), sink=run.write, on_end=lambda end: self._ended(run, shell, end))
        self._runs[call.number] = run
        self._bench.link.attach(shell.pipes)
        run.start(Stop(ask=shell.stop, force=shell.kill))

    def cancel(self, number: int) -> bool:
        """Stop the command; whether there was one."""
        run = self._runs.get(number)
        if run is not None:
            run.cancel()
        return run is not None

    def _ended(self, run: Run, shell: Shell, end: End) -> None:
        del self._runs[run.call.number]
        self._bench.link.detach(shell.pipes)
        run.finish(end.exit_code)
