"""Files as signed streams beside the API: any size, exact, whole or not at all, and nothing held in the server's memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from conformance.raw_http import Answer, send, signed
from endurance.server_memory import resident_bytes
from running_server import CELLBLOCK, REGION, RunningServer, ServedSession, serving, until

MIB = 1024 * 1024
BYTES = bytes(range(256))
UNSIGNED = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}


def place(session: ServedSession, path: str) -> str:
    return f"/code-interpreters/{session.interpreter}/sessions/{session.id}/files/{quote(path)}"


def put(session: ServedSession, path: str, data: bytes) -> Answer:
    return send(session.server, "PUT", place(session, path), data, headers=UNSIGNED)


def get(session: ServedSession, path: str) -> Answer:
    return send(session.server, "GET", place(session, path))


def names(session: ServedSession) -> list[str]:
    return [block["name"] for block in session.invoke("listFiles", directoryPath="")["content"]]


def sent_in_chunks(session: ServedSession, path: str, pieces: Iterator[bytes]) -> Answer:
    """A body whose length nobody has announced."""
    headers = signed(session.server, "PUT", place(session, path), headers=UNSIGNED)
    connection = HTTPConnection(urlsplit(session.server.url).netloc, timeout=60)
    try:
        connection.request("PUT", place(session, path), pieces, headers, encode_chunked=True)
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose sessions have room for large files."""
    with serving(tmp_path_factory.mktemp("wide") / "data", workspace_mb=2048, memory_mb=4096) as running:
        yield running


def test_file_goes_in_and_comes_out_exactly(session: ServedSession) -> None:
    assert put(session, "a/b/file.bin", BYTES).json == {"path": "a/b/file.bin"}
    answer = get(session, "a/b/file.bin")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, BYTES, "256")


@pytest.mark.parametrize("path", ["ä ß/€ 😀.txt", "a+b&c=d?e#f%2e.txt", "-rf", "a:b"])
def test_odd_names_are_kept(session: ServedSession, path: str) -> None:
    put(session, path, b"x")
    assert get(session, path).body == b"x"
    assert session.printed(f"print(open({path!r}).read())") == "x"


def test_empty_file_is_a_file(session: ServedSession) -> None:
    put(session, "empty", b"")
    assert (get(session, "empty").status, get(session, "empty").body) == (200, b"")


def test_body_without_a_length_is_taken(session: ServedSession) -> None:
    assert sent_in_chunks(session, "chunks", iter([BYTES] * 1000)).status == 200
    assert get(session, "chunks").body == BYTES * 1000


def test_existing_file_is_replaced(session: ServedSession) -> None:
    put(session, "a", b"old and longer")
    put(session, "a", b"new")
    assert (get(session, "a").body, names(session)) == (b"new", ["a"])


def test_signed_digest_holds_the_body(session: ServedSession) -> None:
    digests = [hashlib.sha256(body).hexdigest() for body in (b"right", b"wrong")]
    right, wrong = (signed(session.server, "PUT", place(session, "a"), headers={"x-amz-content-sha256": digest}) for digest in digests)
    assert send(session.server, "PUT", place(session, "a"), b"right", headers=right, sign=False).status == 200
    refused = send(session.server, "PUT", place(session, "a"), b"right", headers=wrong, sign=False)
    assert (refused.status, refused.code) == (403, "InvalidSignatureException")
    assert get(session, "a").body == b"right"


def test_body_must_be_signed_for_or_said_to_be_unsigned(session: ServedSession) -> None:
    assert send(session.server, "PUT", place(session, "a"), b"x").code == "InvalidSignatureException"


def test_unsigned_body_is_refused_by_the_api_itself(session: ServedSession) -> None:
    path = f"/code-interpreters/{session.interpreter}/tools/invoke"
    headers = UNSIGNED | {"x-amzn-code-interpreter-session-id": session.id, "Content-Type": "application/json"}
    assert send(session.server, "POST", path, b'{"name":"listFiles","arguments":{}}', headers=headers).code == "InvalidSignatureException"


def test_unsigned_request_is_refused(session: ServedSession) -> None:
    for method in ("GET", "PUT"):
        assert send(session.server, method, place(session, "a"), b"", sign=False).code == "MissingAuthenticationTokenException"


def test_wrong_secret_is_refused_before_the_body_is_read(session: ServedSession) -> None:
    headers = signed(session.server, "PUT", place(session, "a"), headers=UNSIGNED, secret="wrong" * 8) | {"Content-Length": str(10**12)}
    host, port = session.server.url.removeprefix("http://").split(":")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"PUT {place(session, 'a')} HTTP/1.1\r\nHost: {host}:{port}\r\n{head}\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 403")


def test_missing_file_is_not_found(session: ServedSession) -> None:
    assert (get(session, "none").status, get(session, "none").code) == (404, "ResourceNotFoundException")


@pytest.mark.parametrize("path", ["a/../../x", "../x", "a//b", "./a", "a/.", "", "%2e%2e/x", "..%2fx", "a/%2e%2e/b", "x%00y", "n" * 256])
def test_path_that_is_no_plain_path_is_refused(session: ServedSession, path: str) -> None:
    base = place(session, "")
    for method in ("GET", "PUT"):
        answer = send(session.server, method, base + path, headers=UNSIGNED)
        assert answer.status in (400, 404), answer.body
    assert names(session) == []


def test_link_out_of_the_workspace_is_not_followed(session: ServedSession) -> None:
    session.command("ln -s /etc/passwd link; ln -s / root; ln -s /tmp directory")
    for path in ("link", "root/etc/passwd", "directory/x"):
        assert get(session, path).status == 400
    assert put(session, "directory/x", b"x").status == 400
    assert session.command("ls /tmp")["structuredContent"]["stdout"] == ""


