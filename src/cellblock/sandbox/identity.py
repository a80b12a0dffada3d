"""Host user ids for cells: one of its own for each live cell when the host runs as root, its own id otherwise."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass

from cellblock.errors import HostIsFull
from cellblock.sandbox.id_blocks import Blocks
from cellblock.sandbox.policy import RUNTIME_OWNER_ID, USER_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The maps of one cell, as written by the template in terms of the template's own namespace."""

    index: int
    uid_map: str
    gid_map: str


class IdentityRange:
    """Hands out ids; the template's id 0 is the range's first and owns the runtime, so no cell runs as it."""

    def __init__(self, *, base: int, count: int, blocks: Blocks) -> None:
        self.is_privileged = os.geteuid() == 0
        self._base = base
        self._count = count
        self._blocks = blocks
        self._free: deque[int] = deque()

    @property
    def template_id(self) -> int:
        """The host id of the template, which no cell and nothing else of the host has when the host runs as root."""
        return self._base if self.is_privileged else os.geteuid()

    @property
    def template_uid_map(self) -> str:
        """The map of the template's namespace (user_namespaces(7))."""
        return f"0 {self._base} {self._count}\n" if self.is_privileged else f"0 {os.geteuid()} 1\n"

    @property
    def template_gid_map(self) -> str:
        """The same for groups."""
        return f"0 {self._base} {self._count}\n" if self.is_privileged else f"0 {os.getegid()} 1\n"

    def take(self) -> Identity:
        """An identity no live cell has; raises HostIsFull when the range is used up."""
        if not self.is_privileged:
            return Identity(index=0, uid_map=f"{USER_ID} 0 1\n", gid_map=f"{USER_ID} 0 1\n")
        self.have_some()
        if not self._free:
            raise HostIsFull(f"all {self._count - 1} host ids of cells are in use, here or by other servers; raise CELLBLOCK_UID_COUNT")
        index = self._free.popleft()
        # the runtime's group is the cell's own, so that directories writable for it can be written to over the overlay
        uid_map = f"{USER_ID} {index} 1\n{RUNTIME_OWNER_ID} 0 1\n"
        return Identity(index=index, uid_map=uid_map, gid_map=f"{USER_ID} 0 1\n")

    def host_ids(self, identity: Identity) -> tuple[int, int] | None:
        """The user and the group of the host that the cell's user is; None when they are this process's own."""
        return (self._base + identity.index, self._base) if self.is_privileged else None

    def have_some(self) -> None:
        """See that the next cells have ids. Raises HostNotReady."""
        if self.is_privileged and not self._free:
            ids = self._blocks.take(range(self._base + 1, self._base + self._count))
            self._free.extend(one - self._base for one in ids)

    def close(self) -> None:
        """No cell is left: other servers may have the ids."""
        self._free.clear()
        self._blocks.close()

    def give_back(self, identity: Identity) -> None:
        """The cell is gone; its id goes to the end of the queue, so that it is used again as late as possible."""
        if self.is_privileged:
            self._free.append(identity.index)
