"""Files by `cellblock.client`: written, read, sent and fetched as streams, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cellblock.client import RunFailed, ServiceError, Session

BYTES = bytes(range(256)) * 1000


def test_text_and_bytes_are_written_and_read(session: Session) -> None:
    session.write("a/b.txt", "häßlich\n")
    session.write("ä ß.bin", BYTES)
    assert (session.read_text("a/b.txt"), session.read("ä ß.bin")) == ("häßlich\n", BYTES)
    assert [(entry.name, entry.is_directory, entry.size) for entry in session.files()] == [("a", True, None), ("ä ß.bin", False, 256_000)]
    assert [entry.path for entry in session.files("a")] == ["a/b.txt"]


def test_file_is_sent_and_fetched(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.bin").write_bytes(BYTES)
    assert session.upload(tmp_path / "data.bin") == "data.bin"
    assert session.upload(str(tmp_path / "data.bin"), "deep/in.bin") == "deep/in.bin"
    session.download("deep/in.bin", tmp_path / "out.bin")
    assert (tmp_path / "out.bin").read_bytes() == BYTES
    monkeypatch.chdir(tmp_path)
    session.download("deep/in.bin")
    assert (tmp_path / "in.bin").read_bytes() == BYTES


def test_open_files_are_taken(session: Session) -> None:
    target = io.BytesIO()
    session.upload(io.BytesIO(BYTES), "stream.bin")
    session.download("stream.bin", target)
    assert target.getvalue() == BYTES


def test_missing_file_leaves_what_was_there(session: Session, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    with pytest.raises(ServiceError, match="ResourceNotFoundException"):
        session.download("none", tmp_path / "kept")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("kept", "kept")]


def test_full_disk_is_told_though_the_client_is_still_sending(session: Session) -> None:
    with pytest.raises(ServiceError, match="disk is full"):
        session.upload(io.BufferedReader(Zeros()), "big")
    assert session.files() == ()


def test_files_are_removed(session: Session) -> None:
    session.write("a", "")
    session.remove("a")
    with pytest.raises(RunFailed, match="a: no such file"):
        session.remove("a")


class Zeros(io.RawIOBase):
    """A gigabyte of nothing."""

    def __init__(self) -> None:
        self._left = 1024**3

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        count = min(len(buffer), self._left)
        self._left -= count
        buffer[:count] = bytes(count)
        return count
