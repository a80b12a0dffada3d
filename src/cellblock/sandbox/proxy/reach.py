"""What one session may reach through the proxy: decided on the address that is then connected to, whatever its name said before."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cellblock.model.network_grants import AllowedDomain, AllowedNetwork, PortSpan
from cellblock.sandbox.closed_ranges import Address, RangeRule, is_open

_RESOLVE_SECONDS = 10.0
_LONGEST_NAME = 253
QUESTIONS = 4  # of one session at a time


class Refused(Exception):
    """What a session asked for and does not get; the message is for its user."""


class Rule(msgspec.Struct, frozen=True):
    """A range as it travels."""

    network: str
    is_open: bool


class Place(msgspec.Struct, frozen=True):
    """An allowed name or range as it travels."""

    name: str
    ports: tuple[PortSpan, ...]


class ReachMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What a session may reach, as the server tells it."""

    rules: tuple[Rule, ...]
    everything: bool
    domains: tuple[Place, ...] = ()
    networks: tuple[Place, ...] = ()


class Names:
    """One session's questions to name servers, a few at a time: all sessions share the threads that wait for answers.

    A question that is given up keeps its place until its thread is free, since nobody can call it back.
    """

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(QUESTIONS)

    async def resolve(self, name: str, port: int) -> Sequence[Address]:
        """Its addresses. Raises Refused."""
        if not name or len(name) > _LONGEST_NAME:
            raise Refused("there is no such name")
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                await self._places.acquire()
                asking = asyncio.ensure_future(asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM))
                asking.add_done_callback(self._answered)
                found = await asyncio.shield(asking)
        except (OSError, ValueError, TimeoutError) as error:  # ValueError: of letters that no name has
            raise Refused(f"{name} cannot be resolved: {error}") from error
        return [ipaddress.ip_address(item[4][0]) for item in found]

    def _answered(self, asking: asyncio.Future[Any]) -> None:
        self._places.release()
        if not asking.cancelled():
            asking.exception()  # looked at, when nobody waits for it any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """`everything` that the ranges leave open; else what the lists allow, whose ranges open what they hold."""

    rules: tuple[RangeRule, ...]
    everything: bool
    domains: tuple[AllowedDomain, ...] = field(default=())
    networks: tuple[AllowedNetwork, ...] = field(default=())
    names: Names = field(default_factory=Names, compare=False)

    @classmethod
    def from_message(cls, message: ReachMessage) -> Reach:
        """The same as values that can be asked."""
        return cls(
            rules=tuple(RangeRule(ipaddress.ip_network(rule.network), rule.is_open) for rule in message.rules),
            everything=message.everything,
            domains=tuple(AllowedDomain(name=place.name, ports=place.ports) for place in message.domains),
            networks=tuple(AllowedNetwork(network=ipaddress.ip_network(place.name), ports=place.ports) for place in message.networks),
        )

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where to connect to for this name or address. Raises Refused."""
        literal = _literal(host)
        name = host.rstrip(".").lower()
        if literal is None and not self._may_name(name, port):
            raise Refused(f"{host}:{port} is not on the allow-list of this session's network")
        found = [literal] if literal else await self.names.resolve(name, port)
        allowed = [str(address) for address in found if self._may_connect(address, port, is_named=literal is None)]
        if not allowed:
            raise Refused(f"{host}:{port} leads to {found[0]}, which is closed to this session")
        return allowed

    def _may_name(self, name: str, port: int) -> bool:
        """Others are not even looked up: a question to a name server is a message too."""
        return self.everything or any(_matches(domain.name, name) and _holds(domain.ports, port) for domain in self.domains)

    def _may_connect(self, address: Address, port: int, *, is_named: bool) -> bool:
        plain = (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address
        if any(plain in allowed.network and _holds(allowed.ports, port) for allowed in self.networks):
            return True
        return (self.everything or is_named) and is_open(self.rules, plain)


def _literal(host: str) -> Address | None:
    """Only the usual notation is an address: what else inet_aton takes for one is a name, and no name server knows it."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _matches(pattern: str, name: str) -> bool:
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def _holds(spans: Sequence[PortSpan], port: int) -> bool:
    return not spans or any(first <= port <= last for first, last in spans)
