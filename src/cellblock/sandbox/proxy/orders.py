"""What the server tells the proxy's process and what that tells back, one JSON object a message."""

from __future__ import annotations

import msgspec

from cellblock.sandbox.proxy.reach import ReachMessage

_SHOWN = 300


class Open(msgspec.Struct, frozen=True, kw_only=True, tag="open"):
    """Serve a cell; its listener comes with the message."""

    cell: str
    reach: ReachMessage


class Close(msgspec.Struct, frozen=True, kw_only=True, tag="close"):
    """The cell is over."""

    cell: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """What a cell asked for and did not get, for the log."""

    cell: str
    wanted: str
    reason: str


class Closed(msgspec.Struct, frozen=True, kw_only=True, tag="closed"):
    """Nothing of a cell is left in the process."""

    cell: str


Order = Open | Close
Report = Refusal | Closed

encode = msgspec.json.Encoder().encode
read_order = msgspec.json.Decoder(Order).decode
read_report = msgspec.json.Decoder(Report).decode


def shown(text: str) -> str:
    """What a session has chosen, for a log: short, and without characters that a terminal obeys."""
    return ascii(text[:_SHOWN])[1:-1]
