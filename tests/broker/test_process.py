"""The broker's process: what it sends to S3 and back, whose keys count, what it refuses, and what it holds while it works."""

from __future__ import annotations

import asyncio
import http.client
import os
import select
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from broker.conftest import HOST, TOKEN, Door, Serving
from broker.raw_upstream import upstream
from cellblock.grants.broker.address import CREDENTIALS_PATH
from cellblock.grants.broker.doors import CONNECTIONS
from operator_files import make_authority
from s3_server import KEY_ID, SECRET, S3Server, free_port, s3_server

MIB = 1024 * 1024
FOREIGN = "/foreign/secret.txt"


async def until(condition: Any) -> None:
    """Let the loop turn until it is so."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.to_thread(bool)


def resident_mb(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def test_objects_of_granted_buckets_are_read_written_listed_and_removed(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url) as served:
        assert (await served.ask("GET", "/mine/greeting.txt")).body == "hello"
        assert (await served.ask("PUT", "/team-1/new%20key", body=b"new", headers={"Content-Type": "text/plain"})).status == 200
        assert (s3.directory / "team-1" / "new key").read_text() == "new"
        assert "new key" in (await served.ask("GET", "/team-1?list-type=2&prefix=new%20")).body
        assert (await served.ask("DELETE", "/team-1/new%20key")).status == 204
        assert list((s3.directory / "team-1").iterdir()) == []


async def test_bucket_that_is_not_granted_is_refused_with_a_reason_in_answer_and_log(s3: S3Server, serving: Serving) -> None:
    assert s3.client.get_object(Bucket="foreign", Key="secret.txt")["Body"].read() == b"of others", "the role's own key reaches it"
    with capture_logs() as lines:
        async with serving(s3.url) as served:
            answer = await served.ask("GET", FOREIGN)
            await until(lambda: lines)
    assert answer.status == 403
    assert "<Code>AccessDenied</Code>" in answer.body
    assert "the bucket foreign is not granted" in answer.body
    (line,) = lines
    assert (line["session"], line["request"]) == ("s-1", f"GET {FOREIGN}")
    assert "not granted" in line["reason"]


async def test_data_is_copied_from_granted_buckets_only(s3: S3Server, serving: Serving) -> None:
    copied = s3.client.copy_object(Bucket="mine", Key="stolen", CopySource="/foreign/secret.txt")
    assert copied["ResponseMetadata"]["HTTPStatusCode"] == 200, "the role's own key can"
    s3.client.delete_object(Bucket="mine", Key="stolen")
    async with serving(s3.url) as served:
        for source in (FOREIGN, "foreign/secret.txt", "foreign%2Fsecret.txt", "/mine/../foreign/secret.txt"):
            answer = await served.ask("PUT", "/mine/stolen", headers={"x-amz-copy-source": source})
            assert answer.status in (400, 403)
        answer = await served.ask("PUT", "/team-1/copy", headers={"x-amz-copy-source": "/mine/greeting.txt"})
        assert answer.status == 200
    assert not (s3.directory / "mine" / "stolen").exists()
    assert (s3.directory / "team-1" / "copy").read_text() == "hello"
    (s3.directory / "team-1" / "copy").unlink()


async def test_list_of_buckets_names_what_is_granted_and_nothing_else(s3: S3Server, serving: Serving) -> None:
    assert {bucket["Name"] for bucket in s3.client.list_buckets()["Buckets"]} >= {"mine", "foreign"}
    async with serving(s3.url) as served:
        answer = await served.ask("GET", "/")
    assert "<Name>mine</Name>" in answer.body
    assert "foreign" not in answer.body


async def test_sessions_signature_ends_here_and_the_roles_goes_on(serving: Serving) -> None:
    with upstream() as s3:
        async with serving(s3.url) as served:
            assert (await served.ask("GET", "/mine/key", headers={"x-amz-meta-a": "1"})).body == "ok"
            session = await asyncio.to_thread(served.door.credentials)
    assert f"Credential={KEY_ID}/" in s3.header("authorization")
    assert s3.header("host") == s3.url.removeprefix("http://")
    assert s3.header("x-amz-security-token") == ""
    assert session.access_key not in s3.heads[0].decode()
    assert s3.request_lines == ["GET /mine/key HTTP/1.1"]


async def test_roles_keys_never_reach_the_session(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url) as served:
        document = await served.send("GET", CREDENTIALS_PATH, headers={"Authorization": TOKEN})
        answers = [document, await served.ask("GET", "/mine/greeting.txt"), await served.ask("GET", FOREIGN)]
    assert document.status == 200
    assert not any(secret in str(answer) for secret in (SECRET, KEY_ID) for answer in answers)


async def test_credentials_are_for_who_shows_the_sessions_token(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url) as served:
        for headers in ({}, {"Authorization": ""}, {"Authorization": "wrong"}, {"Authorization": f"Bearer {TOKEN}"}):
            assert (await served.send("GET", CREDENTIALS_PATH, headers=headers)).status == 403
        for headers in ({"Host": "example.com"}, {"Host": "169.254.170.2"}):
            answer = await served.send("GET", CREDENTIALS_PATH, headers=headers | {"Authorization": TOKEN})
            assert answer.status == 403, "a name that somebody's DNS points here is not this host"


async def test_request_without_a_valid_signature_is_refused(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url) as served:
        signed = await asyncio.to_thread(served.door.signed, "GET", "/mine/greeting.txt")
        assert (await served.send("GET", "/mine/greeting.txt", headers=signed)).status == 200
        others = {
            "nothing": {},
            "another path": {"target": "/mine/other.txt", "headers": signed},
            "another method": {"method": "DELETE", "headers": signed},
            "no token": {"headers": {name: value for name, value in signed.items() if name != "X-Amz-Security-Token"}},
            "another token": {"headers": signed | {"X-Amz-Security-Token": "other"}},
            "another key": {"headers": signed | {"Authorization": signed["Authorization"].replace("=ASIA", "=AKIA")}},
            "another date": {"headers": signed | {"X-Amz-Date": "20200101T000000Z"}},
        }
        for what, changed in others.items():
            request = {"method": "GET", "target": "/mine/greeting.txt"} | changed
            assert (await served.send(**request)).status == 403, what
    assert (s3.directory / "mine" / "greeting.txt").exists()


async def test_expired_credentials_are_refused_and_others_are_had_at_once(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url, credentials_seconds=0) as served:
        answer = await served.ask("GET", "/mine/greeting.txt")
        assert (answer.status, "ExpiredToken" in answer.body) == (400, True)
        first, second = [await asyncio.to_thread(served.door.credentials) for _ in range(2)]
        assert first.access_key != second.access_key


async def test_credentials_of_one_session_are_nothing_to_another(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url) as served:
        other = await served.open("s-2", token="other-token")
        signed = await asyncio.to_thread(served.door.signed, "GET", "/mine/greeting.txt")
        assert (await asyncio.to_thread(other.send, "GET", "/mine/greeting.txt", headers=signed)).status == 403
        assert (await asyncio.to_thread(other.send, "GET", CREDENTIALS_PATH, headers={"Authorization": TOKEN})).status == 403


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 0\r\n",
        b"Content-Length: 5, 0\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b" Content-Length: 5\r\n",
        b"Content-Length : 5\r\n",
        b"X: a\r\n folded: b\r\n",
    ],
)
async def test_second_request_hidden_in_a_body_is_never_one(serving: Serving, framing: bytes) -> None:
    """S3 gets requests that are written anew, with one length, so nothing it reads began as a body."""
    with upstream() as s3:
        async with serving(s3.url) as served:
            signed = await asyncio.to_thread(served.door.signed, "PUT", "/mine/key", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
            head = b"PUT /mine/key HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\n"
            lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items()).encode()
            hidden = b"0\r\n\r\nGET /foreign/secret.txt HTTP/1.1\r\nHost: x\r\n\r\n"
            await asyncio.to_thread(exchange, served.door, head + lines + framing + b"\r\n" + hidden)
    assert [line for line in s3.request_lines if "foreign" in line] == []
    assert len(s3.heads) <= 1
    assert all(b"foreign" not in one for one in s3.heads)


def exchange(door: Door, data: bytes) -> bytes:
    """Send bytes and read until the broker closes or falls silent."""
    with socket.create_connection(("127.0.0.1", door.port), timeout=5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


async def test_requests_sent_ahead_are_each_checked(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url) as served:
        requests = b""
        for target in ("/mine/greeting.txt", FOREIGN):
            signed = await asyncio.to_thread(served.door.signed, "GET", target)
            lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
            requests += f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n".encode()
        answers = await asyncio.to_thread(exchange, served.door, requests)
    assert answers.count(b"HTTP/1.1 200") <= 1
    assert b"of others" not in answers


async def test_nonsense_and_endless_heads_are_answered_and_cut_off(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url) as served:
        assert b"400" in (await asyncio.to_thread(exchange, served.door, b"\x16\x03\x01 not HTTP\r\n\r\n")).split(b"\r\n")[0]
        endless = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000
        assert b"400" in (await asyncio.to_thread(exchange_some, served.door, endless)).split(b"\r\n")[0]
        assert (await served.ask("GET", "/mine/greeting.txt")).body == "hello"


def exchange_some(door: Door, data: bytes) -> bytes:
    try:
        return exchange(door, data)
    except OSError:  # it was cut off while more was sent
        return b"HTTP/1.1 400"


async def test_answer_of_s3_that_comes_before_the_body_is_read_reaches_the_session(serving: Serving) -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\nConnection: close\r\n\r\nno-way"

    def act(connection: socket.socket) -> None:
        connection.sendall(refusal)
        while connection.recv(65536):
            pass

    with upstream(act) as s3:
        async with serving(s3.url) as served:
            body = b"x" * (8 * MIB)
            answer = await asyncio.to_thread(ask_large, served.door, body)
    assert answer.startswith(b"HTTP/1.1 403")


def ask_large(door: Door, body: bytes) -> bytes:
    signed = door.signed("PUT", "/mine/large", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as connection:
        connection.sendall(f"PUT /mine/large HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode())
        connection.settimeout(20)
        return connection.recv(65536)


async def test_client_that_waits_to_be_told_to_send_is_told_so_only_when_it_may(s3: S3Server, serving: Serving) -> None:
    """SDKs send `Expect: 100-continue`, so that gigabytes are not sent to be refused."""
    async with serving(s3.url) as served:
        for target, first in (("/team-1/expected", b"HTTP/1.1 100"), ("/foreign/expected", b"HTTP/1.1 403 Forbidden")):
            signed = await asyncio.to_thread(served.door.signed, "PUT", target, headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
            lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
            head = f"PUT {target} HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n{lines}\r\n"
            assert (await asyncio.to_thread(first_bytes, served.door, head.encode())).startswith(first)


def first_bytes(door: Door, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as connection:
        connection.sendall(data)
        return connection.recv(65536)


async def test_session_that_does_not_read_holds_s3_back_and_not_the_brokers_memory(serving: Serving) -> None:
    sent: list[int] = []

    def act(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n")
        connection.setblocking(False)
        total = 0
        while select.select([], [connection], [], 1.5)[1] and total < 500_000_000:  # nothing is taken for so long: it is held back
            total += connection.send(b"x" * 65536)
        sent.append(total)

    with upstream(act) as s3:
        async with serving(s3.url) as served:
            signed = await asyncio.to_thread(served.door.signed, "GET", "/mine/large")
            lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
            with socket.create_connection(("127.0.0.1", served.door.port)) as connection:
                connection.sendall(f"GET /mine/large HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n".encode())
                await until(lambda: sent)
            assert resident_mb(served.broker.pid or 0) < 150
    assert sent[0] < 30 * MIB


async def test_s3_that_does_not_read_holds_the_session_back(serving: Serving) -> None:
    asked_to_end = asyncio.Event()

    def act(connection: socket.socket) -> None:
        while not asked_to_end.is_set():
            select.select([], [], [], 0.1)

    with upstream(act) as s3:
        async with serving(s3.url) as served:
            signed = await asyncio.to_thread(served.door.signed, "PUT", "/mine/large", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
            sent = await asyncio.to_thread(send_until_held, served.door, signed)
            asked_to_end.set()
    assert sent < 40 * MIB


def send_until_held(door: Door, signed: dict[str, str]) -> int:
    """How much of 500 MB is taken before nothing is for a while."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    with socket.create_connection(("127.0.0.1", door.port)) as connection:
        connection.sendall(f"PUT /mine/large HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 500000000\r\n{lines}\r\n".encode())
        connection.setblocking(False)
        total = 0
        while select.select([], [connection], [], 1.5)[1] and total < 499_000_000:
            total += connection.send(b"x" * 65536)
        return total


