"""read_stream: one file leaves piece by piece, each asked for by the host, so that a reader who is slow holds up nobody else."""

from __future__ import annotations

import os

from cellblock_cell.call import Call, ToolError
from cellblock_cell.channel import HostLink
from cellblock_cell.files import PIECE_BYTES, open_regular
from cellblock_cell.link import Frame, Kind, Meta
from cellblock_cell.paths import Workspace, explain


class Download:
    """One read_stream call. The file has the size that it had when it was opened; one that shrinks meanwhile is an error."""

    def __init__(self, workspace: Workspace, link: HostLink, call: Call) -> None:
        self._link = link
        self._number = call.number
        self._path = call.text("path")
        self._descriptor = open_regular(workspace, self._path)
        self._left = self._size = os.fstat(self._descriptor).st_size
        link.send(Frame(Kind.DATA, call.number, {"size": self._size}))

    def feed(self, frame: Frame) -> Meta | None:
        """The host wants so many bytes more; the result when there are no more. Raises ToolError."""
        wanted = frame.meta.get("more")
        if not isinstance(wanted, int):
            raise ToolError("bad_call", "a download is asked for a number of bytes")
        wanted = min(wanted, self._left)
        while wanted > 0:
            data = self._read(min(wanted, PIECE_BYTES))
            wanted -= len(data)
            self._left -= len(data)
            self._link.send(Frame(Kind.DATA, self._number, {"piece": True}, data))
        if self._left:
            return None
        self.abort()
        return {"size": self._size}

    def finish(self) -> Meta:
        """The host has no more to say, which it does not do here."""
        self.abort()
        raise ToolError("bad_call", "a download has no end of its own")

    def abort(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self, count: int) -> bytes:
        try:
            data = os.read(self._descriptor, count)
        except OSError as error:
            self.abort()
            raise ToolError("io", explain(self._path, error)) from error
        if not data:
            self.abort()
            raise ToolError("io", f"{self._path} became shorter while it was read")
        return data
