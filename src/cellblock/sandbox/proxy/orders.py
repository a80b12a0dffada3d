"""What the server tells the proxy's process and what that tells back, one JSON object a message."""

from __future__ import annotations

import msgspec

from cellblock.sandbox.proxy.reach import ReachMessage

MESSAGE_BYTES = 64 * 1024


class Open(msgspec.Struct, frozen=True, kw_only=True, tag="open"):
    """Serve a cell; its listener comes with the message."""

    cell: str
    reach: ReachMessage


class Close(msgspec.Struct, frozen=True, kw_only=True, tag="close"):
    """The cell is over."""

    cell: str


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing of a cell is left in the process."""

    cell: str


Order = Open | Close

encode = msgspec.json.Encoder().encode
read_order = msgspec.json.Decoder(Order).decode
read_closed = msgspec.json.Decoder(Closed).decode
