"""What a session of network mode PUBLIC reaches over its user-mode network, and what is closed to it however it asks."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cellblock.model.network_grants import INTERNET
from cellblock.sandbox import user_network
from cellblock.sandbox.network_stacks import NAME_SERVER, Stack
from cells import BenchCell
from network.conftest import Opened
from network.world import ECHO_PORT, MACHINE, PRIVATE, PUBLIC, SERVICE_PORT, WEB_PORT, World
from processes import children, command_line, descendants, is_alive, status_of
from running_server import serving, until

pytestmark = pytest.mark.root

GATEWAY = "198.18.0.2"
CONNECT = "print(attempt(socket.create_connection, ('{address}', {port}), 5))"
ASK = """
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(2)
asker.sendto(b"x", ("{address}", {port}))
print(asker.recv(100).decode())
"""
BOUND = """
bound = socket.socket()
bound.settimeout(5)
bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tap0")
print(attempt(bound.connect, ("{address}", {port})))
"""
# IP_UNICAST_IF and IP_PKTINFO: the interface is named for one socket, for one packet
UNICAST_INTERFACE = """
chosen = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
chosen.settimeout(2)
chosen.setsockopt(socket.IPPROTO_IP, 50, struct.pack(">I", socket.if_nametoindex("tap0")))
print(attempt(lambda: (chosen.sendto(b"x", ("{address}", {port})), chosen.recv(100))))
"""
PACKET_INFORMATION = """
chosen = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
chosen.settimeout(2)
about = struct.pack("I8x", socket.if_nametoindex("tap0"))
print(attempt(lambda: (chosen.sendmsg([b"x"], [(socket.IPPROTO_IP, 8, about)], 0, ("{address}", {port})), chosen.recv(100))))
"""
REFUSALS = ("ECONNREFUSED", "EPERM", "ENETUNREACH", "EHOSTUNREACH")


def test_a_name_of_the_world_is_found_and_its_server_answers(public: BenchCell) -> None:
    assert public.shell("curl -sS http://web.example/") == f"you reached {PUBLIC}"


def test_plain_sockets_reach_the_world(public: BenchCell) -> None:
    assert public.probe(CONNECT.format(address=PUBLIC, port=WEB_PORT)) == "done"
    assert public.probe(ASK.format(address=PUBLIC, port=ECHO_PORT)) == "echo x"


def test_libraries_reach_the_world_as_anywhere(public: BenchCell) -> None:
    python = """
import aiohttp, requests
print(requests.get("http://web.example/").text, end="")
async with aiohttp.ClientSession() as session:
    print(await (await session.get("http://web.example/")).text(), end="")
