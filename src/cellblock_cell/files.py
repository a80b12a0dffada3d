"""The tools that read, list and remove files. Each is a generator: it gives way between its steps and returns the result."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Generator

from cellblock_cell.call import Call, ToolError
from cellblock_cell.link import Frame, Kind, Meta, Scalar
from cellblock_cell.paths import Workspace, explain, leads_out
from cellblock_cell.trees import remove_tree

PIECE_BYTES = 256 * 1024
ENTRIES_A_FRAME = 1000
ENTRY_LIMIT = 200_000  # of one listing; their names are in the agent's memory
NAMES_LIMIT = 8 * 1024 * 1024  # characters of all names of one listing

Answer = Generator[Frame | None, None, Meta]


def read_files(workspace: Workspace, call: Call) -> Answer:
    """Send each file that fits into what is left of the limit; of the others, say why not."""
    left = call.integer("limit_bytes")
    files: list[dict[str, Scalar]] = []
    for index, path in enumerate(call.texts("paths")):
        try:
            size = yield from _read(workspace, call.number, index, path, left)
            left -= size
            files.append({"path": path, "size": size, "error": "", "message": ""})
        except _Unreadable as error:
            files.append({"path": path, "size": error.size, "error": error.kind, "message": error.message})
        except ToolError as error:
            files.append({"path": path, "size": 0, "error": error.kind, "message": error.message})
    return {"files": files}


class _Unreadable(ToolError):
    def __init__(self, kind: str, message: str, size: int = 0) -> None:
        super().__init__(kind, message)
        self.size = size


def _read(workspace: Workspace, number: int, index: int, path: str, limit: int) -> Generator[Frame | None, None, int]:
    descriptor = open_regular(workspace, path)
    try:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise _Unreadable("too_large", f"{path} has {size} bytes, {limit} are left of this call's limit", size)
        done = 0
        while done < size and (data := os.read(descriptor, min(PIECE_BYTES, size - done))):
            done += len(data)
            yield Frame(Kind.DATA, number, {"file": index}, data)
        return done
    except OSError as error:
        raise _Unreadable("denied", explain(path, error)) from error
    finally:
        os.close(descriptor)


def open_regular(workspace: Workspace, path: str) -> int:
    """Open a file only after a look at what it is: to open a FIFO or a device has effects."""
    relative = workspace.relative(path)
    try:
        _require_regular(path, descriptor := workspace.open(relative, os.O_PATH))
        os.close(descriptor)
        descriptor = workspace.open(relative, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise _Unreadable("missing", f"{path} does not exist") from error
        raise _Unreadable("bad_path" if leads_out(error) else "denied", explain(path, error)) from error
    _require_regular(path, descriptor)  # it may have been exchanged meanwhile
    return descriptor


def _require_regular(path: str, descriptor: int) -> None:
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _Unreadable("not_regular", f"{path} is a directory" if stat.S_ISDIR(mode) else f"{path} is not a regular file")


def list_files(workspace: Workspace, call: Call) -> Answer:
    """Send the entries of one directory, sorted by name."""
    relative = workspace.relative(call.text("path"))
    path = call.text("path") or "the workspace"
    try:
        descriptor = workspace.open(relative, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise ToolError("missing", f"{path} does not exist") from error
        if error.errno == errno.ENOTDIR:
            raise ToolError("not_directory", f"{path} is not a directory") from error
        raise ToolError("bad_path", explain(path, error)) from error
    try:
        names = sorted(_names(path, descriptor))
        for start in range(0, len(names), ENTRIES_A_FRAME):
            found = [_entry(workspace, relative, name, descriptor) for name in names[start : start + ENTRIES_A_FRAME]]
            yield Frame(Kind.DATA, call.number, {"entries": [entry for entry in found if entry is not None]})
        return {}
    finally:
        os.close(descriptor)


def _names(path: str, directory: int) -> list[str]:
    """All names; never more of them in memory than one listing may have."""
    names: list[str] = []
    size = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            names.append(entry.name)
            size += len(entry.name)
            if len(names) > ENTRY_LIMIT or size > NAMES_LIMIT:
                limits = f"{ENTRY_LIMIT} entries or {NAMES_LIMIT} characters of names"
                raise ToolError("too_many_entries", f"{path} has more than the limit of {limits}")
    return names


def _entry(workspace: Workspace, parent: str, name: str, directory: int) -> dict[str, Scalar] | None:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None  # removed meanwhile
    if stat.S_ISLNK(status.st_mode):
        status = _behind_link(workspace, posixpath.join(parent, name)) or status
    kind = "file" if stat.S_ISREG(status.st_mode) else "directory" if stat.S_ISDIR(status.st_mode) else "other"
    readable = os.fsencode(name).decode("utf-8", "replace")  # a name is bytes, JSON is text
    return {"name": readable, "kind": kind, "size": status.st_size if kind == "file" else 0}


def _behind_link(workspace: Workspace, relative: str) -> os.stat_result | None:
    try:
        descriptor = workspace.open(relative, os.O_PATH)
    except OSError:
        return None
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def remove_files(workspace: Workspace, call: Call) -> Answer:
    """Remove files, links themselves, and whole directories; one that fails does not keep the others."""
    removed = 0
    missing: list[Scalar] = []
    failed: list[dict[str, Scalar]] = []
    for path in call.texts("paths"):
        try:
            yield from _remove(workspace, path)
            removed += 1
        except ToolError as error:
            failed.append({"path": path, "message": error.message})
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                missing.append(path)
            else:
                failed.append({"path": path, "message": explain(path, error)})
    return {"removed": removed, "missing": missing, "failed": failed}


def _remove(workspace: Workspace, path: str) -> Generator[None, None, None]:
    with workspace.place(path) as place:
        mode = os.stat(place.name, dir_fd=place.directory, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            yield from remove_tree(place.directory, place.name)
        else:
            os.unlink(place.name, dir_fd=place.directory)
