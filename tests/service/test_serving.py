"""Serving for real: TLS whose certificates are read again, Unix sockets, sockets that a service manager holds, and the units for it."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from cellblock.errors import CommandFailed
from cellblock.http.server import Certificates
from cellblock.machine.data_directory import read_credentials
from cellblock.machine.listeners import connect_unix, unix_listener
from cellblock.runtime.builds import Runtime
from cellblock.settings.table import Settings, SettingsError
from operator_files import Authority, make_authority
from running_server import BUILT_IN, CELLBLOCK, environment, until
from service.served import off_loop, serving

DEPLOY = Path(__file__).parents[2] / "deploy"


def write(authority: Authority, place: Path) -> dict[str, str]:
    """The files of a server's certificate, and the settings that name them."""
    place.mkdir(exist_ok=True)
    (place / "chain.pem").write_text(authority.server_certificate)
    (place / "key.pem").write_text(authority.server_key)
    (place / "authority.pem").write_text(authority.certificate)
    return {"tls_certificate": str(place / "chain.pem"), "tls_key": str(place / "key.pem")}


def served_certificate(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port)).replace("\r", "").strip()


@contextmanager
def program(
    data_dir: Path, *prefix: str | Path, pass_fds: tuple[int, ...] = (), **settings: object
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server's process and the URL it says it is ready on."""
    command = [*prefix, CELLBLOCK, "serve", "--data-dir", data_dir]
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env=environment(**settings), pass_fds=pass_fds) as process:
        drained = threading.Thread(target=lambda: process.stderr and process.stderr.read())
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            drained.start()
            yield process, line.removeprefix("cellblock is ready on ").strip()
        finally:
            process.terminate()
            process.wait(30)
            drained.join()


def test_port_speaks_tls_and_takes_new_certificates_at_a_hangup(data_dir: Path, tmp_path: Path, built_runtime: Runtime) -> None:
    first, second = make_authority("first"), make_authority("second")
    files = write(first, tmp_path / "tls")
    with program(data_dir, port=0, **files) as (process, url):
        assert url.startswith("https://127.0.0.1:")
        port = int(url.rpartition(":")[2])
        assert served_certificate(port) == first.server_certificate.strip()
        key = read_credentials(data_dir)
        assert key is not None
        client = boto3.client(
            "bedrock-agentcore",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            verify=str(tmp_path / "tls" / "authority.pem"),
        )
        assert client.start_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN)["sessionId"]
        write(second, tmp_path / "tls")
        process.send_signal(signal.SIGHUP)
        until(lambda: served_certificate(port) == second.server_certificate.strip())
        (tmp_path / "tls" / "key.pem").write_text(first.server_key)
        process.send_signal(signal.SIGHUP)
        log = data_dir / "logs" / "server.jsonl"
        until(lambda: "were not read again" in log.read_text())
        assert served_certificate(port) == second.server_certificate.strip()


def test_certificate_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    write(make_authority("one"), tmp_path / "tls")
    (tmp_path / "tls" / "key.pem").write_text(make_authority("other").server_key)
    with pytest.raises(CommandFailed, match=r"chain.pem with the key .* cannot be used"):
        Certificates(tmp_path / "tls" / "chain.pem", tmp_path / "tls" / "key.pem").check()
    with pytest.raises(CommandFailed, match="No such file"):
        Certificates(tmp_path / "missing.pem", tmp_path / "missing.pem").check()


def test_certificate_without_a_key_is_refused() -> None:
    with pytest.raises(SettingsError, match="both or none"):
        Settings.from_environment({"HOME": "/home/somebody", "CELLBLOCK_TLS_CERTIFICATE": "/chain.pem"})


async def test_unix_socket_answers_beside_the_port_and_is_gone_at_the_end(data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    async with serving(data_dir, unix_socket=str(path)) as served:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://cellblock") as client:
            assert (await client.get("/ping")).json()["status"] == "Healthy"
        assert path.stat().st_mode & 0o777 == 0o660
        assert await off_loop(served.control().list_code_interpreters)
    assert not path.exists()


def test_socket_that_a_dead_server_left_is_taken_over_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 40) / "api.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        directory = os.open(path.parent, os.O_PATH)
        dead.bind(f"/proc/self/fd/{directory}/api.sock")
        os.close(directory)
    with unix_listener(path, 0o600) as listener:
        listener.listen()
        connect_unix(path, 1.0).close()
        with pytest.raises(OSError, match="in use"), unix_listener(path, 0o600):
            pass
    assert not path.exists()


def test_file_in_the_place_of_a_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    path.write_text("mine")
    with pytest.raises(OSError, match="in use"), unix_listener(path, 0o600):
        pass
    assert path.read_text() == "mine"


def test_socket_that_is_held_for_the_server_answers_clients_that_came_before_it(data_dir: Path, built_runtime: Runtime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = f"cellblock-test-{os.getpid()}"
        manager.bind(f"\0{name}")
        manager.settimeout(60)
        early = http.client.HTTPConnection(*held.getsockname(), timeout=60)
        early.request("GET", "/ping")  # waits in the backlog
        script = f'exec 3<&{held.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ NOTIFY_SOCKET=@{name} exec "$@"'
        with program(data_dir, "bash", "-c", script, "bash", pass_fds=(held.fileno(),)) as (_, url):
            assert url == f"http://127.0.0.1:{held.getsockname()[1]}"
            assert early.getresponse().status == 200
            assert manager.recv(100) == b"READY=1\n"
        assert manager.recv(100) == b"STOPPING=1\n"
        early.close()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (apt install systemd)")
def test_units_are_ones_that_systemd_takes(tmp_path: Path) -> None:
    for name in ("cellblock.service", "cellblock.socket"):
        text = (DEPLOY / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/cellblock/bin/cellblock", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", *tmp_path.iterdir()], capture_output=True, text=True, timeout=60)
    assert [line for line in done.stderr.splitlines() if str(tmp_path) in line or "cellblock" in line] == []


def test_unit_sets_only_settings_that_there_are() -> None:
    text = (DEPLOY / "cellblock.service").read_text()
    variables = dict.fromkeys(re.findall(r"CELLBLOCK_[A-Z_]+(?==)", text), "/somewhere")
    assert Settings.from_environment({"HOME": "/root"} | variables).data_dir == Path("/somewhere")
