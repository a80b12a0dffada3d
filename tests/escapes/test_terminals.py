"""Typing into another's terminal would run commands as that user; taking all terminals would lock the operator out."""

from __future__ import annotations

from cells import BenchCell, on_host

TYPE = """
leader, follower = os.openpty()
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(follower, 0x540E, 0)
    libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p]
    os._exit(0 if libc.ioctl(follower, {request}, b"x") == 0 else ctypes.get_errno())
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print("done" if status == 0 else errno.errorcode[status])
"""
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
TAKE_ALL = """
count = 0
try:
    while count < 400:
        os.openpty()
        count += 1
except OSError:
    pass
print(count)
"""


def test_input_cannot_be_typed_into_a_terminal(cell: BenchCell, privileged: BenchCell) -> None:
    assert privileged.probe(TYPE.format(request=TIOCSTI)) == "done"
    assert cell.probe(TYPE.format(request=TIOCSTI)) == "EPERM"


def test_the_kernel_ignores_high_bits_of_a_request_and_so_does_the_filter(cell: BenchCell, privileged: BenchCell) -> None:
    assert privileged.probe(TYPE.format(request=TIOCSTI | 1 << 32)) == "done"
    assert cell.probe(TYPE.format(request=TIOCSTI | 1 << 32)) == "EPERM"
    assert cell.probe(TYPE.format(request=TIOCLINUX | 1 << 32)) == "EPERM"


def test_terminals_are_bounded(cell: BenchCell) -> None:
    assert on_host(TAKE_ALL) == "400"
    assert int(cell.probe(TAKE_ALL)) <= 256


def test_a_cell_has_no_terminal_of_the_host(cell: BenchCell) -> None:
    assert cell.probe("print(attempt(open, '/dev/tty'))") == "ENXIO"
    assert cell.probe("print(attempt(open, '/dev/console'))") == "ENOENT"
