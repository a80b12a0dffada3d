"""What a session reaches through the proxy where there is no user-mode network: the same ranges are closed, whatever names say."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cellblock.model.network_grants import INTERNET
from cellblock.runtime.builds import Runtime
from cellblock.sandbox.proxy.cell_end import PORT
from cellblock.sandbox.proxy.door import CONNECTIONS, REFUSALS_TOLD
from cells import Bench, BenchCell, bench_settings
from network.conftest import Opened
from network.world import MACHINE, OTHER_PUBLIC, PRIVATE, PUBLIC, SERVICE_PORT, TURNING_NAME, WEB_PORT
from running_server import until

OPEN = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "203.0.113.0/24", f"{MACHINE}/32")
CLIENTS = {
    "curl": "curl -sS http://web.example/",
    "curl with CONNECT": "curl -sS -p http://web.example/",
    "curl with SOCKS": f"curl -sS -x socks5h://127.0.0.1:{PORT} http://web.example/",
    "requests": """python -c 'import requests; print(requests.get("http://web.example/").text)'""",
    "httpx": """python -c 'import httpx; print(httpx.get("http://web.example/").text)'""",
    "urllib": """python -c 'import urllib.request as u; print(u.urlopen("http://web.example/").read().decode())'""",
    "Node's fetch": """node -e 'fetch("http://web.example/").then(r => r.text()).then(console.log)'""",
    "Deno's fetch": """deno eval 'console.log(await (await fetch("http://web.example/")).text())'""",
}
AIOHTTP = """
import aiohttp
async with aiohttp.ClientSession(trust_env=True) as session:
    print(await (await session.get("http://web.example/")).text())
"""
RAW = """
channel = socket.create_connection(("127.0.0.1", {port}), 10)
channel.sendall({data!r})
answer = b""
while piece := channel.recv(65536):
    answer += piece
