"""How much freed memory the C library keeps for the next piece of a large body, and does not give back to fault it in anew."""

from __future__ import annotations

import contextlib
import ctypes

SEPARATE_BYTES = 32 * 1024 * 1024  # from here on memory is mapped for itself, and goes back whole; answers with files are below
KEPT_BYTES = 2 * SEPARATE_BYTES  # at the end of a heap: glibc comes to the same two by itself, after it has freed something as large
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_some() -> None:
    """For this process; a C library without mallopt(3) keeps its ways."""
    with contextlib.suppress(AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(_M_MMAP_THRESHOLD, SEPARATE_BYTES)