async def test_session_has_a_bounded_number_of_connections_and_others_are_not_held_up(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url) as served:
        other = await served.open("s-2")
        assert (await asyncio.to_thread(other.ask, "GET", "/mine/greeting.txt")).body == "hello"
        held = [socket.create_connection(("127.0.0.1", served.door.port)) for _ in range(CONNECTIONS)]
        try:
            late = asyncio.create_task(served.ask("GET", "/mine/greeting.txt"))
            assert (await asyncio.to_thread(other.ask, "GET", "/mine/greeting.txt")).body == "hello"
            assert not late.done()
            for connection in held[:2]:
                connection.close()
            assert (await late).body == "hello"
        finally:
            for connection in held:
                connection.close()


async def test_nothing_of_a_session_that_is_over_is_left(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url) as served:
        other = await served.open("s-2")
        await asyncio.to_thread(other.ask, "GET", "/mine/greeting.txt")
        pid = served.broker.pid
        before = len(os.listdir(f"/proc/{pid}/fd"))
        door = await served.open("s-3")
        with socket.create_connection(("127.0.0.1", door.port), timeout=20) as connection:
            assert (await asyncio.to_thread(door.ask, "GET", "/mine/greeting.txt")).body == "hello"
            await served.broker.forget("s-3")
            assert connection.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(door.send, "GET", "/")
        await until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before)


