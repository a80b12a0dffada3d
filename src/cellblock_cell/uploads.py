"""write_files: a batch is written beside its targets under temporary names, then put in place whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import posixpath
import stat
import uuid
from dataclasses import dataclass
from typing import NoReturn

from cellblock_cell.call import Call, ToolError
from cellblock_cell.link import Frame, Meta
from cellblock_cell.paths import Workspace, explain, leads_out

UNKNOWN_SIZE = -1  # of a file whose end is where the data ends
FILE_MODE, DIRECTORY_MODE = 0o644, 0o755
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM)  # a tmpfs is memory

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class _Draft:
    """One file of the batch: under its temporary name first, then in place of what stood there."""

    path: str
    relative: str
    size: int
    temporary: str
    written: int = 0
    is_new: bool = True


class Upload:
    """One write_files call, from its CALL frame to its END. Once it has raised ToolError there is no trace of it."""

    def __init__(self, workspace: Workspace, call: Call) -> None:
        self._workspace = workspace
        self._drafts: list[_Draft] = []
        self._made: list[str] = []  # directories, relative to the workspace, parents first
        self._open_draft: _Draft | None = None
        self._descriptor = -1
        path = ""
        try:
            for path, size in call.files("files"):
                self._add(path, size)
        except (ToolError, OSError) as error:
            self._fail(error, path)

    def feed(self, frame: Frame) -> None:
        """A piece of a file. Raises ToolError."""
        index = frame.meta.get("file")
        if not isinstance(index, int) or not 0 <= index < len(self._drafts):
            self._fail(ToolError("bad_call", "data for a file that is not in the batch"), "")
        draft = self._drafts[index]
        data = memoryview(frame.body)
        try:
            self._open(draft)
            while data:
                count = os.write(self._descriptor, data)
                draft.written += count
                data = data[count:]
        except OSError as error:
            self._fail(error, draft.path)

    def finish(self) -> Meta:
        """Put the files in place. Raises ToolError, and then everything is as before."""
        for draft in self._drafts:
            if draft.size not in (UNKNOWN_SIZE, draft.written):
                self._fail(ToolError("bad_call", f"{draft.path}: {draft.written} bytes came, {draft.size} were announced"), draft.path)
        self._commit()
        return {"count": len(self._drafts)}

    def abort(self) -> None:
        """Remove every trace of the upload; may be called twice."""
        self._close()
        for draft in self._drafts:
            self._remove_temporary(draft)
        for directory in reversed(self._made):
            with contextlib.suppress(OSError, ToolError), self._workspace.place(directory) as place:
                os.rmdir(place.name, dir_fd=place.directory)
        self._made = []

    def _fail(self, error: ToolError | OSError, path: str) -> NoReturn:
        self.abort()
        if isinstance(error, ToolError):
            raise error
        if error.errno in _FULL:
            raise ToolError("disk_full", f"{path}: the session's disk is full; nothing was written") from error
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            raise ToolError("bad_path", f"{path}: a part of the path is not a directory") from error
        raise ToolError("bad_path" if leads_out(error) else "io", explain(path, error)) from error

    def _add(self, path: str, size: int) -> None:
        relative = self._workspace.relative(path)
        if path.endswith("/") or relative == ".":
            raise ToolError("bad_path", f"{path or 'the empty path'} names a directory, not a file")
        self._make_directories(posixpath.dirname(relative))
        with self._workspace.place(relative) as place:
            if _is_directory(place.directory, place.name):
                raise ToolError("bad_path", f"{path} is a directory")
            draft = _Draft(path, relative, size, f".{uuid.uuid4().hex}.part")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(draft.temporary, flags, FILE_MODE, dir_fd=place.directory)
            os.close(descriptor)
        self._drafts.append(draft)

    def _make_directories(self, relative: str) -> None:
        """Make what is missing of a directory and its parents; each new one is remembered."""
        done = ""
        for name in filter(None, relative.split("/")):
            done = posixpath.join(done, name)
            try:
                os.close(self._workspace.open(done, os.O_PATH | os.O_DIRECTORY))
            except FileNotFoundError:
                with self._workspace.place(done) as place:
                    os.mkdir(place.name, DIRECTORY_MODE, dir_fd=place.directory)
                self._made.append(done)

    def _open(self, draft: _Draft) -> None:
        """One file is open at a time, however many a batch has."""
        if draft is self._open_draft:
            return
        self._close()
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # it could be a FIFO by now
        with self._workspace.place(draft.relative) as place:
            self._descriptor = os.open(draft.temporary, flags, dir_fd=place.directory)
        self._open_draft = draft

    def _close(self) -> None:
        if self._open_draft is not None:
            os.close(self._descriptor)
            self._open_draft = None

    def _commit(self) -> None:
        self._close()
        placed: list[_Draft] = []
        path = ""
        try:
            for draft in self._drafts:
                path = draft.path
                self._put_in_place(draft, placed)
        except (ToolError, OSError) as error:
            for draft in reversed(placed):
                with contextlib.suppress(OSError):
                    self._take_back(draft)
            self._fail(error, path)
        for draft in placed:
            if not draft.is_new:
                self._remove_temporary(draft)  # what was replaced

    def _put_in_place(self, draft: _Draft, placed: list[_Draft]) -> None:
        """One atomic step: into a free name, or in exchange for what stands there."""
        with self._workspace.place(draft.relative) as place:
            try:
                _rename(place.directory, draft.temporary, place.name, _RENAME_NOREPLACE)
                placed.append(draft)
            except FileExistsError:
                _rename(place.directory, draft.temporary, place.name, _RENAME_EXCHANGE)
                draft.is_new = False
                placed.append(draft)
                if _is_directory(place.directory, draft.temporary):
                    raise ToolError("bad_path", f"{draft.path} is a directory") from None

    def _take_back(self, draft: _Draft) -> None:
        with self._workspace.place(draft.relative) as place:
            if draft.is_new:
                os.unlink(place.name, dir_fd=place.directory)
            else:
                _rename(place.directory, draft.temporary, place.name, _RENAME_EXCHANGE)

    def _remove_temporary(self, draft: _Draft) -> None:
        with contextlib.suppress(OSError), self._workspace.place(draft.relative) as place:
            os.unlink(draft.temporary, dir_fd=place.directory)


def _is_directory(directory: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _rename(directory: int, old: str, new: str, flags: int) -> None:
    result = _libc.renameat2(directory, os.fsencode(old), directory, os.fsencode(new), flags)
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)