print(answer.decode())
"""


@pytest.fixture
def proxied(node: Opened) -> Iterator[BenchCell]:
    """A cell of network mode PUBLIC that has the proxy."""
    with node(user_network="proxy").cell(network=INTERNET) as opened:
        yield opened


@pytest.fixture
def opened(node: Opened) -> Iterator[BenchCell]:
    """One for which the operator has opened what is closed."""
    with node(user_network="proxy", network_open_ranges=OPEN).cell(network=INTERNET) as opened:
        yield opened


@pytest.mark.root
@pytest.mark.parametrize("command", CLIENTS.values(), ids=CLIENTS)
def test_clients_find_the_proxy_by_themselves(proxied: BenchCell, command: str) -> None:
    assert proxied.shell(command).strip() == f"you reached {PUBLIC}"


@pytest.mark.root
def test_aiohttp_finds_it_when_told_to_look(proxied: BenchCell) -> None:
    assert proxied.run(AIOHTTP).stdout.decode().strip() == f"you reached {PUBLIC}"


@pytest.mark.root
@pytest.mark.parametrize("address", [*PRIVATE, MACHINE])
def test_a_closed_address_is_refused_with_a_reason(proxied: BenchCell, opened: BenchCell, address: str) -> None:
    command = f"curl -sS http://{address}/"
    assert address in opened.shell(command) or "leads to" not in opened.shell(command)
    assert proxied.shell(command) == f"cellblock: {address}:80 leads to {address}, which is closed to this session"


@pytest.mark.root
@pytest.mark.parametrize("address", PRIVATE)
def test_it_would_be_reached_if_it_were_open(opened: BenchCell, address: str) -> None:
    assert opened.shell(f"curl -sS http://{address}/") == f"you reached {address}"


@pytest.mark.root
@pytest.mark.parametrize("name", ["inside.example", "localhost", "127.1", "0x7f.1", "2130706433", "[::1]", "[::ffff:10.1.2.3]", "0"])
def test_no_spelling_leads_to_a_closed_address(proxied: BenchCell, name: str) -> None:
    for way in ("http", "socks5h"):
        option = f"-sS -g -m 15 -x {way}://127.0.0.1:{PORT} --noproxy none.example"
        answer = proxied.shell(f"curl {option} http://{name}:{SERVICE_PORT}/ 2>&1; curl {option} http://{name}/ 2>&1")
        assert "you reached" not in answer


@pytest.mark.root
def test_a_name_that_turns_to_a_private_address_after_the_check_is_not_followed(proxied: BenchCell) -> None:
    answers = proxied.shell(f"for i in 1 2 3 4 5 6 7 8; do curl -sS -m 15 http://{TURNING_NAME}/; done")
    assert f"you reached {PUBLIC}" in answers
    assert "you reached 10." not in answers


@pytest.mark.root
def test_a_second_request_on_a_connection_goes_nowhere(proxied: BenchCell) -> None:
    second = f"GET http://{PRIVATE[0]}/ HTTP/1.1\r\nHost: {PRIVATE[0]}\r\n\r\n"
    data = (f"GET http://{PUBLIC}/ HTTP/1.1\r\nHost: {PUBLIC}\r\n\r\n" + second).encode()
    answer = proxied.probe(RAW.format(port=PORT, data=data))
    assert answer.count("HTTP/1.1") == 1
    assert f"you reached {PUBLIC}" in answer


@pytest.mark.root
def test_beside_the_proxy_there_is_no_way_out(proxied: BenchCell) -> None:
    connect = "print(attempt(socket.create_connection, ('{address}', {port}), 5))"
    assert proxied.probe(connect.format(address=PUBLIC, port=WEB_PORT)) == "ENETUNREACH"
    assert proxied.probe("print(attempt(socket.getaddrinfo, 'web.example', 80))") != "done"


@pytest.mark.root
def test_the_operators_own_ranges_are_closed(node: Opened) -> None:
    with node(user_network="proxy", network_closed_ranges=("93.184.0.0/16",)).cell(network=INTERNET) as cell:
        assert "closed to this session" in cell.shell("curl -sS http://web.example/")
        assert cell.shell("curl -sS http://other.example/") == f"you reached {OTHER_PUBLIC}"


@pytest.mark.root
def test_a_proxy_that_dies_is_there_again_for_the_sessions_that_live(node: Opened, proxied: BenchCell) -> None:
    networks = node(user_network="proxy").node._networks
    died = networks.proxy_pid
    assert died is not None
    os.kill(died, signal.SIGKILL)
    until(lambda: networks.proxy_pid not in (None, died))
    assert proxied.shell("curl -sS --retry 5 --retry-all-errors http://web.example/") == f"you reached {PUBLIC}"


@pytest.mark.root
def test_what_the_proxy_refuses_is_logged_with_the_cell_and_the_reason(proxied: BenchCell) -> None:
    with capture_logs() as lines:
        proxied.shell("curl -sS http://10.1.2.3/")
        proxied.probe(RAW.format(port=PORT, data=b"CONNECT red\x1bc.example:80 HTTP/1.1\r\n\r\n"))
        until(lambda: len(lines) == 2)
    assert {(line["event"], line["cell"]) for line in lines} == {("connection refused", proxied.name)}
    assert lines[0]["wanted"] == "10.1.2.3:80"
    assert "closed to this session" in lines[0]["reason"]
    assert "\x1b" not in lines[1]["wanted"] + lines[1]["reason"]


@pytest.mark.root
def test_a_session_that_is_refused_again_and_again_does_not_fill_the_log(proxied: BenchCell) -> None:
    refused = RAW.format(port=PORT, data=b"CONNECT 10.1.2.3:80 HTTP/1.1\r\n\r\n").replace("print", "answers.append")
    again = (
        "answers = []\nfor _ in range({count}):\n"
        + "".join(f"    {line}\n" for line in refused.strip().splitlines())
        + "print(len(answers))"
    )
    with capture_logs() as lines:
        assert proxied.probe(again.format(count=REFUSALS_TOLD + 20)) == str(REFUSALS_TOLD + 20)
        until(lambda: len(lines) == REFUSALS_TOLD)
        proxied.shell("curl -sS http://10.1.2.3/")
    assert len(lines) == REFUSALS_TOLD
    assert lines[-1]["reason"] == "and more, which are not told"


@pytest.mark.root
def test_the_proxy_runs_without_the_rights_of_root(node: Opened, proxied: BenchCell) -> None:
    status = Path(f"/proc/{node(user_network='proxy').node._networks.proxy_pid}/status").read_text()
    about = dict(line.split(":\t", 1) for line in status.splitlines())
    assert set(about["Uid"].split()) == {str(bench_settings().uid_base)}
    assert (about["CapEff"], about["NoNewPrivs"]) == ("0" * 16, "1")


class _Local(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"served by this machine\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def local() -> Iterator[int]:
    """The port of a web server on this machine's loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Local) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def anyones(built_runtime: Runtime) -> Iterator[Bench]:
    """A node as any user may have it, for whose sessions this machine's loopback is open."""
    bench = Bench(bench_settings(user_network="proxy", network_open_ranges=("127.0.0.1/32",)), built_runtime)
    yield bench
    bench.close()


