"""Output while it is produced, for clients that ask for it with the header x-cellblock-stream; nothing changes for others."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from conformance.raw_http import send, signed
from running_server import Json, RunningServer, ServedSession, until

HEADER = "x-cellblock-stream"


@pytest.fixture
def client(server: RunningServer) -> Any:
    """boto3 that asks for output as it comes."""

    def ask(request: Any, **_: Any) -> None:
        request.headers[HEADER] = "output"

    made = server.client("bedrock-agentcore")
    made.meta.events.register("before-sign.bedrock-agentcore.InvokeCodeInterpreter", ask)
    return made


def events(session: ServedSession, client: Any, tool: str, **arguments: Any) -> Iterator[Json]:
    for event in session.answer(tool, client=client, **arguments)["stream"]:
        yield event["result"]


def python(session: ServedSession, client: Any, code: str) -> Iterator[Json]:
    return events(session, client, "executeCode", language="python", code=code)


def is_last(result: Json) -> bool:
    return "exitCode" in result["structuredContent"]


def joined(pieces: list[Json], stream: str) -> str:
    return "".join(piece["structuredContent"][stream] for piece in pieces)


def test_output_comes_while_the_code_runs(session: ServedSession, client: Any) -> None:
    code = "import os, time\nprint('waiting')\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\nprint('went')"
    answer = python(session, client, code)
    assert next(answer)["content"] == [{"type": "text", "text": "waiting\n"}]
    session.write(go="")
    *pieces, last = answer
    assert joined(pieces, "stdout") == "went\n"
    assert last["structuredContent"]["stdout"] == "waiting\nwent"


def test_last_event_is_what_comes_without_the_header(session: ServedSession, client: Any) -> None:
    code = "import sys\nprint('a' * 1000)\nprint('b', file=sys.stderr)\n6 * 7"
    *_, followed = python(session, client, code)
    usual = session.run(code)
    for result in (followed, usual):
        result["structuredContent"].pop("executionTime")
    assert followed == usual


def test_pieces_are_all_of_the_output_in_order(session: ServedSession, client: Any) -> None:
    code = "import sys\nfor i in range(3000):\n    print(f'{i:09d}', flush=True)\n    print(f'{i:09d}', file=sys.stderr, flush=True)"
    *pieces, last = python(session, client, code)
    expected = "".join(f"{i:09d}\n" for i in range(3000))
    assert [joined(pieces, stream) for stream in ("stdout", "stderr")] == [expected, expected]
    assert not any(is_last(piece) for piece in pieces)
    assert is_last(last)


def test_characters_are_not_cut(session: ServedSession, client: Any) -> None:
    code = "import os, time\nfor byte in 'ä€😀'.encode() * 20:\n    os.write(1, bytes([byte]))\n    time.sleep(0.001)"
    *pieces, _ = python(session, client, code)
    assert joined(pieces, "stdout") == "ä€😀" * 20


def test_ten_megabytes_come_in_small_pieces(session: ServedSession, client: Any) -> None:
    *pieces, last = events(session, client, "executeCommand", command="head -c 10000000 /dev/zero | tr '\\0' x")
    assert len(joined(pieces, "stdout")) == 10_000_000
    assert max(len(piece["content"][0]["text"]) for piece in pieces) <= 65536
    assert len(last["structuredContent"]["stdout"]) == 10_000_000


def test_command_that_fails_says_so_at_the_end(session: ServedSession, client: Any) -> None:
    *pieces, last = events(session, client, "executeCommand", command="echo out; echo err >&2; exit 3")
    assert (joined(pieces, "stdout"), joined(pieces, "stderr")) == ("out\n", "err\n")
    assert (last["isError"], last["structuredContent"]["exitCode"]) == (True, 3)


def test_other_tools_answer_as_ever(session: ServedSession, client: Any) -> None:
    (listed,) = events(session, client, "listFiles", directoryPath="")
    assert listed == {"content": [], "isError": False}


def test_header_without_its_value_changes_nothing(session: ServedSession) -> None:
    body = b'{"name":"executeCode","arguments":{"language":"python","code":"print(1)"}}'
    path = f"/code-interpreters/{session.interpreter}/tools/invoke"
    headers = {"x-amzn-code-interpreter-session-id": session.id, "Content-Type": "application/json", HEADER: "yes"}
    assert send(session.server, "POST", path, body, headers=headers).body.count(b":event-type") == 1


def test_error_before_any_output_is_an_http_error(session: ServedSession, client: Any) -> None:
    session.stop()
    with pytest.raises(client.exceptions.ValidationException, match="is not active"):
        session.answer("executeCode", client=client, language="python", code="print(1)")


def test_session_that_ends_under_a_followed_run_is_an_error_in_the_stream(session: ServedSession, client: Any) -> None:
    answer = python(session, client, "import time\nprint('up')\ntime.sleep(1000)")
    next(answer)
    session.stop()
    with pytest.raises(Exception, match="is not active"):
        list(answer)


def test_client_that_goes_away_interrupts_the_run(session: ServedSession) -> None:
    code = "import time\\nprint('up')\\ntry:\\n    time.sleep(1000)\\nfinally:\\n    open('interrupted', 'w').close()"
    body = b'{"name":"executeCode","arguments":{"language":"python","code":"' + code.encode() + b'"}}'
    path = f"/code-interpreters/{session.interpreter}/tools/invoke"
    headers = {"x-amzn-code-interpreter-session-id": session.id, "Content-Type": "application/json", HEADER: "output"}
    complete = signed(session.server, "POST", path, body, headers=headers) | {"Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in complete.items())
    host, port = session.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{head}\r\n".encode() + body)
        received = b""
        while b"up" not in received:
            received += connection.recv(65536)
    assert until(lambda: session.command("ls")["structuredContent"]["stdout"] == "interrupted")


def test_reader_that_stops_reading_holds_up_nobody(session: ServedSession, client: Any) -> None:
    flood = session.answer("executeCommand", client=client, command="head -c 10000000 /dev/zero | tr '\\0' x; touch done")
    assert until(lambda: "done" in session.command("ls")["structuredContent"]["stdout"])
    *pieces, last = [event["result"] for event in flood["stream"]]
    assert len(joined(pieces, "stdout")) == 10_000_000
    assert len(last["structuredContent"]["stdout"]) == 10_000_000


def test_pieces_of_two_runs_are_not_mixed(session: ServedSession, client: Any) -> None:
    answers = [events(session, client, "executeCommand", command=f"for i in $(seq 200); do echo {name}$i; done") for name in ("a", "b")]
    for name, answer in zip("ab", answers, strict=True):
        *pieces, _ = answer
        lines = joined(pieces, "stdout").split()
        assert lines == [f"{name}{number}" for number in range(1, 201)]


def test_request_that_comes_again_gets_the_whole_result_and_runs_once(session: ServedSession) -> None:
    body = b'{"name":"executeCommand","arguments":{"command":"echo once | tee -a runs"}}'
    path = f"/code-interpreters/{session.interpreter}/tools/invoke"
    headers = {"x-amzn-code-interpreter-session-id": session.id, "Content-Type": "application/json", HEADER: "output"}
    headers["amz-sdk-invocation-id"] = "the-same-for-both"
    first, again = (send(session.server, "POST", path, body, headers=headers).body for _ in range(2))
    assert [answer.count(b":event-type") for answer in (first, again)] == [2, 1]
    assert b'"stdout":"once"' in again
    assert session.command("cat runs")["structuredContent"]["stdout"] == "once"
