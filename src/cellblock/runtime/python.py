"""Choose the interpreter of the host that a runtime builds on."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from cellblock.errors import HostNotReady
from cellblock.runtime.layout import BasePython

OLDEST = (3, 11)
SYSTEM_PYTHON = "/usr/bin/python3"

# Modules that distributions leave out or that a build from source lacks when a header file was missing.
PROBE = """
import bz2, ctypes, json, lzma, sqlite3, ssl, sys, venv, zlib
version = ".".join(map(str, sys.version_info[:3]))
print(json.dumps([sys._base_executable or sys.executable, sys.base_prefix, version]))
"""


def choose(wanted: str, *, for_other_users: bool) -> BasePython:
    """The interpreter that the operator wants, else the system's, else the one that runs cellblock.

    `for_other_users`: cells run as a user other than this one (the host runs as root), who must be able to read it.
    """
    if wanted:
        return _must_be_readable(_probe(wanted), for_other_users=for_other_users)
    try:
        return _must_be_readable(_probe(SYSTEM_PYTHON), for_other_users=for_other_users)
    except HostNotReady as error:
        reason = error.message
    try:
        return _must_be_readable(_probe(sys.executable), for_other_users=for_other_users)
    except HostNotReady as error:
        advice = "install python3 (3.11 or newer) with the system's packages, or name one in CELLBLOCK_RUNTIME_PYTHON"
        raise HostNotReady(f"no interpreter for the runtime: {reason}; {error.message}; {advice}") from error


def _probe(command: str) -> BasePython:
    executable = shutil.which(command)
    if executable is None:
        raise HostNotReady(f"{command} is not there or cannot be run")
    try:
        # -I: neither the caller's environment nor the current directory may change the answer
        done = subprocess.run([executable, "-I", "-c", PROBE], capture_output=True, text=True, timeout=60, check=True)
        path, prefix, version = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        raise HostNotReady(f"{command} has no complete standard library: {error.stderr.strip().splitlines()[-1:]}") from error
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise HostNotReady(f"{command} does not work as a Python interpreter: {error}") from error
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise HostNotReady(f"{command} is Python {version}, older than 3.11")
    return BasePython(executable=Path(path).resolve(), prefix=Path(prefix).resolve(), version=version)


def _must_be_readable(base: BasePython, *, for_other_users: bool) -> BasePython:
    if not for_other_users:
        return base
    library = base.prefix / "lib" / f"python{base.short_version}" / "os.py"
    for path in (base.executable, library):
        closed = _closed_to_others(path)
        if closed is not None:
            raise HostNotReady(f"{base.executable} cannot be read by the users of the cells: {closed} is closed to them")
    return base


def _closed_to_others(path: Path) -> Path | None:
    """The first part of the path that only its owner or group may enter or read."""
    for part in reversed(path.parents):
        if not os.stat(part).st_mode & stat.S_IXOTH:
            return part
    return None if os.stat(path).st_mode & stat.S_IROTH else path
