"""Which server a client finds, and what it says when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellblock.client import Client, ConnectionFailed, ServerNotFound, Session, find_server
from operator_files import make_authority
from running_server import RunningServer, serving

VARIABLES = ("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", "BEDROCK_AGENTCORE_DP_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*VARIABLES, "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CELLBLOCK_DATA_DIR", str(tmp_path / "data"))


def test_variables_of_cellblock_env_are_enough(running: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in running.client_environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    with Session() as session:
        assert session.run("6 * 7").text == "42"


def test_running_server_of_the_data_directory_is_found(running: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLBLOCK_DATA_DIR", str(running.data_dir))
    with Session() as session:
        assert session.run("6 * 7").text == "42"


def test_data_directory_can_be_named(running: RunningServer) -> None:
    found = find_server(running.data_dir)
    assert (found.url, found.key_id) == (running.url, running.key_id)


def test_no_server_is_told_with_what_starts_one(tmp_path: Path) -> None:
    with pytest.raises(ServerNotFound, match=r"no server runs on .*data; start one with: cellblock serve"):
        find_server()


def test_address_without_a_key_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLES[0], "http://127.0.0.1:8080")
    with pytest.raises(ServerNotFound, match="AWS_ACCESS_KEY_ID"):
        find_server()


def test_server_behind_tls_is_trusted_by_its_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"authority": tmp_path / "ca.pem", "tls_certificate": tmp_path / "chain.pem", "tls_key": tmp_path / "key.pem"}
    made = make_authority("Example Authority")
    for path, text in zip(names.values(), (made.certificate, made.server_certificate, made.server_key), strict=True):
        path.write_text(text)
    with serving(tmp_path / "tls", tls_certificate=names["tls_certificate"], tls_key=names["tls_key"]) as running:
        with pytest.raises(ConnectionFailed), Client(data_dir=running.data_dir).session():
            pass
        monkeypatch.setenv("AWS_CA_BUNDLE", str(names["authority"]))
        with Client(data_dir=running.data_dir) as client, client.session() as session:
            assert session.run("6 * 7").text == "42"