def through(port: int) -> str:
    return f"curl -sS -m 10 -x http://127.0.0.1:{PORT} --noproxy none.example http://127.0.0.1:{port}/"


def test_any_user_has_the_proxy(anyones: Bench, local: int) -> None:
    with anyones.cell(network=INTERNET) as cell:
        assert cell.shell(through(local)) == "served by this machine"


def test_this_machines_loopback_is_closed_unless_it_is_opened(built_runtime: Runtime, local: int) -> None:
    bench = Bench(bench_settings(user_network="proxy"), built_runtime)
    try:
        with bench.cell(network=INTERNET) as cell:
            assert "closed to this session" in cell.shell(through(local))
    finally:
        bench.close()


def test_a_session_of_mode_sandbox_has_no_proxy(anyones: Bench) -> None:
    with anyones.cell() as cell:
        assert cell.probe(f"print(attempt(socket.create_connection, ('127.0.0.1', {PORT}), 5))") == "ECONNREFUSED"
        assert "proxy" not in cell.shell("env").lower()


def test_who_holds_all_connections_of_his_session_holds_none_of_another(anyones: Bench, local: int) -> None:
    hold = f"held = [socket.create_connection(('127.0.0.1', {PORT}), 5) for _ in range({CONNECTIONS + 5})]; print(len(held))"
    with anyones.cell(network=INTERNET) as hostile, anyones.cell(network=INTERNET) as other:
        assert hostile.probe(hold) == str(CONNECTIONS + 5)
        assert other.shell(through(local)) == "served by this machine"


@pytest.mark.parametrize(
    "data",
    [
        b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
        b"\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50",
        b"\x05\x01\x00\x05\x01\x00\x03\x03a\x00b\x00\x50",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET ftp://127.0.0.1/ HTTP/1.1\r\n\r\n",
        b"CONNECT 127.0.0.1:99999 HTTP/1.1\r\n\r\n",
        b"CONNECT [::1 HTTP/1.1\r\n\r\n",
        b"GET http:///x HTTP/1.1\r\n\r\n",
        b"x" * 100_000,
        b"\xff\r\n\r\n",
    ],
)
def test_what_is_no_request_ends_the_connection_and_nothing_else(anyones: Bench, local: int, data: bytes) -> None:
    send = f"channel = socket.create_connection(('127.0.0.1', {PORT}), 10)\nchannel.settimeout(10)\n"
    send += f"try:\n    channel.sendall({data!r})\n    while channel.recv(4096): pass\nexcept ConnectionError: pass\nprint('ended')"
    with anyones.cell(network=INTERNET) as cell:
        assert cell.probe(send) == "ended"
        assert cell.shell(through(local)) == "served by this machine"


def test_nothing_of_a_session_is_left_in_the_proxy(anyones: Bench, local: int) -> None:
    with anyones.cell(network=INTERNET) as cell:
        cell.shell(through(local))
    pid = anyones.node._networks.proxy_pid
    before = len(os.listdir(f"/proc/{pid}/fd"))
    for _ in range(3):
        with anyones.cell(network=INTERNET) as cell:
            cell.probe(f"held = [socket.create_connection(('127.0.0.1', {PORT}), 5) for _ in range(9)]")
            assert cell.shell(through(local)) == "served by this machine"
    assert len(os.listdir(f"/proc/{pid}/fd")) == before


def test_large_answers_pass_whole(anyones: Bench) -> None:
    data = os.urandom(3_000_000)
    with socket.create_server(("127.0.0.1", 0)) as server, anyones.cell(network=INTERNET) as cell:
        thread = threading.Thread(target=_serve_once, args=(server, data))
        thread.start()
        digest = cell.shell(through(server.getsockname()[1]) + " | wc -c")
        thread.join(30)
    assert digest == str(len(data))


def _serve_once(server: socket.socket, data: bytes) -> None:
    channel, _ = server.accept()
    with channel:
        channel.recv(65536)
        channel.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + data)


def test_lists_that_are_too_long_to_be_told_are_refused_with_a_reason_and_no_cell_is_lost(built_runtime: Runtime) -> None:
    ranges = tuple(f"11.{high}.{low}.0/24" for high in range(10) for low in range(250))
    bench = Bench(bench_settings(user_network="proxy", network_closed_ranges=ranges), built_runtime)
    try:
        with pytest.raises(Exception, match="fewer ranges"), bench.cell(network=INTERNET):
            pass
        with bench.cell() as cell:
            assert cell.shell("echo works") == "works"
    finally:
        bench.close()
