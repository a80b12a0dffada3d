"""A session of the template's own, made as every other: what its processes have in their memory is what others give back.

It runs our code alone and ends before the first request is taken.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from cellblock_cell.confine import USER
from cellblock_cell.likeness import NO_LIKENESSES, Likeness, Likenesses, LikenessFile, is_exchangeable
from cellblock_cell.link import Decoder, Frame, Kind, encode
from cellblock_cell.machine_code import Exchange, exchange_equal
from cellblock_cell.pages import PAGE, Area, is_of_file, own_pages, writable_areas
from cellblock_cell.rehearsal import CALL, LINE, PANDAS_LINE

_SECONDS = 20
_REST_SECONDS = 0.05
_LOOK_SECONDS = 0.002
_READ_BYTES = 65536
_BRIDGED = 8  # pages of the template's between two others: an area of its own costs each process 0.7 kB of the kernel's memory
_POOL = 16 * 1024  # of Python's allocator for small objects (Objects/obmalloc.c)
_POOL_HEADER = struct.Struct("=IxxxxQQQIIII")
_SIZE_CLASSES, _ALIGNMENT, _OVERHEAD = 32, 16, 48
_BYTES = 64 << 20
_THREAD_BYTES = 2 * PAGE

Pages = dict[int, bytes]
"""Contents by addresses."""

Serve = Callable[[socket.socket, Likenesses], None]
"""Takes requests as the template does, until the other end is closed."""


def observe(serve: Serve, rest_seconds: float) -> Likenesses:
    """Have such a session, and keep what it had; nothing on a system where pages cannot be exchanged or the session fails.

    A child of this process is the host meanwhile: what it does to its heap is not in the sessions'.
    """
    with contextlib.suppress(OSError, ValueError):
        exchange = exchange_equal()
        if exchange is not None:
            return replace(_observed(serve, exchange), rest_seconds=rest_seconds)
    return NO_LIKENESSES


def _observed(serve: Serve, exchange: Exchange) -> Likenesses:
    file = LikenessFile(exchange)
    reader, writer = os.pipe()
    try:
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            theirs.close()
            _be_host(control, file, writer)
        os.close(writer)
        control.close()
        with theirs:
            serve(theirs, Likenesses(file.trial(), file.trial(), rest_seconds=_REST_SECONDS))
        agent, kernel = json.loads(os.read(reader, _READ_BYTES))
        file.seal()
        return Likenesses(Likeness(exchange, *agent), Likeness(exchange, *kernel))
    finally:
        os.close(reader)
        os.close(file.descriptor)


def _be_host(control: socket.socket, file: LikenessFile, rows: int) -> NoReturn:
    """Have one session to get the template going, and one that is looked at; then tell where the rows of its agent and its kernel are."""
    try:
        control.settimeout(_SECONDS)
        _session(control, file.trial_page)
        found = [file.add(pages) for pages in _session(control, file.trial_page)]
        os.write(rows, json.dumps(found).encode())
    finally:
        os._exit(0)


def _session(control: socket.socket, trial_page: int) -> tuple[Pages, Pages]:
    """The memory of its agent and its kernel when its first call is over."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            socket.send_fds(control, [_request()], [theirs.fileno()])
        data, (pidfd,), _, _ = socket.recv_fds(control, _READ_BYTES, 1)
        try:
            ours.settimeout(_SECONDS)
            _call(ours)
            return _memory(json.loads(data)["pid"], pidfd, trial_page)
        finally:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            _wait_for_end(pidfd)
            os.close(pidfd)


def _request() -> bytes:
    """As the supervisor's; this cell has the template's own id, and bounds that it does not come near."""
    cell = {
        "name": "model-session",
        "uid_map": f"{USER} 0 1\n",
        "gid_map": f"{USER} 0 1\n",
        "may_set_groups": Path("/proc/self/setgroups").read_text().strip() == "allow",
        "workspace_bytes": _BYTES,
        "tmp_bytes": _BYTES,
        "memory_bytes": _BYTES,
        "process_count": 4096,
        "open_files": 1024,
        "processors": sorted(os.sched_getaffinity(0)),
        "environment": {},
        "ports": [],
        "mounts": [],
        "writable_mounts": [],
        "network": {"rules": [], "files": {}, "environment": {}, "ports": []},
    }
    return json.dumps({"cell": cell, "descriptors": ["link"]}).encode()


def _call(link: socket.socket) -> None:
    """Make the one call when the agent has said that it is there."""
    decoder = Decoder()
    _await(link, decoder, Kind.HELLO)
    link.sendall(encode(Frame(Kind.CALL, 1, CALL | {"code": PANDAS_LINE if "pandas" in sys.modules else LINE})))
    _await(link, decoder, Kind.RESULT)


