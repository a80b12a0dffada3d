"""Calls that meet in one session: side by side or one after the other, repeated, and left by their clients."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from botocore.exceptions import ReadTimeoutError

from conformance.raw_http import Answer, send, signed
from running_server import BUILT_IN, RunningServer, ServedSession, until

INVOKE = f"/code-interpreters/{BUILT_IN}/tools/invoke"


def body_of(tool: str, **arguments: str) -> bytes:
    return json.dumps({"name": tool, "arguments": arguments}).encode()


def post(session: ServedSession, body: bytes, invocation: str, *, attempt: int = 1) -> Answer:
    """A call as an SDK sends it: these two headers are not signed."""
    headers = signed(session.server, "POST", INVOKE, body, headers={"x-amzn-code-interpreter-session-id": session.id})
    headers |= {"amz-sdk-invocation-id": invocation, "amz-sdk-request": f"attempt={attempt}; max=5"}
    return send(session.server, "POST", INVOKE, body, headers=headers, sign=False)


def leave(session: ServedSession, body: bytes, *, started: str) -> None:
    """Send a call, wait until its code has made a file, and close the connection without reading."""
    place = urlsplit(session.server.url)
    headers = signed(session.server, "POST", INVOKE, body, headers={"x-amzn-code-interpreter-session-id": session.id})
    lines = [f"POST {INVOKE} HTTP/1.1", f"Host: {place.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with closing(socket.create_connection((place.hostname, place.port), timeout=20)) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        until(lambda: started in [link["name"] for link in session.invoke("listFiles")["content"]])


def test_ten_commands_run_side_by_side(session: ServedSession) -> None:
    meet = "touch here-$0 && until test $(ls here-* | wc -l) = 10; do sleep 0.02; done; echo met"
    with ThreadPoolExecutor(10) as pool:
        results = list(pool.map(lambda number: session.command(meet.replace("$0", str(number))), range(10)))
    assert [result["structuredContent"]["stdout"] for result in results] == ["met"] * 10


def test_code_of_one_language_runs_one_after_the_other(session: ServedSession) -> None:
    session.printed("log = []")
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda n: session.printed(f"import select\nlog.append({n}); select.select([], [], [], 0.02); log.append({n})"), range(8)
            )
        )
    log = json.loads(session.printed("print(log)"))
    assert log[0::2] == log[1::2]
    assert sorted(log[0::2]) == list(range(8))


def test_files_are_listed_and_read_while_code_runs(session: ServedSession) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(session.run, "open('started', 'w').close()\nimport os\nwhile not os.path.exists('go'): pass\nprint('went')")
        until(lambda: session.invoke("listFiles")["content"])
        assert session.invoke("readFiles", paths=["started"])["isError"] is False
        session.write(go="")
        assert running.result(timeout=20)["structuredContent"]["stdout"] == "went"


def test_calls_of_several_sessions_run_at_once(server: RunningServer) -> None:
    sessions = [server.start() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        printed = list(pool.map(lambda session: session.printed(f"print({session.id!r})"), sessions))
        list(pool.map(ServedSession.stop, sessions))
    assert printed == [session.id for session in sessions]


@pytest.mark.parametrize(
    "code",
    ["import signal\nopen('started', 'w').close()\nwhile True:\n    signal.pause()", "open('started', 'w').close()\nwhile True: pass"],
)
def test_client_that_goes_away_interrupts_its_code(session: ServedSession, code: str) -> None:
    session.printed("x = 42")
    leave(session, body_of("executeCode", language="python", code=code), started="started")
    assert session.printed("print(x)") == "42", "the next call on the same kernel is answered"


def test_client_that_goes_away_ends_its_command(session: ServedSession) -> None:
    leave(session, body_of("executeCommand", command="touch started; sleep 4244; echo never > late"), started="started")
    code = "import glob\nprint(sum(open(name, 'rb').read() == b'sleep\\x004244\\x00' for name in glob.glob('/proc/[0-9]*/cmdline')))"
    until(lambda: session.printed(code) == "0")


def test_client_that_goes_away_does_not_end_a_task(session: ServedSession) -> None:
    task_id = session.invoke("startCommandExecution", command="exec sleep 1000")["structuredContent"]["taskId"]
    leave(session, body_of("executeCommand", command="touch started; exec sleep 1000"), started="started")
    assert session.invoke("getTask", taskId=task_id)["structuredContent"]["taskStatus"] == "working"


COUNT = "with open('count', 'a') as file:\n    file.write('x')\nprint('ran')"


def test_repeated_invocation_gets_its_result_again_and_the_code_runs_once(session: ServedSession) -> None:
    body, invocation = body_of("executeCode", language="python", code=COUNT), str(uuid4())
    first, again = (post(session, body, invocation, attempt=attempt) for attempt in (1, 2))
    assert first.body == again.body
    assert session.printed("print(open('count').read())") == "x"


def test_repeated_invocation_joins_the_run_that_is_under_way(session: ServedSession) -> None:
    waiting = f"{COUNT}\nimport os\nwhile not os.path.exists('go'): pass"
    body, invocation = body_of("executeCode", language="python", code=waiting), str(uuid4())
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(post, session, body, invocation, attempt=attempt) for attempt in (1, 2)]
        until(lambda: session.invoke("listFiles")["content"])
        session.write(go="")
        first, again = (call.result(timeout=20) for call in calls)
    assert first.body == again.body
    assert session.printed("print(open('count').read())") == "x"


def test_other_invocation_with_the_same_body_runs(session: ServedSession) -> None:
    body = body_of("executeCode", language="python", code=COUNT)
    for _ in range(2):
        post(session, body, str(uuid4()))
    assert session.printed("print(open('count').read())") == "xx"


def test_same_invocation_with_another_body_runs(session: ServedSession) -> None:
    invocation = str(uuid4())
    for code in (COUNT, COUNT + "\n"):
        post(session, body_of("executeCode", language="python", code=code), invocation)
    assert session.printed("print(open('count').read())") == "xx"


def test_invocation_is_of_one_session(session: ServedSession) -> None:
    body, invocation = body_of("executeCode", language="python", code=COUNT), str(uuid4())
    with session.server.session() as other:
        for one in (session, other):
            post(one, body, invocation)
        assert other.printed("print(open('count').read())") == "x"


def test_boto3_that_gives_up_reading_and_retries_runs_the_code_once(session: ServedSession) -> None:
    client = session.server.client("bedrock-agentcore", read_timeout=0.5, retries={"total_max_attempts": 5})
    code = f"{COUNT}\nimport select\nselect.select([], [], [], 1.2);"
    assert session.run(code, client=client)["structuredContent"]["stdout"] == "ran"
    assert session.printed("print(open('count').read())") == "x"


def test_boto3_that_gives_up_for_good_leaves_the_session_usable(session: ServedSession) -> None:
    client = session.server.client("bedrock-agentcore", read_timeout=0.5)
    with pytest.raises(ReadTimeoutError):
        session.run("while True: pass", client=client)
    assert session.printed("print('free')") == "free"
