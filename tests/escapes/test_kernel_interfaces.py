"""Interfaces that hand the kernel programs, pages or rings were the way into it again and again; some name kernel memory."""

from __future__ import annotations

import pytest

from cells import BenchCell, number_of

RING = "print(call({number}, 1, bytes(120)))"
FAULTS = "print(call({number}, 1))"  # UFFD_USER_MODE_ONLY
PROGRAM = "print(call({number}, 0, struct.pack('IIIII', 1, 4, 4, 1, 0) + bytes(100), 72))"  # BPF_MAP_CREATE
MEASURE = "print(call({number}, struct.pack('IIQ', 1, 128, 1) + bytes(24) + struct.pack('Q', 0x61) + bytes(80), 0, -1, -1, 0))"
SECRET = "print(call({number}, 0))"
NOTIFY = "print(call({number}, 0x200, 0))"  # FAN_REPORT_FID
HANDLE = "print(call({number}, -100, b'/', struct.pack('I', 128) + bytes(132), bytes(8), 0))"
NODE = "print(call({number}, 0, 0, 0))"  # default placement
TIME = "now = __import__('time').clock_gettime(0); print(call({number}, 0, struct.pack('ll', int(now), 0)))"
NAME = "print(call({number}, b'evil', 4))"


@pytest.mark.parametrize(
    ("name", "probe"),
    [
        ("io_uring_setup", RING),
        ("userfaultfd", FAULTS),
        ("memfd_secret", SECRET),
        ("fanotify_init", NOTIFY),
        ("name_to_handle_at", HANDLE),
        ("set_mempolicy", NODE),
    ],
)
def test_interfaces_open_to_every_user_are_closed(cell: BenchCell, unfiltered: BenchCell, name: str, probe: str) -> None:
    code = probe.format(number=number_of(name))
    without = unfiltered.probe(code)
    if without in ("ENOSYS", "EPERM"):
        pytest.skip(f"needs a kernel that offers {name} to ordinary users")
    assert without in ("done", "EOVERFLOW", "EOPNOTSUPP")
    assert cell.probe(code) == "EPERM"


@pytest.mark.parametrize(
    ("name", "probe"), [("bpf", PROGRAM), ("perf_event_open", MEASURE), ("clock_settime", TIME), ("io_uring_enter", FAULTS)]
)
def test_interfaces_closed_by_most_hosts_are_closed_here_too(cell: BenchCell, name: str, probe: str) -> None:
    assert cell.probe(probe.format(number=number_of(name))) == "EPERM"


def test_the_host_name_cannot_be_set(cell: BenchCell, privileged: BenchCell) -> None:
    probe = NAME.format(number=number_of("sethostname"))
    assert privileged.probe(probe) == "done"
    assert cell.probe(probe) == "EPERM"


def test_system_calls_that_nobody_reviewed_are_absent(cell: BenchCell) -> None:
    assert {cell.probe(f"print(call({number}))") for number in (470, 500, 1000)} == {"ENOSYS"}
