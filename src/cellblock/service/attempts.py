"""Which of its attempts at a request a client makes, as the AWS SDKs say it in a header."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cellblock.wire.head import Head

HEADER = "amz-sdk-request"
LONGEST_RETRY_SECONDS = 8.5


@dataclass(frozen=True, slots=True)
class Attempt:
    """The number of this attempt, and of the one that will be the last."""

    number: int
    last: int

    @classmethod
    def read(cls, head: Head) -> Attempt:
        """From the header that SDKs send; the only attempt, when there is none."""
        return _read(head.headers.get(HEADER, ""))

    @property
    def retry_seconds(self) -> float:
        """How long after a lost connection it may come again: an SDK waits up to 2 ** (attempt - 1) seconds before the next."""
        return min(2.0 ** (self.number - 1) + 0.5, LONGEST_RETRY_SECONDS) if 0 < self.number < self.last else 0.0

    @property
    def urgency(self) -> float:
        """From 0 for the first attempt to 1 for the last of several."""
        return min(1.0, max(0.0, (self.number - 1) / (self.last - 1))) if self.last > 1 else 0.0


ONLY = Attempt(1, 1)


@lru_cache(maxsize=16)
def _read(header: str) -> Attempt:
    """Kept, because nearly all requests say the same."""
    parts = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    number, last = parts.get("attempt", ""), parts.get("max", "")
    if not (number.isdecimal() and last.isdecimal() and len(number) < 4 and len(last) < 4):
        return ONLY
    return Attempt(int(number), int(last))
