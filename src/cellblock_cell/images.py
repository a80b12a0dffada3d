"""The pictures of one run, on their way from a kernel that is not trusted to the host."""

from __future__ import annotations

from cellblock_cell.channel import HostLink
from cellblock_cell.link import Frame, Kind, LinkError

LIMIT_BYTES = 8 * 1024 * 1024  # of all pictures of one run
COUNT_LIMIT = 100
MIME_TYPES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif", "image/webp")


class Images:
    """Passes whole images on as long as they fit, numbered from 0, and counts the others."""

    def __init__(self, link: HostLink, call: int) -> None:
        self._link = link
        self._call = call
        self._left_bytes = LIMIT_BYTES
        self._kept = 0
        self._dropped = 0
        self._number = -1  # the kernel's number of the image whose pieces are coming
        self._missing_bytes = 0
        self._mime_type = ""

    @property
    def note(self) -> str:
        """What the user should know, or nothing."""
        if not self._dropped:
            return ""
        return f"{self._dropped} image(s) not returned: a run returns at most {COUNT_LIMIT} images of {LIMIT_BYTES} bytes in all."

    def take(self, frame: Frame) -> None:
        """One piece of an image; raises LinkError when it is not what it says."""
        number, mime_type, size = frame.meta.get("image"), frame.meta.get("mimeType"), frame.meta.get("size")
        if not isinstance(number, int) or not isinstance(size, int) or not isinstance(mime_type, str) or mime_type not in MIME_TYPES:
            raise LinkError("a frame that describes no image")
        if number != self._number:
            self._begin(number, mime_type, size)
        if len(frame.body) > self._missing_bytes:
            raise LinkError("an image that is larger than it said")
        self._missing_bytes -= len(frame.body)
        if self._mime_type:
            meta: dict[str, str | int] = {"image": self._kept - 1, "mimeType": self._mime_type}
            self._link.send(Frame(Kind.DATA, self._call, {**meta}, frame.body))

    def _begin(self, number: int, mime_type: str, size: int) -> None:
        if self._missing_bytes:
            raise LinkError("an image that is smaller than it said")
        self._number = number
        self._missing_bytes = size
        if 0 < size <= self._left_bytes and self._kept < COUNT_LIMIT:
            self._left_bytes -= size
            self._kept += 1
            self._mime_type = mime_type
        else:
            self._dropped += 1
            self._mime_type = ""