@pytest.mark.parametrize("make", ["mkfifo it", "mkdir it", "ln -s /dev/zero it"])
def test_what_is_no_file_is_not_read(session: ServedSession, make: str) -> None:
    session.command(make)
    assert get(session, "it").status == 400


def test_session_of_another_interpreter_is_not_found(server: RunningServer, session: ServedSession) -> None:
    other = server.create("other-files")["codeInterpreterId"]
    path = place(session, "a").replace(session.interpreter, other)
    assert send(server, "GET", path).code == "ResourceNotFoundException"


def test_ended_session_says_so(server: RunningServer) -> None:
    session = server.start()
    session.stop()
    for answer in (get(session, "a"), put(session, "a", b"x")):
        assert "is not active" in answer.json["message"]


def test_full_disk_is_told_and_leaves_nothing(session: ServedSession) -> None:
    answer = sent_in_chunks(session, "big", iter([bytes(MIB)] * 400))
    assert (answer.status, answer.code) == (402, "ServiceQuotaExceededException")
    assert names(session) == []
    assert session.printed("print('alive')") == "alive"


def test_client_that_goes_away_leaves_nothing(session: ServedSession) -> None:
    headers = signed(session.server, "PUT", place(session, "dir/half"), headers=UNSIGNED) | {"Content-Length": str(100 * MIB)}
    host, port = session.server.url.removeprefix("http://").split(":")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"PUT {place(session, 'dir/half')} HTTP/1.1\r\nHost: {host}:{port}\r\n{head}\r\n".encode() + bytes(MIB))
        assert until(lambda: names(session) == ["dir"])
    assert until(lambda: names(session) == [])


def test_file_that_shrinks_is_cut_off_and_not_passed_off_as_whole(session: ServedSession) -> None:
    session.command("truncate -s 200M big")
    connection = HTTPConnection(urlsplit(session.server.url).netloc, timeout=60)
    connection.request("GET", place(session, "big"), headers=signed(session.server, "GET", place(session, "big")))
    response = connection.getresponse()
    response.read(MIB)
    session.command("truncate -s 10M big")
    with pytest.raises((IncompleteRead, ConnectionError)):
        response.read()
    connection.close()


def test_reader_that_stops_reading_holds_up_no_other_call(session: ServedSession) -> None:
    session.command("truncate -s 200M big")
    connection = HTTPConnection(urlsplit(session.server.url).netloc, timeout=60)
    connection.request("GET", place(session, "big"), headers=signed(session.server, "GET", place(session, "big")))
    response = connection.getresponse()
    response.read(MIB)
    assert session.printed("print('alive')") == "alive"
    assert get(session, "big").headers["content-length"] == str(200 * MIB)
    connection.close()


def test_files_travel_beside_running_code(session: ServedSession) -> None:
    waiting = session.invoke("startCommandExecution", command="until [ -e go ]; do sleep 0.01; done; cat go")
    task = waiting["structuredContent"]["taskId"]
    put(session, "go", b"went")
    assert until(lambda: session.invoke("getTask", taskId=task)["structuredContent"]["stdout"]) == "went"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl (apt install curl)")
def test_curl_sends_and_fetches_a_file(session: ServedSession, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(BYTES * 100)
    keys = f"{session.server.key_id}:{session.server.secret}"
    curl = [
        "curl",
        "-sSf",
        "--aws-sigv4",
        f"aws:amz:{REGION}:bedrock-agentcore",
        "--user",
        keys,
        "-H",
        "x-amz-content-sha256: UNSIGNED-PAYLOAD",
    ]
    url = session.server.url + place(session, "from-curl.bin")
    subprocess.run([*curl, "-T", tmp_path / "in", url], check=True, timeout=60)
    subprocess.run([*curl, "-o", tmp_path / "out", url], check=True, timeout=60)
    assert (tmp_path / "out").read_bytes() == BYTES * 100


@pytest.mark.slow
def test_gigabyte_goes_both_ways_in_little_memory(wide: RunningServer) -> None:
    piece = os.urandom(MIB)
    expected = hashlib.sha256()
    for _ in range(1024):
        expected.update(piece)
    with wide.session() as session:
        before = resident_bytes(wide.process.pid)
        assert sent_in_chunks(session, "big", iter([piece] * 1024)).status == 200
        connection = HTTPConnection(urlsplit(wide.url).netloc, timeout=60)
        connection.request("GET", place(session, "big"), headers=signed(wide, "GET", place(session, "big")))
        response, got = connection.getresponse(), hashlib.sha256()
        while data := response.read(MIB):
            got.update(data)
        connection.close()
        assert got.digest() == expected.digest()
        assert resident_bytes(wide.process.pid) - before < 64 * MIB


def test_key_that_may_not_invoke_may_not_transfer(server: RunningServer, session: ServedSession) -> None:
    put(session, "secret", b"kept")
    policy = '{"Statement": [{"Effect": "Allow", "Action": "bedrock-agentcore:GetCodeInterpreterSession", "Resource": "*"}]}'
    command = [CELLBLOCK, "keys", "create", "looker", "--policy", policy, "--json", "--data-dir", server.data_dir]
    key = json.loads(subprocess.run(command, env=server.operator_environment(), capture_output=True, check=True, timeout=60).stdout)
    for method in ("GET", "PUT"):
        headers = signed(
            server, method, place(session, "secret"), headers=UNSIGNED, key_id=key["accessKeyId"], secret=key["secretAccessKey"]
        )
        assert send(server, method, place(session, "secret"), headers=headers, sign=False).code == "AccessDeniedException"
    assert get(session, "secret").body == b"kept"
