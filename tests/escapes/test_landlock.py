"""Landlock is a second fence: it holds where a mistake in the mount table, a capability or the filter would let code through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cells import BenchCell, Weakened

PRESENT = "print(call(444, 0, 0, 1))"  # landlock_create_ruleset, asked for its version
MOUNT = "place = tempfile.mkdtemp().encode(); print(word(libc.mount(b'none', place, b'tmpfs', 0, None)))"
OPEN_ROOT = "print(attempt(lambda: os.close(os.open('/planted', os.O_CREAT | os.O_WRONLY))))"
UNLOCK = "libc.mount(b'none', b'/', None, 4096 | 32 | 2 | 4, None); " + OPEN_ROOT
WRITE_INSIDE = "print(attempt(lambda: open('/workspace/file', 'w').close()), attempt(lambda: open('/tmp/file', 'w').close()))"


@pytest.fixture
def fenced(weakened: Weakened) -> Iterator[BenchCell]:
    """A cell that keeps its namespace's capabilities and has no filter, and so Landlock alone."""
    with weakened(without=("give_up_rights", "filter_system_calls")).cell() as cell:
        yield cell


@pytest.fixture(autouse=True)
def kernel_with_landlock(unfiltered: BenchCell) -> None:
    if unfiltered.probe(PRESENT) != "done":
        pytest.skip("needs a kernel with Landlock: 5.13, and `landlock` among its modules (CONFIG_LSM)")


def test_nothing_can_be_mounted_even_with_every_capability(fenced: BenchCell, privileged: BenchCell) -> None:
    assert privileged.probe(MOUNT) == "done"
    assert fenced.probe(MOUNT) == "EPERM"


def test_only_the_promised_places_can_be_written(fenced: BenchCell, cell: BenchCell) -> None:
    assert fenced.probe(OPEN_ROOT) in ("EACCES", "EROFS")
    assert fenced.probe(UNLOCK) in ("EACCES", "EROFS")
    assert fenced.probe(WRITE_INSIDE) == "done done"
    assert cell.probe(WRITE_INSIDE) == "done done"
