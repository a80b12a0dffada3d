"""What a session of network mode VPC reaches: what its lists allow, by the address that was looked up and not by what clients say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cellblock.model.network_grants import AllowedDomain, AllowedNetwork, NetworkGrant, allowed_place
from cellblock.sandbox.proxy.cell_end import PORT
from cells import BenchCell
from network.conftest import Opened
from network.world import OTHER_PUBLIC, PRIVATE, PUBLIC, SERVICE_PORT, TURNING_NAME, WEB_PORT

pytestmark = pytest.mark.root
RAW = """
channel = socket.create_connection(("127.0.0.1", {port}), 10)
channel.sendall({data!r})
answer = b""
while piece := channel.recv(65536):
    answer += piece
print(answer.decode())
"""


def grant(*entries: str) -> NetworkGrant:
    places = [allowed_place(text) for text in entries]
    domains = tuple(place for place in places if isinstance(place, AllowedDomain))
    return NetworkGrant(mode="VPC", domains=domains, networks=tuple(place for place in places if isinstance(place, AllowedNetwork)))


@pytest.fixture
def cell(node: Opened) -> Iterator[BenchCell]:
    """A session with a wildcard, a name with a port, a name that leads inside, and one private address."""
    allowed = grant("*.web.example", f"other.example:{WEB_PORT}", "inside.example", f"{PRIVATE[1]}:{WEB_PORT}", TURNING_NAME)
    with node().cell(network=allowed) as opened:
        yield opened


def reached(cell: BenchCell, place: str) -> str:
    return cell.shell(f"curl -sS -m 15 http://{place}/ 2>&1")


def test_listed_names_and_ranges_are_reached(cell: BenchCell) -> None:
    assert reached(cell, "api.web.example") == f"you reached {PUBLIC}"
    assert reached(cell, "other.example") == f"you reached {OTHER_PUBLIC}"
    assert reached(cell, PRIVATE[1]) == f"you reached {PRIVATE[1]}"


@pytest.mark.parametrize(
    "place",
    ["web.example", "xweb.example", f"other.example:{SERVICE_PORT}", PUBLIC, OTHER_PUBLIC, PRIVATE[0], f"{PRIVATE[1]}:{SERVICE_PORT}"],
)
def test_what_is_not_listed_is_refused(cell: BenchCell, place: str) -> None:
    assert reached(cell, place).startswith("cellblock: ")


def test_a_listed_name_that_leads_to_a_private_address_leads_nowhere(cell: BenchCell) -> None:
    assert "closed to this session" in reached(cell, "inside.example")


def test_a_listed_name_that_turns_to_a_private_address_is_not_followed(cell: BenchCell) -> None:
    answers = cell.shell(f"for i in 1 2 3 4 5 6; do curl -sS -m 15 http://{TURNING_NAME}/; done")
    assert "you reached 10." not in answers


def test_what_a_client_says_of_the_host_decides_nothing(cell: BenchCell) -> None:
    data = f"CONNECT {OTHER_PUBLIC}:{SERVICE_PORT} HTTP/1.1\r\nHost: api.web.example\r\n\r\n".encode()
    assert "403 Forbidden" in cell.probe(RAW.format(port=PORT, data=data))


def test_a_name_that_is_not_listed_is_not_even_looked_up(cell: BenchCell) -> None:
    assert "allow-list" in reached(cell, "secret-of-the-session.evil.example")


def test_there_is_no_other_way_out(cell: BenchCell) -> None:
    connect = "print(attempt(socket.create_connection, ('{address}', {port}), 5))"
    assert cell.probe(connect.format(address=PUBLIC, port=WEB_PORT)) == "ENETUNREACH"
    assert cell.probe(connect.format(address=PRIVATE[1], port=WEB_PORT)) == "ENETUNREACH"


def test_the_same_places_are_reached_in_mode_public(node: Opened) -> None:
    """The refusals above come from the lists: without them the world answers."""
    with node(user_network="proxy").cell(network=NetworkGrant(mode="PUBLIC")) as public:
        for place in ("web.example", f"other.example:{SERVICE_PORT}", PUBLIC):
            assert reached(public, place).startswith("you reached")
