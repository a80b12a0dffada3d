"""What the kernel counts for the maker of a user namespace, or for the whole machine, one cell could take from the host and all others."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from cells import Bench, BenchCell, Weakened, number_of, on_host

NOTIFIERS = """
count = 0
while count < {most} and libc.inotify_init1(0o2000000) >= 0:
    count += 1
print(count)
"""
TIMERS = """
count, timer = 0, ctypes.c_void_p()
while count < {most} and libc.timer_create(1, None, ctypes.byref(timer)) == 0:
    count += 1
print(count)
"""
REQUESTS = "context = ctypes.c_ulong(0); print(call({number}, 1, ctypes.byref(context)))"
NOTIFIERS_A_CELL, TIMERS_A_CELL = 16, 1024
CELLS = 9  # whose notifiers together are more than the 128 that most hosts allow a user


def test_watching_files_is_bounded(cell: BenchCell) -> None:
    assert int(on_host(NOTIFIERS.format(most=NOTIFIERS_A_CELL + 1))) == NOTIFIERS_A_CELL + 1
    assert int(cell.probe(NOTIFIERS.format(most=10_000))) <= NOTIFIERS_A_CELL


@pytest.mark.root
def test_all_cells_together_leave_the_host_its_notifiers(strong: Bench) -> None:
    with ExitStack() as opened:
        for _ in range(CELLS):
            opened.enter_context(strong.cell()).probe(NOTIFIERS.format(most=10_000))
        assert on_host(NOTIFIERS.format(most=1)) == "1"


def test_timers_and_queued_signals_are_bounded(cell: BenchCell, weakened: Weakened) -> None:
    probe = TIMERS.format(most=2 * TIMERS_A_CELL)
    with weakened(without=("set_limits",)).cell() as weak:
        assert int(weak.probe(probe)) == 2 * TIMERS_A_CELL
    assert int(cell.probe(probe)) <= TIMERS_A_CELL


def test_asynchronous_requests_of_the_machine_cannot_be_reserved(cell: BenchCell, unfiltered: BenchCell) -> None:
    probe = REQUESTS.format(number=number_of("io_setup"))
    if unfiltered.probe(probe) == "ENOSYS":
        pytest.skip("needs a kernel with asynchronous requests (CONFIG_AIO)")
    assert unfiltered.probe(probe) in ("done", "EAGAIN")
    assert cell.probe(probe) == "EPERM"