def _await(link: socket.socket, decoder: Decoder, kind: Kind) -> None:
    while data := link.recv(_READ_BYTES):
        for frame in decoder.feed(data):
            if frame.kind is kind and "error" not in frame.meta:
                return
            if frame.kind is Kind.RESULT:
                break
    raise OSError(errno.ECONNRESET, "the model session failed")


def _memory(agent_pid: int, agent_pidfd: int, trial_page: int) -> tuple[Pages, Pages]:
    """What the agent wrote to before it forked the kernel is nobody's alone while both live."""
    (kernel_pid,) = map(int, Path(f"/proc/{agent_pid}/task/{agent_pid}/children").read_text().split())
    agent, kernel = Path(f"/proc/{agent_pid}"), Path(f"/proc/{kernel_pid}")
    _wait_until(lambda: all(is_of_file(process, trial_page) and _is_asleep(process) for process in (agent, kernel)))
    signal.pidfd_send_signal(agent_pidfd, signal.SIGSTOP)
    kernels, unshared = _own(kernel), _own(agent)
    kernel_pidfd = os.pidfd_open(kernel_pid)
    try:
        signal.pidfd_send_signal(kernel_pidfd, signal.SIGKILL)
        _wait_for_end(kernel_pidfd)
    finally:
        os.close(kernel_pidfd)
    agents = _own(agent)
    shared = {address: data for address, data in agents.items() if address not in unshared}
    return _bridged(agents), _bridged(shared | kernels)


def _wait_until(is_so: Callable[[], bool]) -> None:
    limit = time.monotonic() + _SECONDS
    while not is_so():
        if time.monotonic() > limit:
            raise OSError(errno.ETIMEDOUT, "the model session does not come to rest")
        select.select([], [], [], _LOOK_SECONDS)


def _is_asleep(process: Path) -> bool:
    """Whether it waits for something (proc_pid_stat(5), the state)."""
    return (process / "stat").read_text().rpartition(") ")[2].startswith("S")


def _wait_for_end(pidfd: int) -> None:
    if not select.select([pidfd], [], [], _SECONDS)[0]:
        raise OSError(errno.ETIMEDOUT, "the model session does not end")


def _own(process: Path) -> Pages:
    """The pages that the process alone has, of memory whose every user is known: nobody there takes what was given back for zeros."""
    found: Pages = {}
    with (process / "mem").open("rb", buffering=0) as memory:
        for area in writable_areas((process / "maps").read_text()):
            if is_exchangeable(area):
                addresses = own_pages(process, area)
                known = addresses if area.name else {one for one in addresses if _is_in_pool(memory, area, one)}
                found.update((one, os.pread(memory.fileno(), PAGE, one)) for one in known)
    left_out = _around_thread_pointer()
    return {address: data for address, data in found.items() if address not in left_out}


def _is_in_pool(memory: FileIO, area: Area, address: int) -> bool:
    """Whether a pool of Python's allocator is there, by its header."""
    start = address & -_POOL
    header = os.pread(memory.fileno(), _POOL_HEADER.size, start) if start >= area.start else b""
    if len(header) < _POOL_HEADER.size:
        return False
    used, _, _, _, _, size_class, next_offset, last_offset = _POOL_HEADER.unpack(header)
    if size_class >= _SIZE_CLASSES:
        return False
    block = (size_class + 1) * _ALIGNMENT
    return bool(used <= (_POOL - _OVERHEAD) // block and last_offset == _POOL - block and _OVERHEAD < next_offset <= _POOL + block)


def _around_thread_pointer() -> range:
    """Where the kernel writes to by itself, at any time (rseq(2))."""
    current = ctypes.CDLL(None).pthread_self
    current.restype = ctypes.c_void_p
    pointer = int(current())
    return range(pointer - _THREAD_BYTES, pointer + _THREAD_BYTES)


def _bridged(pages: Pages) -> Pages:
    """With the pages of this process's own that lie between two that are near to each other."""
    between: Pages = {}
    left_out = _around_thread_pointer()
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for one, other in pairwise(sorted(pages)):
            if PAGE < other - one <= _BRIDGED * PAGE:
                gaps = (gap for gap in range(one + PAGE, other, PAGE) if gap not in left_out)
                with contextlib.suppress(OSError):  # memory that this process does not have
                    between.update((gap, os.pread(memory.fileno(), PAGE, gap)) for gap in gaps)
    return between | pages
