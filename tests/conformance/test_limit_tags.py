"""Limits that an interpreter's tags give to its sessions, within the operator's maxima."""

from __future__ import annotations

from uuid import uuid4

import pytest

from running_server import BUILT_IN, Json, RunningServer, ServedSession, refused

SANDBOX = {"networkMode": "SANDBOX"}
COUNT = """
import os, signal
children = []
try:
    while len(children) < 600:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except OSError:
    pass
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
print(len(children))
"""
SIZE = "import os; found = os.statvfs('.'); print(found.f_blocks * found.f_frsize >> 20)"
EAT = "import signal; data = bytearray(b'x') * (400 << 20); signal.pause()"


def session_with(server: RunningServer, **limits: str) -> ServedSession:
    """A session of an interpreter with these limits; the caller ends it."""
    tags = {f"cellblock:{name.replace('_', '-')}": value for name, value in limits.items()}
    return server.start(server.create(f"tags_{uuid4().hex[:12]}", tags=tags)["codeInterpreterId"])


def refused_with(server: RunningServer, **tags: str) -> Json:
    named = {f"cellblock:{name.replace('_', '-')}": value for name, value in tags.items()}
    return refused(server.control.create_code_interpreter, name=f"tags_{uuid4().hex[:12]}", networkConfiguration=SANDBOX, tags=named)


def test_workspace_has_the_size_of_the_tag(server: RunningServer) -> None:
    session = session_with(server, disk_mb="40")
    assert session.printed(SIZE) == "40"
    session.end()


def test_processes_are_bounded_by_the_tag(server: RunningServer) -> None:
    session = session_with(server, pids="32")
    assert int(session.printed(COUNT)) < 32
    session.end()


def test_memory_is_bounded_by_the_tag_and_the_death_names_the_limit(server: RunningServer) -> None:
    session = session_with(server, memory_mb="200")
    result = session.run(EAT)
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 137)
    assert "memory limit of 200 MB" in result["structuredContent"]["stderr"]
    session.end()


def test_sessions_of_other_interpreters_keep_the_defaults(server: RunningServer) -> None:
    small = session_with(server, disk_mb="40")
    with server.session() as usual:
        assert usual.interpreter == BUILT_IN
        assert usual.printed(SIZE) == "384"
    small.end()


def test_other_tags_are_nobodys_business(server: RunningServer) -> None:
    made = server.create(f"tags_{uuid4().hex[:12]}", tags={"team": "cellblock:memory", "cost": "none"})
    server.start(made["codeInterpreterId"]).end()


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("memory_mb", "4097", "4096 MB is the most"),
        ("memory_mb", "63", "64 MB is the least"),
        ("memory_mb", "much", "is not a whole number"),
        ("memory_mb", "512.5", "is not a whole number"),
        ("cpus", "4.5", "4 CPUs is the most"),
        ("cpus", "0", "0.1 CPUs is the least"),
        ("pids", "1025", "1024 processes is the most"),
        ("disk_mb", "", "is not a whole number"),
        ("memory", "512", "is no limit"),
    ],
)
def test_bad_limit_is_refused_at_creation_and_named(server: RunningServer, tag: str, value: str, said: str) -> None:
    error = refused_with(server, **{tag: value})
    assert error["Error"]["Code"] == "ValidationException"
    assert said in error["Error"]["Message"]
    assert f"tags.cellblock:{tag.replace('_', '-')}" in error["Error"]["Message"]


def test_refused_maximum_names_the_setting_that_raises_it(server: RunningServer) -> None:
    assert "CELLBLOCK_MAX_MEMORY_MB" in refused_with(server, memory_mb="5000")["Error"]["Message"]
