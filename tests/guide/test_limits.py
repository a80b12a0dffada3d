"""The guide's table of limits, each at its bound and beyond it, on a server as it is out of the box."""

from __future__ import annotations

from pathlib import Path

import pytest

from running_server import BUILT_IN, RunningServer, ServedSession, file_of, refused, serving, texts

MB = 1024 * 1024


def test_session_timeout_is_15_minutes_by_default(session: ServedSession) -> None:
    assert session.get()["sessionTimeoutSeconds"] == 900


def test_session_timeout_is_at_most_8_hours(server: RunningServer) -> None:
    with server.session(sessionTimeoutSeconds=28_800) as session:
        assert session.get()["sessionTimeoutSeconds"] == 28_800
    error = refused(server.data.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, sessionTimeoutSeconds=28_801)
    assert [field["name"] for field in error["fieldList"]] == ["sessionTimeoutSeconds"]


@pytest.mark.slow
def test_inline_file_size_is_at_most_100_mb(session: ServedSession) -> None:
    assert session.invoke("writeFiles", content=[file_of("big.bin", bytes(100_000_000))])["isError"] is False
    error = session.refused("writeFiles", content=[file_of("bigger.bin", bytes(100 * MB + 1))])
    assert error["Error"]["Code"] == "ValidationException"


def test_concurrent_sessions_are_at_most_10(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        sessions = [server.start() for _ in range(10)]
        assert len({session.id for session in sessions}) == 10
        with pytest.raises(server.data.exceptions.ServiceQuotaExceededException):
            server.start()


def test_concurrent_sessions_are_adjustable(tmp_path: Path) -> None:
    with serving(tmp_path / "data", max_sessions=2) as server:
        for _ in range(2):
            server.start()
        with pytest.raises(server.data.exceptions.ServiceQuotaExceededException, match="2"):
            server.start()


@pytest.mark.root
def test_memory_of_a_session_is_512_mb_by_default(session: ServedSession) -> None:
    assert session.printed("block = b'x' * (256 << 20); print(len(block)); del block") == str(256 * MB)
    result = session.run("block = b'x' * (600 << 20)")
    assert result["isError"] is True
    assert "memory" in " ".join(texts(result)).lower()


@pytest.mark.root
def test_memory_of_a_session_is_a_setting_up_to_4_gb(tmp_path: Path) -> None:
    with serving(tmp_path / "data", memory_mb=4096) as server, server.session() as session:
        assert session.printed("block = b'x' * (700 << 20); print(len(block) >> 20)") == "700"


@pytest.mark.parametrize(("length", "is_accepted"), [(255, True), (256, False)])
def test_file_path_has_at_most_255_characters(session: ServedSession, length: int, is_accepted: bool) -> None:
    path = "d" * 100 + "/" + "f" * (length - 101)
    if is_accepted:
        assert session.invoke("writeFiles", content=[file_of(path, "x")])["isError"] is False
    else:
        assert "255" in session.refused("writeFiles", content=[file_of(path, "x")])["Error"]["Message"]


@pytest.mark.parametrize(("size", "is_accepted"), [(100 * 1024, True), (100 * 1024 + 1, False)])
def test_code_has_at_most_100_kb(session: ServedSession, size: int, is_accepted: bool) -> None:
    code = "print('ran')".ljust(size, "#")
    if is_accepted:
        assert session.printed(code) == "ran"
    else:
        assert str(100 * 1024) in session.refused("executeCode", language="python", code=code)["Error"]["Message"]
