"""What the server tells the broker and what the broker tells back, one JSON object a message."""

from __future__ import annotations

import msgspec

from cellblock.grants.grants_file import Role


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag="begin"):
    """The first one: where S3 is."""

    endpoint: str
    region: str
    token_endpoint: str
    credentials_seconds: int


class Open(msgspec.Struct, frozen=True, kw_only=True, tag="open"):
    """Serve a session; its listener comes with the message."""

    session_id: str
    role_arn: str
    role: Role
    token: str


class Close(msgspec.Struct, frozen=True, kw_only=True, tag="close"):
    """The session is over."""

    session_id: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """Something that a session asked for and did not get, for the log."""

    session_id: str
    request: str
    reason: str


class Closed(msgspec.Struct, frozen=True, kw_only=True, tag="closed"):
    """Nothing of a session is left in the broker."""

    session_id: str


Order = Begin | Open | Close
Report = Refusal | Closed

encode = msgspec.json.Encoder().encode
read_order = msgspec.json.Decoder(Order).decode
read_report = msgspec.json.Decoder(Report).decode