async def test_broker_that_dies_is_replaced_and_sessions_go_on(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url) as served:
        assert (await served.ask("GET", "/mine/greeting.txt")).body == "hello"
        first = served.broker.pid
        assert first
        os.kill(first, signal.SIGKILL)
        await until(lambda: served.broker.pid not in (None, first))
        assert (await served.ask("GET", "/mine/greeting.txt")).body == "hello"


async def test_refusals_do_not_flood_the_log(s3: S3Server, serving: Serving) -> None:
    with capture_logs() as lines:
        async with serving(s3.url) as served:
            await asyncio.to_thread(refused_often, served.door, 300)
            await served.broker.forget("s-1")
    assert len(lines) == 100
    assert "not told" in lines[-1]["reason"]


def refused_often(door: Door, count: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
    for _ in range(count):
        connection.request("GET", FOREIGN, headers={"Host": HOST})
        connection.getresponse().read()
    connection.close()


async def test_s3_that_cannot_be_reached_is_told(serving: Serving) -> None:
    async with serving(f"http://127.0.0.1:{free_port()}") as served:
        answer = await served.ask("GET", "/mine/greeting.txt")
    assert (answer.status, "S3 cannot be reached" in answer.body) == (503, True)


async def test_s3_is_reached_by_tls_and_only_with_a_certificate_that_is_trusted(
    tmp_path: Path, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority("S3")
    for name, pem in (("ca", authority.certificate), ("cert", authority.server_certificate), ("key", authority.server_key)):
        (tmp_path / f"{name}.pem").write_text(pem)
    with s3_server(tmp_path / "s3", "--cert", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem")) as s3:
        s3.bucket("mine", **{"greeting.txt": "by TLS"})
        url = s3.url.replace("http://127.0.0.1", "https://localhost")
        async with serving(url) as served:
            assert (await served.ask("GET", "/mine/greeting.txt")).status == 503
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with serving(url) as served:
            assert (await served.ask("GET", "/mine/greeting.txt")).body == "by TLS"


async def test_the_process_has_no_capabilities_cannot_get_any_and_leaves_no_core(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url) as served:
        assert (await served.ask("GET", "/mine/greeting.txt")).body == "hello"
        process = Path(f"/proc/{served.broker.pid}")
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
        assert [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")] == [0, 0, 0]
        assert status["NoNewPrivs"] == "1"
        limits = (process / "limits").read_text().splitlines()
        assert next(line for line in limits if line.startswith("Max core")).split()[-3:] == ["0", "0", "bytes"]