"""
    assert public.run(python).stdout.decode().split("\n")[:2] == [f"you reached {PUBLIC}"] * 2
    node = """node -e 'fetch("http://web.example/").then(r => r.text()).then(t => process.stdout.write(t))'"""
    deno = """deno eval 'console.log((await (await fetch("http://web.example/")).text()).trim())'"""
    assert public.shell(f"{node}; {deno}").split("\n") == [f"you reached {PUBLIC}"] * 2


@pytest.mark.parametrize("address", PRIVATE)
def test_a_closed_address_refuses_tcp_and_udp(public: BenchCell, unclosed: BenchCell, address: str) -> None:
    connect, ask = CONNECT.format(address=address, port=WEB_PORT), ASK.format(address=address, port=ECHO_PORT)
    assert (unclosed.probe(connect), unclosed.probe(ask)) == ("done", "echo x")
    assert public.probe(connect) in REFUSALS
    assert "echo" not in public.probe(ask)


@pytest.mark.parametrize("address", [PRIVATE[0], "169.254.169.254"])
def test_a_socket_that_names_the_interface_gets_no_further(public: BenchCell, unclosed: BenchCell, address: str) -> None:
    assert public.probe(BOUND.format(address=PUBLIC, port=WEB_PORT)) == "done"
    assert public.probe(BOUND.format(address=address, port=WEB_PORT)) in REFUSALS
    assert unclosed.probe(BOUND.format(address=address, port=WEB_PORT)) == "done"


@pytest.mark.parametrize("trick", [UNICAST_INTERFACE, PACKET_INFORMATION])
def test_a_packet_that_names_the_interface_gets_no_further(public: BenchCell, unclosed: BenchCell, trick: str) -> None:
    closed = trick.format(address=PRIVATE[0], port=ECHO_PORT)
    assert public.probe(trick.format(address=PUBLIC, port=ECHO_PORT)) == "done"
    assert public.probe(closed) in REFUSALS
    assert unclosed.probe(closed) == "done"


def test_services_of_the_machine_on_its_outer_address_are_closed(public: BenchCell, unclosed: BenchCell) -> None:
    probe = CONNECT.format(address=MACHINE, port=SERVICE_PORT)
    assert unclosed.probe(probe) == "done"
    assert public.probe(probe) in REFUSALS


@pytest.mark.parametrize("address", [GATEWAY, NAME_SERVER])
def test_neither_address_of_the_stack_is_the_machines_loopback(public: BenchCell, unclosed: BenchCell, address: str) -> None:
    probe = CONNECT.format(address=address, port=SERVICE_PORT)
    assert public.probe(probe) in REFUSALS
    assert unclosed.probe(probe) != "done"


@pytest.mark.parametrize(("stack", "option"), [("pasta", "--no-map-gw"), ("slirp4netns", "--disable-host-loopback")], indirect=["stack"])
def test_without_the_stacks_own_option_the_rules_still_close_it(
    node: Opened, monkeypatch: pytest.MonkeyPatch, stack: str, option: str
) -> None:
    strong = Stack.command
    monkeypatch.setattr(Stack, "command", lambda self: [word for word in strong(self) if word != option])
    probe = CONNECT.format(address=GATEWAY, port=SERVICE_PORT)
    with node(without=("close_addresses",), user_network=stack).cell(network=INTERNET) as open_twice:
        assert open_twice.probe(probe) == "done"
    with node(user_network=stack).cell(network=INTERNET) as open_once:
        assert open_once.probe(probe) in REFUSALS


def test_a_packet_to_loopback_that_names_the_interface_gets_no_further(public: BenchCell, unclosed: BenchCell, stack: str) -> None:
    probe = UNICAST_INTERFACE.format(address="127.0.0.1", port=ECHO_PORT)
    assert public.probe(probe) in REFUSALS
    if stack == "pasta":  # it takes the address as it comes, and so for this machine's own
        assert unclosed.probe(probe) == "done"


def test_version_6_has_no_way_out(public: BenchCell) -> None:
    probe = "print(attempt(socket.create_connection, ('{address}', 80), 5))"
    for address in ("2001:4860:4860::8888", "fd00::3", "fe80::2%tap0", "::ffff:10.1.2.3"):
        assert public.probe(probe.format(address=address)) in (*REFUSALS, "EADDRNOTAVAIL")


def test_a_name_that_leads_to_a_closed_address_leads_nowhere(public: BenchCell, unclosed: BenchCell) -> None:
    assert "10.1.2.3" in unclosed.shell("curl -sS -m 5 http://inside.example/")
    assert "you reached" not in public.shell("curl -sS -m 5 http://inside.example/ 2>&1")


def test_the_operators_ranges_close_and_open(node: Opened, stack: str) -> None:
    bench = node(user_network=stack, network_closed_ranges=("93.184.0.0/16",), network_open_ranges=("10.1.2.0/24",))
    with bench.cell(network=INTERNET) as cell:
        assert cell.probe(CONNECT.format(address=PUBLIC, port=WEB_PORT)) in REFUSALS
        assert cell.probe(CONNECT.format(address="10.1.2.3", port=WEB_PORT)) == "done"
        assert cell.probe(CONNECT.format(address="172.16.5.5", port=WEB_PORT)) in REFUSALS


def test_the_code_can_neither_read_nor_take_away_the_rules(public: BenchCell, node: Opened, stack: str) -> None:
    open_netfilter = "print(attempt(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 12))"
    assert public.probe(open_netfilter) == "EPERM"
    flush = """
channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
generic = struct.pack(">BBH", 2, 0, 0)
begin, end = (struct.pack("=IHHII", 20, kind, 1, 0, 0) + struct.pack(">BBH", 0, 0, 10) for kind in (0x10, 0x11))
remove = struct.pack("=IHHII", 20, 10 << 8 | 2, 5, 0, 0) + generic
channel.sendto(begin + remove + end, (0, 0))
print(errno.errorcode.get(-struct.unpack_from("=i", channel.recv(4096), 16)[0], "done"))
"""
    with node(without=("filter_system_calls",), user_network=stack).cell(network=INTERNET) as unfiltered:
        assert unfiltered.probe(flush) == "EPERM"
    with node(without=("give_up_rights", "fence_files", "filter_system_calls"), user_network=stack).cell(network=INTERNET) as privileged:
        assert privileged.probe(flush) == "done"
        assert privileged.probe(CONNECT.format(address=PRIVATE[0], port=WEB_PORT)) == "done"


def test_two_sessions_do_not_reach_each_other(public: BenchCell, node: Opened, stack: str) -> None:
    with node(user_network=stack).cell(network=INTERNET) as other:
        assert other.probe("server = socket.create_server(('0.0.0.0', 4321)); print('listens')") == "listens"
        assert other.probe(CONNECT.format(address="198.18.0.100", port=4321)) == "done"
        assert public.probe(CONNECT.format(address="198.18.0.100", port=4321)) == "ECONNREFUSED"


def test_the_stack_ends_with_its_cell(node: Opened, stack: str) -> None:
    bench = node(user_network=stack)
    before = stacks(stack)
    with bench.cell(network=INTERNET):
        until(lambda: len(stacks(stack) - before) == 1)  # for a moment it has a child that fetches its device from the cell
    assert stacks(stack) == before


def test_a_cell_whose_stack_cannot_start_leaves_nothing(node: Opened, monkeypatch: pytest.MonkeyPatch, stack: str) -> None:
    monkeypatch.setattr(Stack, "command", lambda self: ["/usr/bin/false"])
    before = descendants(os.getpid())
    with pytest.raises(Exception, match="did not start"), node(user_network=stack).cell(network=INTERNET):
        pass
    until(lambda: descendants(os.getpid()) <= before)


def test_a_stack_that_dies_is_followed_by_another_and_the_log_says_so(node: Opened, stack: str) -> None:
    before = stacks(stack)
    with node(user_network=stack).cell(network=INTERNET) as cell, capture_logs() as lines:
        (first,) = stacks(stack) - before
        os.kill(first, signal.SIGKILL)
        until(lambda: stacks(stack) - before - {first})
        assert cell.shell("curl -sS --retry 9 --retry-all-errors --retry-delay 1 http://web.example/") == f"you reached {PUBLIC}"
        assert [line["stack"] for line in lines if line["event"] == "a network stack has died"] == [stack]
    until(lambda: stacks(stack) <= before)


def test_a_stack_has_only_so_many_successors(node: Opened, monkeypatch: pytest.MonkeyPatch, stack: str) -> None:
    monkeypatch.setattr(user_network, "RESTARTS", 1)
    before = stacks(stack)
    with node(user_network=stack).cell(network=INTERNET) as cell, capture_logs() as lines:
        for left in (1, 0):
            until(lambda: stacks(stack) - before)
            for pid in stacks(stack) - before:
                os.kill(pid, signal.SIGKILL)
            until(lambda left=left: [line for line in lines if line.get("restarts_left") == left])
        assert "you reached" not in cell.shell("curl -sS -m 3 http://web.example/ 2>&1")
        assert stacks(stack) == before


@pytest.mark.parametrize(
    "stack",
    [
        "slirp4netns",
        pytest.param("pasta", marks=pytest.mark.xfail(strict=True, reason="pasta keeps the port on the machine, so `auto` leaves it out")),
    ],
    indirect=True,
)
def test_a_session_opens_no_port_of_the_machine_by_sending_from_it(public: BenchCell, world: World) -> None:
    send = """
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind(("0.0.0.0", 5555))
sender.settimeout(2)
sender.sendto(b"x", ("{address}", {port}))
print(sender.recv(100).decode())
"""
    assert public.probe(send.format(address=PUBLIC, port=ECHO_PORT)) == "echo x"
    assert world.on_machine(can_bind, 5555)


def can_bind(port: int) -> bool:
    """Whether nobody has this port for datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        try:
            channel.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_the_stack_has_no_file_and_no_right_of_the_host(node: Opened, stack: str) -> None:
    before = stacks(stack)
    with node(user_network=stack).cell(network=INTERNET) as cell:
        (pid,) = stacks(stack) - before
        until(lambda: status_of(pid)["Seccomp"] == "2")
        status = status_of(pid)
        assert status["Uid"].split()[0] != "0"
        assert status["NoNewPrivs"] == "1"
        assert os.readlink(f"/proc/{pid}/ns/user") == os.readlink(f"/proc/{cell.pid}/ns/user")
        inside = set(os.listdir(f"/proc/{pid}/root"))
        assert not inside & {"home", "root", "run", "var", "tmp", "proc", "sys"}
        assert os.statvfs(f"/proc/{pid}/root").f_flag & os.ST_RDONLY


def stacks(program: str) -> set[int]:
    """Every stack of this program that this process has started; what a stack forks for a moment is none."""
    return {pid for pid in children(os.getpid()) if Path((command_line(pid) or [""])[0]).name == program}


def test_a_stack_does_not_outlive_a_server_that_was_killed(tmp_path: Path, stack: str) -> None:
    assert_nothing_outlives_a_server(tmp_path, way=stack, program=stack)


def test_the_proxy_does_not_outlive_a_server_that_was_killed(tmp_path: Path) -> None:
    assert_nothing_outlives_a_server(tmp_path, way="proxy", program="cellblock.sandbox.proxy.process")


def assert_nothing_outlives_a_server(tmp_path: Path, *, way: str, program: str) -> None:
    """With a session of network mode PUBLIC that this program serves."""
    with serving(tmp_path / "data", pool_size=0, user_network=way) as server:
        made = server.create("public", networkConfiguration={"networkMode": "PUBLIC"})
        server.start(made["codeInterpreterId"])
        below = descendants(server.process.pid)
        assert any(program in " ".join(command_line(pid)) for pid in below)
        server.process.kill()
        server.process.wait()
        until(lambda: not any(is_alive(pid) for pid in below))
