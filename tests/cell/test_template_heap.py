"""What the template does to its heap before cells are forked from it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from cell.conftest import SOURCE

_POOLS_TOUCHED = """
import json
from cellblock_cell import holes

def pools(objects):
    return len({id(item) >> 14 for item in objects})

kept = [bytes(100) for _ in range(40_000)]
del kept[::20]
before = [bytes(100) for _ in range(1000)]
pools_before = pools(before)
del before
holes.fill()
print(json.dumps([pools_before, pools([bytes(100) for _ in range(1000)])]))
"""
_REHEARSAL = """
import json, os, signal, sys
from cellblock_cell import rehearsal
from cellblock_cell.kernels import python
from cellblock_cell.kernels.python_shell import CellShell

def state():
    shell = CellShell.instance()
    names = sorted(name for name in shell.user_ns if not name.startswith("_"))
    handlers = [str(signal.getsignal(number)) for number in signal.valid_signals()]
    mask = os.umask(0o22)
    os.umask(mask)
    return [names, shell.execution_count, handlers, mask, os.getcwd(), sorted(os.listdir("/proc/self/fd")), sys.stdout is sys.__stdout__]

os.chdir("/")
python.prepare()
before = state()
rehearsal.rehearse({"PATH": os.environ["PATH"]})
children = os.path.exists("/proc/self/task/%d/children" % os.getpid()) and open("/proc/self/task/%d/children" % os.getpid()).read().split()
print("\\n" + json.dumps({"before": before, "after": state(), "children": children or []}))
"""


def _run(python: str, code: str, home: Path) -> Any:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "HOME": str(home), "LANG": "C.UTF-8"}
    done = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_new_objects_lie_together_once_the_holes_are_filled(runtime_python: str, tmp_path: Path) -> None:
    scattered, together = _run(runtime_python, _POOLS_TOUCHED, tmp_path)
    assert scattered > 100
    assert together < 20


def test_a_rehearsal_leaves_the_process_as_it_was(runtime_python: str, tmp_path: Path) -> None:
    found = _run(runtime_python, _REHEARSAL, tmp_path)
    assert found["after"] == found["before"]
    assert found["children"] == []
