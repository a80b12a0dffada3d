"""Fills the holes in the template's heap: what a cell allocates then lies together on new pages, not in copies of many old ones."""

from __future__ import annotations

import ctypes
import sys

_POOL_BYTES = 16 * 1024  # of Python's allocator for small objects, which keeps pools for each size (Objects/obmalloc.c)
_SMALL_SIZES = range(16, 513, 16)
_OURS = 4  # blocks of a new pool that this very code may hold: the block itself, a number, ctypes' objects
_MOST = 100_000  # blocks of a size; a template with all libraries has some thousand free ones
_KNOWN_LAYOUT = ((3, 10), (3, 13))  # versions whose pools begin with the number of blocks in use
_LARGE_SIZES = (*range(65536, 4096, -4096), *range(4096, 512, -256), *range(512, 16, -16))


class _Mallinfo(ctypes.Structure):
    """struct mallinfo2 (mallinfo(3))."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks")]
    _fields_ += [("fordblks", ctypes.c_size_t), ("keepcost", ctypes.c_size_t)]


def fill() -> tuple[int, int]:
    """Take for good what is free between blocks in use; how many blocks of Python's allocator, and of the C library's, that were."""
    return _fill_pools(), _fill_heap()


def _fill_pools() -> int:
    """Of each size, until the allocator opens a pool that was empty."""
    if not _KNOWN_LAYOUT[0] <= sys.version_info[:2] <= _KNOWN_LAYOUT[1]:
        return 0
    allocate, free = ctypes.pythonapi.PyObject_Malloc, ctypes.pythonapi.PyObject_Free
    allocate.restype, allocate.argtypes, free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
    taken = 0
    for size in _SMALL_SIZES:
        for _ in range(_MOST):
            block = allocate(size)
            if ctypes.c_uint32.from_address(block & -_POOL_BYTES).value <= _OURS:
                free(block)
                break
            taken += 1
    return taken


def _fill_heap() -> int:
    """Of each size, from large to small, until the C library takes it from the unused end of the heap."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):  # before glibc 2.33
        return 0
    libc.mallinfo2.restype, libc.sbrk.restype, libc.malloc.restype = _Mallinfo, ctypes.c_void_p, ctypes.c_void_p
    libc.sbrk.argtypes, libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_long], [ctypes.c_size_t], [ctypes.c_void_p]
    top = libc.sbrk(0) - libc.mallinfo2().keepcost
    taken = 0
    for size in _LARGE_SIZES:
        for _ in range(_MOST):
            block = libc.malloc(size)
            if block >= top:
                libc.free(block)
                break
            taken += 1
    return taken
