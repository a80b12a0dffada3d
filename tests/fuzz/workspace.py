"""The file tools in this process, against code that plants links, FIFOs and odd names in their workspace."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

from cellblock_cell.call import Call, ToolError
from cellblock_cell.files import list_files, read_files, remove_files
from cellblock_cell.link import Frame, Kind, Meta
from cellblock_cell.paths import Workspace
from cellblock_cell.uploads import Upload
from fuzz.source import Source

SECRET = b"of the host"
STEPS = 12
NAMES = ("a", "b", "c", "a/b", "a/b/c", ".", "..", "../outside", "../outside/secret", "a/../b", "a//b", "./a", "", "/", "a\nb", "é", "..a")
TARGETS = (
    "a",
    "b",
    "..",
    "../outside",
    "../outside/secret",
    "{outside}",
    "{outside}/secret",
    "/proc/self/cwd",
    "/proc/self/root",
    ".",
    "c/../..",
)


class Play:
    """Moves of the code and calls of the tools in turns; what lies outside is compared after each."""

    def __init__(self, place: Path, source: Source) -> None:
        self._inside, self._outside = place / "inside", place / "outside"
        self._inside.mkdir()
        self._outside.mkdir()
        (self._outside / "secret").write_bytes(SECRET)
        self._source = source
        self._moves: tuple[Callable[[], None], ...] = (self._link, self._fifo, self._directory, self._file, self._rename)
        self._tools: tuple[Callable[[Workspace], None], ...] = (self._read, self._list, self._remove, self._write, self._write)

    def run(self) -> None:
        """Some turns; raises AssertionError when a tool was led out."""
        workspace = Workspace(str(self._inside))
        try:
            for _ in range(STEPS):
                if self._source.is_empty:
                    break
                with suppress(OSError, ValueError):
                    self._source.one_of(self._moves)()
                self._source.one_of(self._tools)(workspace)
                self._look_outside()
        finally:
            workspace.close()

    def _look_outside(self) -> None:
        assert os.listdir(self._outside) == ["secret"]
        assert (self._outside / "secret").read_bytes() == SECRET
        assert sorted(os.listdir(self._inside.parent)) == ["inside", "outside"]

    def _mine(self) -> str:
        """A place of the code's own: it stays inside, since the code is in a cell."""
        return str(self._inside / self._source.one_of(("a", "b", "c", "a/b", "a/b/c", "..a")))

    def _path(self) -> str:
        chosen = self._source.number(4)
        if chosen == 0:
            return self._source.text()
        if chosen == 1:
            return f"{self._inside}/{self._source.one_of(NAMES)}"
        return self._source.one_of(NAMES)

    def _link(self) -> None:
        os.symlink(self._source.one_of(TARGETS).format(outside=self._outside), self._checked())

    def _fifo(self) -> None:
        os.mkfifo(self._checked())

    def _directory(self) -> None:
        os.mkdir(self._checked())

    def _file(self) -> None:
        descriptor = os.open(self._checked(), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW)
        os.write(descriptor, b"of the code")
        os.close(descriptor)

    def _rename(self) -> None:
        os.rename(self._checked(), self._checked())

    def _checked(self) -> str:
        """Not through a link of the code's own: that would be the code going out, which only a cell prevents."""
        path = self._mine()
        if not Path(os.path.realpath(os.path.dirname(path))).is_relative_to(self._inside):
            raise ValueError("a link of its own leads out")
        return path

    def _read(self, workspace: Workspace) -> None:
        frames = self._frames(read_files(workspace, self._call(paths=[self._path(), self._path()], limit_bytes=1000)))
        assert all(bytes(frame.body) != SECRET for frame in frames)

    def _list(self, workspace: Workspace) -> None:
        frames = self._frames(list_files(workspace, self._call(path=self._path())))
        assert "secret" not in str([frame.meta for frame in frames])

    def _remove(self, workspace: Workspace) -> None:
        self._frames(remove_files(workspace, self._call(paths=[self._path(), self._path()])))

    def _write(self, workspace: Workspace) -> None:
        count = 1 + self._source.number(3)
        files: list[Any] = [{"path": self._path(), "size": 1} for _ in range(count)]
        before = self._temporaries()
        with suppress(ToolError):
            upload = Upload(workspace, self._call(files=files))
            for index in range(self._source.number(count + 1)):
                upload.feed(Frame(Kind.DATA, 1, {"file": index}, b"x"))
            upload.finish()
        assert self._temporaries() == before, "a temporary file was left"

    def _temporaries(self) -> set[str]:
        return {name for _, _, names in os.walk(self._inside) for name in names if name.endswith(".part")}

    def _call(self, **arguments: Any) -> Call:
        return Call(1, "fuzz", arguments)

    def _frames(self, answer: Generator[Frame | None, None, Meta]) -> list[Frame]:
        with suppress(ToolError):
            return [frame for frame in answer if frame is not None]
        return []
