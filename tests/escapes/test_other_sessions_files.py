"""What one session leaves in a shared place another could read, or replace under its feet."""

from __future__ import annotations

import pytest

from cells import Bench, on_host

WRITE = "open('{path}', 'w').write('secret'); print('written')"
SEE = "print(os.path.exists('{path}'))"
PLACES = ("/tmp/escape-probe", "/dev/shm/escape-probe", "/home/cell/escape-probe", "/workspace/escape-probe", "/opt/cellblock/runtime/x")
MEMORY = "print(libc.shmget(ctypes.c_int(0x5ec), ctypes.c_size_t(4096), {flags}) >= 0)"
CREATE, EXISTING = 0o1600, 0


@pytest.mark.parametrize("path", PLACES)
def test_files_are_seen_by_their_own_session_only(strong: Bench, path: str) -> None:
    with strong.cell() as one, strong.cell() as other:
        assert one.probe(WRITE.format(path=path)) == "written"
        assert one.shell(f"cat {path}") == "secret"
        assert other.probe(SEE.format(path=path)) == "False"
        assert on_host(SEE.format(path=path)) == "False"


def test_files_of_the_hosts_tmp_are_not_to_be_seen(strong: Bench) -> None:
    on_host(WRITE.format(path="/tmp/host-probe"))
    try:
        assert on_host(SEE.format(path="/tmp/host-probe")) == "True"
        with strong.cell() as cell:
            assert cell.probe(SEE.format(path="/tmp/host-probe")) == "False"
    finally:
        on_host("os.remove('/tmp/host-probe')")


def test_shared_memory_of_system_v_is_the_sessions_own(strong: Bench) -> None:
    is_allowed = str(strong.node.group_kind != "none")  # sampling does not see such memory, so there is none of it then
    with strong.cell() as one, strong.cell() as other:
        assert one.probe(MEMORY.format(flags=CREATE)) == is_allowed
        assert one.probe(MEMORY.format(flags=EXISTING)) == is_allowed
        assert other.probe(MEMORY.format(flags=EXISTING)) == "False"
        assert on_host(MEMORY.format(flags=EXISTING)) == "False"


def test_nothing_of_a_session_is_left_for_the_next_one(strong: Bench) -> None:
    with strong.cell() as first:
        for path in PLACES:
            first.probe(WRITE.format(path=path))
    with strong.cell() as later:
        assert {later.probe(SEE.format(path=path)) for path in PLACES} == {"False"}
