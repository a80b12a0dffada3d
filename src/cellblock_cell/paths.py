"""Paths of the workspace: checked, then resolved by the kernel so that no link leads out of it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import posixpath
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cellblock_cell.call import ToolError

LIMIT_CHARACTERS = 255
# openat2(2); newer than 5.0, so one number on every architecture
_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_BENEATH = 0x02, 0x08
_RETRIES = 32  # a rename anywhere in the workspace makes the kernel ask for another try

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open directory; for the workspace itself the name is "." ."""

    directory: int
    name: str


class Workspace:
    """The directory that file tools work in, held open."""

    def __init__(self, root: str) -> None:
        self._root = posixpath.normpath(root)
        self.descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the directory."""
        os.close(self.descriptor)

    def relative(self, path: str) -> str:
        """The path below the workspace, "." for the workspace; raises ToolError "bad_path"."""
        if "\0" in path:
            raise ToolError("bad_path", "a path cannot hold a NUL character")
        if len(path) > LIMIT_CHARACTERS:
            raise ToolError("bad_path", f"a path of {len(path)} characters is over the limit of {LIMIT_CHARACTERS}: {path[:40]}…")
        try:
            path.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise ToolError("bad_path", "a path must be Unicode text") from error
        if path.startswith("/"):
            plain = "/" + posixpath.normpath(path).lstrip("/")
            if plain != self._root and not plain.startswith(self._root.rstrip("/") + "/"):
                raise ToolError("bad_path", f"{path} is not in the workspace {self._root}")
            path = plain[len(self._root) :].lstrip("/")
        plain = posixpath.normpath(path or ".")
        if plain == ".." or plain.startswith("../"):
            raise ToolError("bad_path", f"{path} leads out of the workspace")
        return plain

    def open(self, relative: str, flags: int) -> int:
        """A descriptor; raises OSError, EXDEV or ELOOP when the path leads out of the workspace."""
        return _open_beneath(self.descriptor, relative, flags)

    @contextlib.contextmanager
    def place(self, path: str) -> Iterator[Place]:
        """Where the path's last name stands, not followed if it is a link. Raises ToolError and OSError."""
        relative = self.relative(path)
        parent, name = posixpath.split(relative)
        if name == ".":
            raise ToolError("bad_path", "the workspace itself cannot be replaced or removed")
        directory = self.open(parent or ".", os.O_PATH | os.O_DIRECTORY)
        try:
            yield Place(directory, name)
        finally:
            os.close(directory)


def leads_out(error: OSError) -> bool:
    """Whether the path is at fault, and not what it names."""
    return error.errno in (errno.EXDEV, errno.ELOOP, errno.ENAMETOOLONG)


def explain(path: str, error: OSError) -> str:
    """One sentence for the user."""
    if error.errno in (errno.EXDEV, errno.ELOOP):
        return f"{path} leads out of the workspace"
    return f"{path}: {error.strerror}"


def _open_beneath(directory: int, relative: str, flags: int) -> int:
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    path = os.fsencode(relative)
    for _ in range(_RETRIES):
        descriptor: int = _libc.syscall(
            ctypes.c_long(_OPENAT2), ctypes.c_int(directory), ctypes.c_char_p(path), ctypes.c_char_p(how), ctypes.c_size_t(len(how))
        )
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(number, os.strerror(number), relative)
