"""In a user namespace of its own the code would have every capability, and with it most of the kernel's attack surface."""

from __future__ import annotations

import pytest

from cells import BenchCell, number_of

CHILD = """
child = os.fork()
if child == 0:
    {}
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print("done" if status == 0 else errno.errorcode[status])
"""
UNSHARE = CHILD.format("os._exit(0 if libc.unshare({flag}) == 0 else ctypes.get_errno())")
CLONE = """
child = libc.syscall(ctypes.c_long({number}), ctypes.c_long({flag} | 17), None, None, None, None)
if child == 0:
    os._exit(0)
print("done" if child > 0 and os.waitpid(child, 0) else errno.errorcode[ctypes.get_errno()])
"""
CLONE3 = "print(call(435, struct.pack('11Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0), 88))"
FLAGS = {"user": 0x10000000, "user and mount": 0x10020000, "user and network": 0x50000000}
ENTER = "print(word(libc.setns(os.open('/proc/self/ns/{name}', os.O_RDONLY), 0)))"


@pytest.mark.parametrize("flag", FLAGS.values(), ids=FLAGS)
def test_no_namespace_can_be_made(cell: BenchCell, unfiltered: BenchCell, flag: int) -> None:
    for probe in (UNSHARE.format(flag=flag), CLONE.format(flag=flag, number=number_of("clone"))):
        assert unfiltered.probe(probe) == "done"
        assert cell.probe(probe) == "EPERM"


def test_the_newer_clone_whose_flags_no_filter_can_read_is_absent(cell: BenchCell) -> None:
    assert cell.probe(CLONE3) == "ENOSYS"


def test_the_program_unshare_fails_in_a_cell(cell: BenchCell, unfiltered: BenchCell) -> None:
    assert unfiltered.command("unshare --user true").exit_code == 0
    assert cell.command("unshare --user true").exit_code != 0


def test_namespaces_cannot_be_entered(cell: BenchCell, privileged: BenchCell) -> None:
    assert privileged.probe(ENTER.format(name="net")) == "done"
    assert cell.probe(ENTER.format(name="net")) == "EPERM"
