"""What the broker does not do, in the words of S3, so that SDKs show the reason."""

from __future__ import annotations

from xml.sax.saxutils import escape

_SHOWN = 200


class Refused(Exception):
    """A request that does not leave the machine, and why."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.reason = reason

    @property
    def body(self) -> bytes:
        """The error document of S3."""
        text = escape(self.reason)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{self.code}</Code><Message>{text}</Message></Error>'.encode()


def denied(reason: str) -> Refused:
    """The role does not reach so far."""
    return Refused(403, "AccessDenied", reason)


def invalid(reason: str) -> Refused:
    """No client of S3 sends this."""
    return Refused(400, "InvalidRequest", reason)


def shown(text: str) -> str:
    """A part of a request for a message: short, and without characters that a log or a terminal obeys."""
    return ascii(text[:_SHOWN])[1:-1]
