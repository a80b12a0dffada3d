"""Pages that are exchanged for equal ones of a sealed file, in a process of the runtime's Python."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cell.conftest import SOURCE

_HEAD = """
import ctypes, errno, json, mmap, os, random, resource, sys, threading
from cellblock_cell import linux
from cellblock_cell.likeness import Likeness, LikenessFile
from cellblock_cell.machine_code import exchange_equal
from cellblock_cell.pages import PAGE, OwnMemory

exchange = exchange_equal()
if exchange is None:
    print(json.dumps("not here"))
    sys.exit()
COUNT = 300
file = LikenessFile(exchange)
start = linux.map_memory(COUNT * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory = (ctypes.c_char * (COUNT * PAGE)).from_address(start)
chance = random.Random(7)
pages = [chance.randbytes(PAGE) for _ in range(COUNT)]
listed = {start + number * PAGE: page for number, page in enumerate(pages) if number % 50}

def fill():
    memory.raw = b"".join(page if chance.random() < 0.8 else chance.randbytes(PAGE) for page in pages)
    return bytes(memory.raw)

def own():
    with open("/proc/self/pagemap", "rb") as table:
        table.seek(start // PAGE * 8)
        return sum(1 for _ in range(COUNT) if int.from_bytes(table.read(8), sys.byteorder) >> 61 & 5 == 4)

def give_back():
    with OwnMemory() as tables:
        return likeness.give_back(tables)

address, count = file.add(listed)
"""
_ROUNDS = """
file.seal()
os.close(file.descriptor)
likeness = Likeness(exchange, address, count)
rounds = []
for _ in range(20):
    before = fill()
    done = give_back()
    left = own()
    same = memory.raw == before
    for number in chance.sample(range(COUNT), 40):
        memory[number * PAGE + chance.randrange(PAGE)] = bytes([chance.randrange(256)])
    changed = bytes(memory.raw)
    again = give_back()
    rounds.append([same, memory.raw == changed, done > 0, left < COUNT / 2])
print(json.dumps(rounds))
"""
_LEFT_ALONE = """
file.seal()
likeness = Likeness(exchange, address, count)
fill()
ended = threading.Event()
thread = threading.Thread(target=ended.wait)
thread.start()
found = {"thread": give_back()}
ended.set()
thread.join()
while len(os.listdir("/proc/self/task")) > 1:  # its end is told before the kernel has seen it
    pass
linux._libc.mlock(ctypes.c_void_p(start), ctypes.c_size_t(PAGE))
found["locked memory"] = give_back()
linux._libc.munlock(ctypes.c_void_p(start), ctypes.c_size_t(PAGE))
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (1 << 40, hard))
found["bounded addresses"] = give_back()
resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
linux.protect_memory(start + 10 * PAGE, PAGE, mmap.PROT_READ)
linux.unmap_memory(start + 210 * PAGE, PAGE)
found["holes"] = [give_back() > 0, own() >= 98]
linux.protect_memory(start + 10 * PAGE, PAGE, mmap.PROT_READ | mmap.PROT_WRITE)
print(json.dumps(found))
"""
_DISTURBED = """
import gc, signal
file.seal()
likeness = Likeness(exchange, address, count)
memory.raw = b"".join(pages)
found = {}

def unmap(number):
    linux.unmap_memory(start + number * PAGE, 3 * PAGE)

class Garbage:
    def __del__(self):
        found["finalizer"] = "ran"
        unmap(75)

def handler(number, frame):
    found["handler"] = "ran"
    unmap(175)
    raise ValueError

class Tables(OwnMemory):
    def maps(self):
        text = super().maps()
        signal.raise_signal(signal.SIGUSR1)
        held = [[] for _ in range(5000)]
        return text

signal.signal(signal.SIGUSR1, handler)
garbage = Garbage()
garbage.itself = garbage
del garbage
with Tables() as tables:
    try:
        found["bytes"] = likeness.give_back(tables)
    except ValueError:
        found["raised"] = "later"
found["garbage"] = gc.isenabled()
gc.collect()
found["blocked"] = len(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
found["left"] = own() < COUNT / 2
print(json.dumps(found))
"""
_NOT_THERE = """
file.seal()
likeness = Likeness(exchange, address, count)
memory.raw = b"".join(pages)

class Tables(OwnMemory):
    def maps(self):
        text = super().maps()
        linux.unmap_memory(start + 75 * PAGE, 3 * PAGE)
        return text

with Tables() as tables:
    print(json.dumps(likeness.give_back(tables) // PAGE))
"""
_BRIDGED = """
from cellblock_cell import model_session
libc = ctypes.CDLL(None)
libc.pthread_self.restype = ctypes.c_void_p
page = libc.pthread_self() // PAGE * PAGE
print(json.dumps([page in model_session._bridged({page - PAGE: b"", page + reach * PAGE: b""}) for reach in (1, 4)]))
"""
_SEALED = """
def refusal(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def write():
    os.pwrite(file.descriptor, b"other", 2 * PAGE)

def map_to_write():
    mmap.mmap(file.descriptor, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE).close()

def seen():
    with open("/proc/self/mem", "rb") as view:
        view.seek(address - (len(listed) - 1) * PAGE)
        return view.read(5) == b"other"

acts = [write, map_to_write, lambda: os.ftruncate(file.descriptor, 0), lambda: os.ftruncate(file.descriptor, 1 << 30)][:2]
before = [refusal(act) for act in acts] + [seen()]
file.seal()
acts += [lambda: os.ftruncate(file.descriptor, 0), lambda: os.ftruncate(file.descriptor, 1 << 30)]
print(json.dumps([before, [refusal(act) for act in acts]]))
"""


def _run(python: str, code: str, home: Path) -> Any:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "HOME": str(home), "LANG": "C.UTF-8"}
    done = subprocess.run([python, "-c", _HEAD + code], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if found == "not here":
        pytest.skip("needs an x86_64 processor: memory is given back on no other")
    return found


def test_memory_is_what_it_was_after_every_exchange(runtime_python: str, tmp_path: Path) -> None:
    assert _run(runtime_python, _ROUNDS, tmp_path) == [[True, True, True, True]] * 20


def test_what_may_be_written_to_meanwhile_or_is_not_ours_is_left_alone(runtime_python: str, tmp_path: Path) -> None:
    found = _run(runtime_python, _LEFT_ALONE, tmp_path)
    assert found == {"thread": 0, "locked memory": 0, "bounded addresses": 0, "holes": [True, True]}


def test_a_finalizer_and_a_handler_of_a_signal_wait_until_the_exchange_is_over(runtime_python: str, tmp_path: Path) -> None:
    """Either may be the user's, and free memory between the look at what is mapped and the exchange."""
    found = _run(runtime_python, _DISTURBED, tmp_path)
    assert found == {"raised": "later", "handler": "ran", "finalizer": "ran", "garbage": True, "blocked": 0, "left": True}


def test_memory_that_is_not_there_is_never_read(runtime_python: str, tmp_path: Path) -> None:
    assert _run(runtime_python, _NOT_THERE, tmp_path) == 300 - 6 - 3


def test_what_the_kernel_writes_to_by_itself_is_never_compared(runtime_python: str, tmp_path: Path) -> None:
    assert _run(runtime_python, _BRIDGED, tmp_path) == [False, False]


def test_the_file_can_be_changed_before_it_is_sealed_and_not_afterwards(runtime_python: str, tmp_path: Path) -> None:
    before, after = _run(runtime_python, _SEALED, tmp_path)
    assert before == ["done", "done", True]
    assert after == ["EPERM"] * 4
